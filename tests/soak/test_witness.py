import json
import time

import pytest
from soak.witness import Witness, applied_through

from daemon.signal.document import iso


class Source:
    """Acknowledges every write, and keeps what it was."""

    def __init__(self):
        self.items = {}

    def call(self, _, request):
        item = request["Item"]
        self.items[json.dumps([item["customer"], item["order"]])] = item


class Target:
    """Holds what has been carried over; may be away."""

    def __init__(self):
        self.items, self.away = {}, False

    def get(self, key):
        if self.away:
            raise OSError("away")
        return self.items.get(json.dumps([key["customer"], key["order"]]))


def told(through):
    return {"lag": {"applied_through": through and iso(through)}}


@pytest.fixture
def parts():
    source, target = Source(), Target()
    return Witness(source, lambda: target, list), source, target


def test_a_proof_that_holds_is_counted_once_for_a_write(parts):
    witness, source, target = parts
    witness._write()
    target.items = dict(source.items)
    for _ in range(2):
        witness._check(told(time.time() + 1))
    assert (witness.checked, witness.false_proofs) == (1, [])


@pytest.mark.parametrize("arrived", [0, 20])
def test_a_proof_of_what_is_not_there_is_found_out(parts, arrived):
    witness, source, target = parts
    for number in range(21):  # the last one has the key of the first
        witness._write()
        if number < arrived:
            target.items = dict(source.items)
    witness._check(told(time.time() + 1))
    assert len(witness.false_proofs) == 1


def test_nothing_is_expected_of_a_write_after_the_proven_instant_or_before_any_proof(parts):
    witness, _, _ = parts
    before = time.time() - 1
    witness._write()
    witness._check(told(before))
    witness._check(told(None))
    assert (witness.checked, witness.false_proofs) == (0, [])


def test_a_target_that_is_away_says_nothing_about_a_proof(parts):
    witness, _, target = parts
    witness._write()
    target.away = True
    witness._check(told(time.time() + 1))
    assert (witness.checked, witness.false_proofs) == (0, [])


def test_a_witness_that_fails_does_not_end_in_silence(parts):
    witness, source, _ = parts
    source.call = None
    with pytest.raises(TypeError), witness:
        witness._ran.exception()  # when it has ended


def test_the_proven_instant_is_read_as_the_service_writes_it():
    assert applied_through(told(1_700_000_000.25)) == 1_700_000_000.25

"""The pre-image assertion, an event at a time; over whole histories it is played in tests/property/test_preimage.py."""

import pytest
import structlog
from botocore.exceptions import ClientError
from fakes import record

from daemon.control import ShardState
from daemon.source.heartbeat import PREFIX, ROUND
from daemon.source.stream import VersionClock, record_reader
from daemon.verify.preimage import Load, Preimages
from sinks.attributes import encode_item
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

A = Key("a")
ONE, TWO = {"n": {"N": "1"}}, {"n": {"N": "2"}}


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


class Facts:
    """A load that is over, five rounds begun, no letter; what is kept is written down."""

    def __init__(self):
        self.known, self.letters, self.kept, self.begun = Load(100, 0.0), set(), [], 5

    def load(self):
        if isinstance(self.known, Exception):
            raise self.known
        return self.known

    def round(self):
        return self.begun

    def refused(self):
        return self.letters

    def text(self, key):
        return key.partition

    def keep(self, key, named, version):
        self.kept.append((key, named.kind.value, named.attributes, version))


class Shard:
    """The assertion over a memory sink; events come as records do."""

    def __init__(self, ttl=None):
        self.facts, self.sink, self.number, self.state = Facts(), MemorySink(), 0, ShardState(anchor=0)
        self.read, self.clock = (
            record_reader(KeySchema(KeyAttribute("id", "S")), wants_before=lambda _: True),
            VersionClock(0),
        )
        self.asserted = Preimages(self.sink.read, self.facts, ttl)

    def holds(self, version, **attributes):
        self.sink.apply([Change(A, version, Item(encode_item({"id": "a", **attributes})))])

    def event(self, event, image=None, old=None, key="a"):
        self.number += 1
        made = record(self.number, event, key, image, old=old)
        return self.read(made.binary_data, made.sequence_number, self.clock)

    def beat(self, proof_round):
        return self.event("MODIFY", {ROUND: {"N": str(proof_round)}}, key=f"{PREFIX}1")

    def deliver(self, *events):
        self.state = self.asserted(self.state, events)
        return self.state.preimages, self.state.preimages_wrong


def test_a_missing_row_is_told_when_a_heartbeat_passes_that_was_written_after_it_was_read():
    shard = Shard()
    assert shard.deliver(shard.event("MODIFY", TWO, ONE)) == (1, 0)
    assert shard.deliver(shard.beat(5)) == (1, 0)
    assert shard.deliver(shard.beat(6)) == (1, 1)
    assert shard.facts.kept == [(A, "missing", [], 0)]


def test_a_missing_row_is_no_difference_when_a_deletion_follows_which_somebody_may_have_applied_already():
    shard = Shard()
    shard.deliver(shard.event("MODIFY", TWO, ONE))
    assert shard.deliver(shard.event("REMOVE", old=TWO), shard.beat(6)) == (2, 0)
    shard.deliver(shard.event("MODIFY", TWO, ONE), shard.event("REMOVE", old=TWO))
    assert shard.deliver(shard.beat(7)) == (3, 0)


def test_a_deletion_of_what_is_not_there_may_be_a_replay():
    shard = Shard()
    shard.deliver(shard.event("REMOVE", old=ONE))
    assert shard.deliver(shard.beat(6)) == (1, 0)


def test_a_key_with_a_dead_letter_is_left_out():
    shard = Shard()
    shard.facts.letters = {"a"}
    assert shard.deliver(shard.event("MODIFY", TWO, ONE)) == (1, 0)
    assert shard.deliver(shard.beat(6)) == (1, 0)


def test_a_row_that_a_target_with_a_ttl_has_expired_is_not_missing():
    shard = Shard(ttl="until")
    shard.asserted._clock = type("Clock", (), {"time": staticmethod(lambda: 1000.0)})
    shard.deliver(shard.event("MODIFY", TWO, {"until": {"N": "900"}}))
    assert shard.deliver(shard.beat(6)) == (1, 0)


def test_an_insertion_over_a_row_tells_of_an_extra_one():
    shard = Shard()
    shard.holds(50, n="x")
    assert shard.deliver(shard.event("INSERT", ONE)) == (1, 1)
    assert shard.facts.kept == [(A, "extra", [], 50)]


def test_another_row_is_told_with_its_attributes_and_as_stale_when_it_is_the_loads():
    shard = Shard()
    shard.holds(50, n="x", m="y")
    shard.deliver(shard.event("MODIFY", TWO, ONE))
    shard.holds(10**9, n="z")
    shard.deliver(shard.event("MODIFY", TWO, ONE))
    assert shard.facts.kept == [(A, "stale", ["m", "n"], 50), (A, "changed", ["n"], 10**9)]


def test_before_the_version_of_the_load_is_decided_nothing_is_compared():
    shard = Shard()
    shard.facts.known = None
    assert shard.deliver(shard.event("INSERT", ONE)) == (0, 0)


def test_a_control_table_that_is_away_costs_comparisons_and_nothing_else():
    shard = Shard()
    shard.facts.known = ClientError({"Error": {"Code": "InternalServerError", "Message": "away"}}, "GetItem")
    assert shard.deliver(shard.event("INSERT", ONE)) == (0, 0)


def test_without_old_images_it_is_off_for_good_and_asks_the_target_nothing():
    shard = Shard()
    shard.deliver(shard.event("MODIFY", TWO))
    shard.asserted._read = lambda _: pytest.fail("read")
    assert shard.deliver(shard.event("INSERT", ONE)) == (0, 0)


def test_of_a_batch_only_the_first_event_of_a_key_is_compared():
    shard = Shard()
    shard.holds(50, n="x")
    events = [shard.event("MODIFY", TWO, {"n": {"S": "x"}}), shard.event("MODIFY", ONE, TWO)]
    assert shard.deliver(*events) == (1, 0)

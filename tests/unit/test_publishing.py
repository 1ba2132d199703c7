"""Records: at once when the decision changes, else from time to time; a failing one is told and stops nothing."""

import itertools
import json
import random
import threading

import documents
import pytest

from daemon.phase import Phase
from daemon.routes import Routes
from daemon.sections import ITEM_ATTRIBUTES
from daemon.signal.file import SignalFile
from daemon.signal.publisher import Outdated, PublishFailed, decision, is_older, told
from daemon.signal.publishing import Publishing


class Clock:
    """Moves when told to."""

    def __init__(self):
        self.now = 1000.0

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds


class Record:
    """A publisher that notes what it gets, and fails as often as it is told to."""

    def __init__(self, every_seconds=5.0, failures=0, name="a record"):
        self.name, self.every_seconds, self.failures = name, every_seconds, failures
        self.got, self.tries, self.hold = [], 0, None

    def publish(self, document):
        self.tries += 1
        if self.hold is not None:
            self.hold.wait(30)
        if self.failures:
            self.failures -= 1
            raise PublishFailed(f"{self.name} is away")
        self.got.append(document)


@pytest.fixture
def clock():
    return Clock()


def publishing(clock, *records):
    return Publishing(records, clock, random.Random(1))


def turn(made, document):
    made.offer(document)
    for thread in threading.enumerate():
        if thread.name.startswith("a record"):
            thread.join(30)


def test_a_changed_decision_is_published_at_once_and_an_unchanged_one_only_now_and_then(clock):
    record = Record(every_seconds=15)
    made = publishing(clock, record)
    for second in range(31):
        turn(made, documents.published(clock.now, ready=second >= 20))
        clock.now += 1
    assert [document.published_at for document in record.got] == [
        documents.published(1000.0 + second).published_at for second in (0, 15, 20)
    ]


CHANGES = [
    {"phase": Phase.NEEDS_RESYNC},
    {"epoch": 1},
    {"ready": True},
    {"routes": Routes(reads_percent=1)},
    {"routes": Routes(writes="target")},
    {"routes": Routes(writes_fenced=True)},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_each_of_these_is_a_change_of_the_decision(change):
    assert decision(documents.published(**change)) != decision(documents.published())


def test_new_figures_are_no_change_of_the_decision():
    assert decision(documents.published(1000.0)) == decision(documents.published(1001.0))


def test_a_record_that_fails_is_told_tried_again_with_growing_pauses_and_told_no_more_when_it_works(clock):
    record, other = Record(failures=4), Record(name="a record beside it")
    made = publishing(clock, record, other)
    tried_at = []
    while not record.got:
        before = record.tries
        turn(made, documents.published(clock.now))
        tried_at += [clock.now] * (record.tries - before)
        assert (made.trouble() == "a record is away") == (not record.got)
        clock.now += 0.25
    pauses = [later - sooner for sooner, later in itertools.pairwise(tried_at)]
    for number, pause in enumerate(pauses):
        assert 2**number / 2 <= pause <= 2**number + 0.25
    assert made.trouble() is None
    assert other.got


def test_one_that_hangs_keeps_neither_the_loop_nor_another_one_waiting_and_is_told(clock):
    record, other = Record(name="stuck"), Record(name="a record")
    record.hold = threading.Event()
    made = publishing(clock, record, other)
    for _ in range(40):
        turn(made, documents.published(clock.now))
        clock.now += 1
    assert len(other.got) == 8
    assert made.trouble() == "stuck was not written for 40 s"
    record.hold.set()


def test_who_does_not_lead_publishes_nothing_and_has_no_trouble_with_it(clock):
    record = Record(failures=1)
    made = publishing(clock, record)
    turn(made, documents.published(clock.now))
    assert made.trouble() == "a record is away"
    made.rest()
    clock.now += 100
    assert made.trouble() is None
    turn(made, documents.published(clock.now))
    assert len(record.got) == 1


def test_a_decision_that_was_published_before_another_replica_led_is_published_anew(clock):
    record = Record()
    made = publishing(clock, record)
    turn(made, documents.published(clock.now))
    made.rest()
    turn(made, documents.published(clock.now))
    assert len(record.got) == 2


def test_the_order_of_documents_is_that_of_their_epochs_and_within_one_that_of_their_instants():
    new = documents.published(1000.0, epoch=5)
    assert is_older(new, 6, documents.published(1.0).published_at)
    assert is_older(new, 5, documents.published(1000.001).published_at)
    assert not is_older(new, 5, new.published_at)
    assert not is_older(new, 4, documents.published(2000.0).published_at)


def test_the_attributes_that_a_key_may_not_have_are_those_that_are_written():
    assert {*told(documents.published())._fields, "document"} == ITEM_ATTRIBUTES


def test_a_file_of_a_newer_epoch_is_not_overwritten_by_a_leader_of_before(tmp_path):
    record = SignalFile(tmp_path / "signal.json")
    record.publish(documents.published(2000.0, epoch=2))
    with pytest.raises(Outdated, match=r"signal\.json tells of epoch 2"):
        record.publish(documents.published(3000.0, epoch=1, ready=True))
    record.publish(documents.published(1000.0, epoch=2, ready=True))
    assert json.loads((tmp_path / "signal.json").read_text())["ready"]["readers"] is True


@pytest.mark.parametrize("left", [b"", b"{", b'{"a": 1}', b"\xff\xfe"])
def test_a_file_that_is_no_document_is_replaced(tmp_path, left):
    (tmp_path / "signal.json").write_bytes(left)
    SignalFile(tmp_path / "signal.json").publish(documents.published())
    assert documents.decoded((tmp_path / "signal.json").read_bytes()) == documents.published()

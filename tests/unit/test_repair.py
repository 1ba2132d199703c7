"""Repair, a step at a time; that it is right under fire is tests/property/test_repair.py."""

import pytest
import structlog
from fakes import MemoryControl
from property.repair_world import World, item_of

from daemon.control import Proof, ShardState, shards_of
from daemon.source.shards import Shard, Stream
from daemon.verify.repair import NotProven, Outcome, Repairer, same
from sinks.change import Change, Item, Key
from sinks.memory import MemorySink
from sinks.sink import Rejection, Stored

A = Key("a")
ROW = item_of("a", {"n": {"N": "1"}})


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


class EverythingUntouched:
    """A watch of keys that nobody writes."""

    def __init__(self, moved):
        self.moved = moved

    def begin(self, _):
        return "w"

    def untouched(self, keys, states):  # noqa: ARG002  the watch's own signature
        return set(keys)

    def states(self):
        return {"s": self.moved.state}

    def end(self):
        self.moved.ended = True


class Moved:
    """One shard whose clock and proofs the test moves."""

    def __init__(self):
        self.control, self.target, self.now, self.ended = MemoryControl(), MemorySink(), 0.0, False
        self.source, self.state, self.waits = {A: ROW}, ShardState(anchor=50, heartbeat_round=5), []
        self.prove(5, 5)

    def prove(self, begun, proven):
        made = Proof(round=begun, proven_round=proven, generation=1)
        self.control.update("proof", Proof, lambda _: made)
        self.state = ShardState(anchor=self.state.anchor, heartbeat_round=proven)

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds
        if self.waits:
            self.waits.pop(0)()

    def repairer(self, **settings):
        given = {"target": self.target, "listing": self.listing, "source": lambda _: self.source} | settings
        watch = EverythingUntouched(self)
        return Repairer(control=self.control, generation=1, watch=watch, clock=self, **given)

    def listing(self):
        return Stream("arn", "NEW_AND_OLD_IMAGES", "ENABLED", 0.0, {"s": Shard("s", None, closed=False)}, 10**9)

    def ticks(self, version, begun, proven):
        def tick():
            self.state = ShardState(anchor=version, heartbeat_round=proven)
            self.prove(begun, proven)

        return tick


def test_a_round_that_was_proven_before_the_read_gives_no_version():
    moved = Moved()
    with pytest.raises(NotProven, match="no round of heartbeats above 5 has come through"):
        moved.repairer().repair([A])
    assert moved.target.changes == {}
    assert moved.ended


def test_clocks_that_went_on_without_a_round_after_the_read_give_no_version():
    moved = Moved()

    def read(_):
        moved.state = ShardState(anchor=60, heartbeat_round=5)
        return moved.source

    with pytest.raises(NotProven):
        moved.repairer(source=read).repair([A])
    assert moved.target.changes == {}


def test_the_version_lies_above_every_clock_of_before():
    moved = Moved()
    moved.waits = [moved.ticks(50, 6, 6), moved.ticks(50, 7, 7), moved.ticks(51, 8, 8)]
    assert moved.repairer().repair([A]) == {A: Outcome.REPAIRED}
    assert moved.target.changes[A] == Change(A, 51, ROW)


def test_what_the_source_does_not_hold_is_deleted_with_a_version_as_well():
    moved = Moved()
    moved.source, moved.waits = {}, [moved.ticks(60, 6, 6)]
    moved.target.apply([Change(A, 40, ROW)])
    assert moved.repairer().repair([A]) == {A: Outcome.REPAIRED}
    assert moved.target.changes[A] == Change(A, 60, None)


def test_equal_rows_are_left_alone_however_they_are_spelled():
    moved = Moved()
    moved.waits = [moved.ticks(60, 6, 6)]
    moved.target.apply([Change(A, 40, Item(b'{"n": {"N": "1.00"}, "id": {"S": "a"}}'))])
    assert moved.repairer().repair([A]) == {A: Outcome.EQUAL}
    assert moved.target.changes[A].version == 40


def test_a_row_from_the_future_is_told_and_not_fought():
    moved = Moved()
    moved.waits = [moved.ticks(60, 6, 6)]
    moved.target.apply([Change(A, 10**15, item_of("a", {"n": {"N": "2"}}))])
    assert moved.repairer().repair([A]) == {A: Outcome.AHEAD}


def test_what_the_target_refuses_is_told():
    moved = Moved()
    moved.waits = [moved.ticks(60, 6, 6)]
    moved.target.apply = lambda changes: [Rejection(change, "too large") for change in changes]
    assert moved.repairer().repair([A]) == {A: Outcome.REFUSED}


def test_a_target_that_does_not_keep_what_it_confirms_is_told():
    moved = Moved()
    moved.waits = [moved.ticks(60, 6, 6)]
    moved.target.apply([Change(A, 40, item_of("a", {"n": {"N": "2"}}))])
    moved.target.apply = lambda _: ()
    assert moved.repairer().repair([A]) == {A: Outcome.DIFFERS}


def test_nothing_is_written_when_writing_is_not_allowed_any_more():
    def refuse():
        raise PermissionError("the writers are switched")

    moved = Moved()
    moved.waits = [moved.ticks(60, 6, 6)]
    with pytest.raises(PermissionError):
        moved.repairer(allowed=refuse).repair([A])
    assert moved.target.changes == {}


def test_rows_are_the_same_by_value_and_absent_is_not_empty():
    one, other = Item(b'{"id":{"S":"a"},"n":{"N":"10"}}'), Item(b'{"n":{"N":"1E1"},"id":{"S":"a"}}')
    assert same(one, Stored(1, other))
    assert same(None, None)
    assert not same(one, None)
    assert not same(None, Stored(1, one))
    assert not same(one, Stored(1, Item(b'{"id":{"S":"a"},"n":{"S":"10"}}')))


def test_the_least_clock_of_the_open_shards_is_the_version():
    world = World(3, keys=3, writes=0)
    world.sleep(30)
    window = world.repairer().window([Key("k0")])
    leaves = [shard.name for shard in world.open_shards()]
    clocks = [world.control.get(shards_of(1) + name, ShardState)[0].version for name in leaves]
    assert window.version <= min(clocks)

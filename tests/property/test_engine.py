"""The engine's one promise, over random histories with crashes: the target ends as the source.

And bugs that tools of this kind have had, planted one at a time: each must be seen. A promise that no bug
can break would be no promise.
"""

from types import SimpleNamespace

import msgspec
import pytest
from fakes import Checkpointer, Lease, no_letters, page
from property.history import BACKFILL_VERSION, KEYS, History, Run

from daemon.apply import deliver
from daemon.control import Position
from daemon.kcl.processor import ShardLost, ShardProcessor, _after
from daemon.lineage import StateMissing
from daemon.source.stream import VersionClock, record_reader
from sinks.memory import MemorySink

SEEDS = range(300)
BUG_SEEDS = range(400)


@pytest.mark.parametrize("seeds", [SEEDS], ids=["300-histories"])
def test_the_target_ends_as_the_source_whatever_crashes_where(seeds):
    crashes = 0
    for seed in seeds:
        run = Run(History(seed))
        assert run.to_the_end() == run.expected(), f"seed {seed}"
        crashes += run.crashes
    assert crashes > len(seeds)


def test_no_checkpoint_is_ever_ahead_of_what_was_applied():
    for seed in range(100):
        run = Run(History(seed))
        run.to_the_end()
        applied = {change.version for change in run.sink.changes.values()}
        assert applied, f"seed {seed}"
        for lease in run.leases.values():
            numbers = [int(c) for c in lease.history if c.isdigit()]
            assert numbers == sorted(numbers), f"seed {seed}"


def test_a_replay_gives_every_record_the_same_version_again():
    for seed in range(100):
        calm, shaken = Run(History(seed), crash_rate=0.0), Run(History(seed))
        calm.to_the_end()
        shaken.to_the_end()
        tail = {k: c.version for k, c in calm.sink.changes.items() if c.version > BACKFILL_VERSION}
        again = {k: c.version for k, c in shaken.sink.changes.items() if c.version > BACKFILL_VERSION}
        assert tail == again, f"seed {seed}"


def seen(**planted):
    """True when at least one history ends wrong, or does not end, with this bug."""
    for seed in BUG_SEEDS:
        run = Run(History(seed), **{name: make() if name == "sink" else make for name, make in planted.items()})
        try:
            wrong = run.to_the_end() != run.expected()
        except StateMissing:  # an engine that stops has noticed as well
            wrong = True
        if wrong:
            return True
    return False


class SinkWithoutVersions(MemorySink):
    """Planted: the row's version is ignored, the last to arrive wins."""

    def apply(self, changes):
        self.changes.update({change.key: change for change in changes})
        return ()


class SinkThatForgetsDeletions(MemorySink):
    """Planted: a deletion removes the row and is not remembered."""

    def apply(self, changes):
        super().apply(changes)
        self.changes = {key: change for key, change in self.changes.items() if change.item is not None}
        return ()


class CheckpointBeforeApply(ShardProcessor):
    """Planted: the position is made durable before the changes are."""

    def process_records(self, arrived):
        events = [self._read(r.binary_data, r.sequence_number, self._versions) for r in arrived.records]
        self._pending = _after(self._pending, events, 0, 0)
        self._last = Position(events[-1].sequence, events[-1].version)
        self._checkpoint(arrived.checkpointer)
        deliver(self._apply, [event.change for event in events if event.change is not None], self._keep)


class CounterInMemory(ShardProcessor):
    """Planted: the tie-break within a second starts anew with the process (Data Prepper's bug)."""

    def initialize(self, start):
        super().initialize(start)
        self._versions = VersionClock(0)


class PositionAfterCheckpoint(ShardProcessor):
    """Planted: KCL's checkpoint first, the version's position afterwards."""

    def _checkpoint(self, checkpointer, *, now=False):  # noqa: ARG002  the real one's signature
        if self._last is not None:
            self._to_kcl(checkpointer, self._last.sequence)
        self._save()


class ChildFromZero(ShardProcessor):
    """Planted: a child shard does not go on from its parent's last version."""

    def initialize(self, start):
        super().initialize(start)
        if start.shard_id == "child" and start.sequence_number == "TRIM_HORIZON":
            self._versions = VersionClock(0)


class ShardEndWithoutState(ShardProcessor):
    """Planted: the shard's end is checkpointed before its last version is durable."""

    def shard_ended(self, end):
        self._to_kcl(end.checkpointer, None)
        self._pending = msgspec.structs.replace(self._pending, ended=True)
        self._save()


class WholeSeconds(ShardProcessor):
    """Planted: the version is the stream's time, which cannot order two writes of one second."""

    def initialize(self, start):
        super().initialize(start)

        class Seconds(VersionClock):
            def next(self, created_millis):
                self.last = created_millis // 1000 * 10**6
                return self.last

        self._versions = Seconds(0)


@pytest.mark.parametrize(
    "planted",
    [
        {"sink": SinkWithoutVersions},
        {"sink": SinkThatForgetsDeletions},
        {"processor": CheckpointBeforeApply},
        {"processor": CounterInMemory},
        {"processor": PositionAfterCheckpoint},
        {"processor": ChildFromZero},
        {"processor": ShardEndWithoutState},
        {"processor": WholeSeconds},
    ],
    ids=lambda planted: next(iter(planted.values())).__name__,
)
def test_a_planted_bug_is_seen(planted):
    assert seen(**planted)


def test_a_process_whose_shard_was_claimed_by_another_ends_before_its_next_checkpoint():
    run = Run(History(1), crash_rate=0.0)
    lease = Lease()
    first = ShardProcessor(
        claim=run._claim,
        open_sink=lambda: None,
        read=record_reader(KEYS),
        apply=run.sink.apply,
        keep=no_letters,
        checkpoint_seconds=0,
    )
    first.initialize(SimpleNamespace(shard_id="parent", sequence_number="TRIM_HORIZON"))
    run._claim("parent", "TRIM_HORIZON")
    with pytest.raises(ShardLost, match="parent"):
        first.process_records(page(run.history.records[:3], Checkpointer(lease)))
    assert lease.history == []

"""`moveout pause tail`, in a shard's process."""

from types import SimpleNamespace

import pytest
from fakes import Checkpointer, FlakySink, Lease, no_letters, page, record
from scanned_table import SimulatedTime

from daemon.control import ShardState
from daemon.kcl.processor import SLICE_BYTES, Claimed, ShardProcessor
from daemon.retry import Abandoned
from daemon.source.stream import record_reader
from sinks.change import Key, KeyAttribute, KeySchema


class Shard:
    """A processor over a memory sink; `paused` and `wanted` are the test's."""

    def __init__(self, slice_bytes=SLICE_BYTES):
        self.clock, self.sink, self.lease = SimulatedTime(), FlakySink(), Lease()
        self.checkpointer, self.saved = Checkpointer(self.lease), []
        self.paused, self.wanted = False, True
        self.inner = ShardProcessor(
            claim=lambda *_: Claimed(ShardState(anchor=0), 0, self._put, version=0, clock=self.clock),
            open_sink=lambda: None,
            read=record_reader(KeySchema(KeyAttribute("id", "S"))),
            apply=self.sink.apply,
            keep=no_letters,
            checkpoint_seconds=3600,
            clock=self.clock,
            paused=lambda: self.paused,
            wanted=lambda: self.wanted,
            slice_bytes=slice_bytes,
        )
        self.inner.initialize(SimpleNamespace(shard_id="s", sequence_number="TRIM_HORIZON"))

    def _put(self, state, revision):
        self.saved.append(state)
        return revision + 1

    def deliver(self, *numbers):
        image = {"n": {"N": "1"}}
        self.inner.process_records(page([record(n, "INSERT", f"k{n}", image) for n in numbers], self.checkpointer))


def test_a_paused_shard_waits_before_the_next_batch_and_goes_on_with_it():
    shard = Shard()
    shard.paused = True
    began, seen = shard.clock.now, []

    def asleep():
        seen.append(len(shard.sink.changes))
        shard.paused = shard.clock.now - began < 3600

    shard.clock.asleep = asleep
    shard.deliver(1, 2)
    assert set(seen) == {0}
    assert shard.clock.now - began >= 3600
    assert set(shard.sink.changes) == {Key("k1"), Key("k2")}


def test_an_idle_shard_does_not_wait_nor_ask():
    shard = Shard()
    shard.inner._paused = lambda: pytest.fail("asked")
    shard.deliver()


def test_what_was_applied_is_checkpointed_before_the_wait():
    shard = Shard(slice_bytes=1)  # every record is a batch of its own
    apply = shard.inner._apply

    def apply_and_pause(changes):
        rejections = apply(changes)
        shard.paused = len(shard.sink.changes) == 2
        return rejections

    shard.inner._apply, shard.inner._saved_at = apply_and_pause, shard.clock.now
    at_sleep = []

    def asleep():
        at_sleep.append((len(shard.sink.changes), shard.saved[-1].records, shard.lease.checkpoint))
        shard.paused = False

    shard.clock.asleep = asleep
    shard.deliver(1, 2, 3)
    assert at_sleep == [(2, 2, f"{2:021d}")]
    assert len(shard.sink.changes) == 3


def test_a_paused_shard_whose_jvm_is_gone_ends_and_has_applied_nothing():
    shard = Shard()
    shard.paused = True
    shard.clock.asleep = lambda: setattr(shard, "wanted", False)
    with pytest.raises(Abandoned, match="the KCL has ended"):
        shard.deliver(1)
    assert not shard.sink.changes
    assert shard.lease.checkpoint == "TRIM_HORIZON"


def test_a_paused_shard_that_has_lost_its_lease_applies_nothing_more():
    shard = Shard(slice_bytes=1)
    shard.inner._saved_at = shard.clock.now
    apply = shard.inner._apply

    def apply_and_pause(changes):
        rejections = apply(changes)
        shard.paused = True
        shard.checkpointer.refusals.append("ShutdownException")
        return rejections

    shard.inner._apply = apply_and_pause
    shard.clock.asleep = lambda: setattr(shard, "paused", False)
    shard.deliver(1, 2)
    assert set(shard.sink.changes) == {Key("k1")}


def test_each_failed_attempt_at_the_target_is_counted_and_a_position_does_not_forget_them():
    shard = Shard()
    for said in ("no node answers", "no node answers", None, "overloaded"):
        shard.inner.trouble(said)
    assert [state.retries for state in shard.saved] == [1, 2, 2, 3]
    shard.inner.trouble(None)
    shard.deliver(1)
    shard.inner.shutdown_requested(SimpleNamespace(checkpointer=shard.checkpointer))
    assert (shard.saved[-1].retries, shard.saved[-1].records) == (3, 1)

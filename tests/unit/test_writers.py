"""The steps of the writers' switch, one at a time; `property/test_writers.py` has them in any order."""

import msgspec

from daemon.control import Migration, ShardState
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.source.shards import Shard, Stream
from daemon.switching import Step
from daemon.writers import (
    Begun,
    Quiet,
    Sight,
    Work,
    behind_clock,
    cancelled,
    leak,
    next_step,
    not_frozen,
    quiet,
    requested,
)

READY = Migration(phase=Phase.REPLICATING, ready_since=1.0, routes=Routes(100), epoch=7)
BEGAN, TIMEOUT = 1000.0, 30.0
LEAK = "shard a has had a write of the application"


def good(now):
    return Sight(now, Work(done=True), quiet=Quiet(3, 5, ""), clock=None, not_frozen=None)


def at(step):
    """A switch in which all went well so far."""
    migration, now = requested(READY, "id", BEGAN, TIMEOUT), BEGAN
    while migration.switch.step is not step:
        now += 0.1
        migration = next_step(migration, good(now))
    return migration


def test_a_write_behind_the_proof_is_never_passed_over():
    for step in (Step.VERIFY, Step.CLOCK, Step.FREEZE):
        assert next_step(at(step), good(BEGAN + 9)._replace(leak=LEAK)).switch.step is Step.DRAIN


def test_the_flag_falls_with_the_decision_to_undo_it_and_the_fences_after_it():
    undone = next_step(at(Step.DRAIN), good(BEGAN + TIMEOUT))
    assert (undone.switch.step, undone.routes.writes_fenced, undone.phase) == (Step.UNFENCE, False, Phase.SWITCHING)
    held = next_step(undone, good(BEGAN + TIMEOUT)._replace(work=Work(failed="the lock does not answer")))
    assert held.switch.waits_for == "the lock does not answer"
    assert next_step(held, good(BEGAN + TIMEOUT)).phase is Phase.REPLICATING


def test_each_freeze_asks_for_an_epoch_of_its_own_so_that_an_old_answer_is_none():
    migration, epochs, now = requested(READY, "id", BEGAN, 1e9), [], BEGAN
    while len(epochs) < 3:
        now += 1
        seen = good(now)
        if migration.switch.step is Step.FREEZE:
            epochs.append(migration.switch.frozen_epoch)
            seen = seen._replace(leak="shard a has had a write of the application")
        migration = next_step(migration, seen)
    assert len(set(epochs)) == 3


def test_the_deadline_undoes_it_at_every_step_before_commit_and_at_none_behind_it():
    migration, now = requested(READY, "id", BEGAN, TIMEOUT), BEGAN
    undone = []
    while migration.switch.step is not Step.DONE:
        now += 0.1
        late = next_step(migration, good(BEGAN + TIMEOUT))
        undone += [migration.switch.step] if late.switch.step is Step.UNFENCE else []
        migration = next_step(migration, good(now))
    assert undone == [Step.FENCE, Step.FENCE, Step.DRAIN, Step.VERIFY, Step.CLOCK, Step.FREEZE]


def test_a_gap_in_the_stream_lifts_the_fence_before_anything_else():
    migration = next_step(requested(READY, "id", BEGAN, TIMEOUT), good(BEGAN))
    gapped = next_step(msgspec.structs.replace(migration, gap="trimmed"), good(BEGAN + 1))
    assert gapped.switch.step is Step.UNFENCE
    assert not gapped.routes.writes_fenced


def sealing(step):
    """A switch that seals the stream, at that step."""
    migration, now = requested(READY, "id", BEGAN, 1e9), BEGAN
    while migration.switch.step is not step:
        now += 0.1
        migration = next_step(migration, good(now)._replace(seals=True))
    return migration


def test_where_the_stream_is_sealed_heartbeats_prove_nothing_and_the_seal_does():
    draining = sealing(Step.DRAIN)
    heard = good(BEGAN + 9)._replace(work=Work(trouble="the stream to be disabled"))
    assert next_step(draining, heard).switch.step is Step.DRAIN
    assert next_step(draining, heard).switch.waits_for == "the stream to be disabled"
    assert next_step(draining, good(BEGAN + 9)._replace(quiet=Quiet())).switch.step is Step.VERIFY


def test_behind_a_seal_the_flag_falls_only_when_the_stream_is_open_again():
    for step in (Step.DRAIN, Step.VERIFY, Step.CLOCK, Step.FREEZE):
        failed = next_step(sealing(step), good(BEGAN + 9)._replace(work=Work(failed="they differ")))
        assert (failed.switch.step, failed.routes.writes_fenced) == (Step.REOPEN, True)
        waits = next_step(failed, good(BEGAN + 10)._replace(work=Work(trouble="the table is UPDATING")))
        assert (waits.switch.step, waits.routes.writes_fenced) == (Step.REOPEN, True)
        assert cancelled(waits, "by a person", BEGAN + 11) == waits
        opened = next_step(waits, good(BEGAN + 12))
        assert (opened.switch.step, opened.routes.writes_fenced) == (Step.UNFENCE, False)
        back = next_step(opened, good(BEGAN + 13))
        assert (back.phase, back.switch.failed) == (Phase.REPLICATING, "they differ")
    # Nothing is sealed while the fences are still being held.
    early = next_step(sealing(Step.FENCE), good(BEGAN + 9)._replace(seals=True, work=Work(failed="refused")))
    assert early.switch.step is Step.UNFENCE


# What the shards' records say.

SHARDS = {name: Shard(name, None, closed=False) for name in "ab"}
STREAM = Stream("arn", "NEW_IMAGE", "ENABLED", 0.0, SHARDS)
BEGUN = {number: Begun(at, at) for number, at in ((10, 100.0), (11, 102.0), (12, 104.0), (13, 106.0))}


def state(since=0, heartbeat=0, **more):
    return ShardState(anchor=0, quiet_since_round=since, heartbeat_round=heartbeat, **more)


def test_two_rounds_a_window_apart_with_nothing_in_between_in_any_shard_prove_the_fence():
    states = {"a": state(3, 12), "b": state(11, 13)}
    assert quiet(STREAM, states, 13, BEGUN, 2.0)[:2] == (11, 12)
    assert not quiet(STREAM, states, 13, BEGUN, 2.1).since  # not so far apart
    assert not quiet(STREAM, states, 11, BEGUN, 2.0).since  # the second is not proven yet
    assert not quiet(STREAM, {**states, "b": state(0, 13)}, 13, BEGUN, 2.0).since  # a write since
    assert not quiet(STREAM, {"a": states["a"]}, 13, BEGUN, 2.0).since  # nobody reads b
    assert not quiet(STREAM, states, 13, {9: Begun(0.0, 0.0)}, 2.0).since  # begun before the fence


def test_a_write_after_the_proof_is_seen_and_a_shard_that_has_just_opened_is_none():
    assert leak(STREAM, {"a": state(3, 12, applied=5), "b": state(11, 13, applied=5)}, 11) is None
    assert "shard b" in leak(STREAM, {"a": state(3, 12), "b": state(0, 13, applied=1)}, 11)
    assert "shard b" in leak(STREAM, {"a": state(3, 12), "b": state(12, 13, applied=1)}, 11)
    assert leak(STREAM, {"a": state(3, 12), "b": state(0, 0)}, 11) is None
    assert leak(STREAM, {"a": state(3, 12), "b": state(12, 13, applied=4, expired=4)}, 11) is None


def test_every_shard_that_somebody_has_must_say_so_itself_unless_it_is_at_its_end():
    frozen = state(owner="x", frozen_epoch=9)
    assert not_frozen({"a": frozen, "b": state(owner="x", ended=True), "c": state()}, 9) is None
    assert "shard a" in not_frozen({"a": frozen}, 10)


def test_one_clock_that_is_behind_keeps_everybody_waiting():
    applied = [ShardState(anchor=5_000_000), ShardState(anchor=7_000_000)]
    assert behind_clock(applied, [8_000_001, 9_000_000], 1.0) is None
    assert behind_clock(applied, [8_000_000, 9_000_000], 1.0)
    assert behind_clock(applied, [], 1.0)

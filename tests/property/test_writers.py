"""The switch of the writers, decided: whatever is observed, fails or crashes, it ends in one of two states."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.control import Migration
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.switching import Step
from daemon.writers import Quiet, Sight, Work, cancelled, next_step, requested

READY = Migration(phase=Phase.REPLICATING, ready_since=1.0, routes=Routes(100), epoch=7)
BEGAN, TIMEOUT = 1000.0, 30.0
ORDER = [Step.FENCE, Step.DRAIN, Step.VERIFY, Step.CLOCK, Step.FREEZE, Step.COMMIT, Step.OPEN, Step.DONE]

sentences = st.sampled_from([None, "it is not so yet"])
works = st.builds(Work, done=st.booleans(), failed=st.sampled_from([None, None, None, "refused"]), trouble=sentences)
quiets = st.sampled_from([Quiet(), Quiet(3, 5, ""), Quiet(8, 9, "")])
sights = st.builds(
    Sight,
    now=st.floats(0, 12),  # since the sight before
    work=works,
    flag=st.booleans(),
    seals=st.booleans(),
    quiet=quiets,
    leak=st.sampled_from([None, None, "shard a has had a write of the application"]),
    clock=sentences,
    not_frozen=sentences,
    late=sentences,
)
acts = st.one_of(sights, st.sampled_from(["cancel", "crash"]))


def good(now):
    return Sight(now, Work(done=True), quiet=Quiet(3, 5, ""), clock=None, not_frozen=None)


def sound(migration):
    """What must hold of every record that is ever persisted."""
    routes, phase = migration.routes, migration.phase
    assert (routes.writes == "target") == (phase is Phase.SWITCHED)
    assert not routes.writes_fenced or phase is Phase.SWITCHING
    if migration.switch.step is Step.UNFENCE:
        assert not routes.writes_fenced
        journal = [entry.step for entry in migration.switch.journal]
        assert not migration.switch.sealing or journal[-2] is Step.REOPEN
    if phase is Phase.REPLICATING:
        assert migration.switch.step is Step.DONE
        assert migration.switch.failed


@given(st.lists(acts, max_size=40))
@settings(max_examples=300, deadline=None)
def test_whatever_is_seen_and_fails_it_ends_switched_or_replicating_with_the_fence_lifted(acts):
    migration, now = requested(READY, "id", BEGAN, TIMEOUT), BEGAN
    for act in acts:
        before = migration
        if act == "cancel":
            migration = cancelled(migration, "cancelled by a person", now)
        elif act == "crash":  # the record is all that is left
            migration = msgspec.json.decode(msgspec.json.encode(migration), type=Migration)
        else:
            now += act.now
            migration = next_step(migration, act._replace(now=now))
        assert migration.epoch >= before.epoch
        assert (migration.epoch > before.epoch) or migration.routes == before.routes
        sound(migration)
    for _ in range(len(ORDER) + 3):  # nothing fails any more
        now += 1
        migration = next_step(migration, good(now))
        sound(migration)
    assert migration.switch.step is Step.DONE
    assert migration.phase in (Phase.SWITCHED, Phase.REPLICATING)
    assert next_step(migration, good(now + 1)) == migration


@given(st.lists(sights, max_size=30))
@settings(max_examples=200, deadline=None)
def test_nothing_is_committed_unless_each_condition_was_seen_to_hold_in_its_step(sights):
    migration, now = requested(READY, "id", BEGAN, 1e9), BEGAN
    for sight in sights:
        now += sight.now
        step, seen = migration.switch.step, sight._replace(now=now)
        migration = next_step(migration, seen)
        if migration.switch.step is step:
            continue
        if step is Step.FENCE and migration.switch.step is Step.DRAIN:
            assert seen.work.done
            assert not seen.flag or migration.routes.writes_fenced
        if step is Step.DRAIN and migration.switch.step is Step.VERIFY:
            assert seen.work.done if migration.switch.sealing else seen.quiet.since
        if step is Step.VERIFY and migration.switch.step is Step.CLOCK:
            assert (seen.work.done, seen.leak) == (True, None)
        if migration.switch.step is Step.FREEZE:
            assert (seen.clock, seen.leak) == (None, None)
            assert migration.switch.frozen_epoch == migration.epoch
        if migration.switch.step is Step.COMMIT:
            assert (step, seen.leak, seen.clock, seen.not_frozen, seen.late) == (Step.FREEZE, None, None, None, None)

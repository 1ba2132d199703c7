"""The seal, step by step: when it may be set, what it proves, and that there is always a way back."""

import msgspec
import pytest

from daemon.control import Migration, ShardState
from daemon.gap import StreamIdentity, of_identity
from daemon.lag import SIBLING_SECONDS
from daemon.seal import SealState, SealStep, Sight, accounts_for, next_step
from daemon.source.shards import Shard, Stream

NOW = 1_700_000_000.0
OLD, NEW = "arn/stream/1", "arn/stream/2"
LISTED = Stream(OLD, "NEW_IMAGE", "ENABLED", 0.0, {"s": Shard("s", None, closed=False)}, NOW)
DISABLED = msgspec.structs.replace(LISTED, status="DISABLED")
REOPENED = Stream(NEW, "NEW_IMAGE", "ENABLED", NOW - 60, {"n": Shard("n", None, closed=False)}, NOW)
ON, OFF, AGAIN = StreamIdentity(OLD, True), StreamIdentity(OLD, False), StreamIdentity(NEW, True)  # noqa: FBT003
ENDED = {"s": ShardState(anchor=0, ended=True)}


def silent(since, until=1):
    return {"s": ShardState(anchor=0, empty_polls=99, empty_since=NOW - since, empty_until=NOW - until)}


def at(step, began=NOW - 300, **more):
    return SealState("one", step, began, OLD, "NEW_IMAGE", "", **{"sealed_at": NOW - 60, **more})


def after(state, *, identity=ON, stream=LISTED, states=ENDED, back=False, **more):
    return next_step(state, Sight(NOW, identity, stream, states, **more), back=back).step


def test_nothing_is_sealed_before_the_held_fence_was_quiet_for_a_minute():
    assert after(at(SealStep.WATCHING), states=silent(62)) is SealStep.SEALING
    assert after(at(SealStep.WATCHING), states=silent(50)) is SealStep.WATCHING
    # Quiet for an hour, but the fence is younger.
    assert after(at(SealStep.WATCHING, began=NOW - 30), states=silent(3600)) is SealStep.WATCHING
    assert after(at(SealStep.WATCHING), states={"s": ShardState(anchor=0)}) is SealStep.WATCHING


def test_the_instant_that_it_proves_is_before_the_stream_is_disabled():
    decided = next_step(at(SealStep.WATCHING, sealed_at=None), Sight(NOW, ON, LISTED, silent(62)), back=False)
    assert (decided.step, decided.sealed_at, decided.zero) == (SealStep.SEALING, NOW, False)


def test_it_is_zero_only_when_every_shard_of_the_disabled_stream_is_read_to_its_end():
    draining = at(SealStep.DRAINING)
    assert after(draining, identity=OFF, stream=DISABLED) is SealStep.SEALED
    assert after(draining, identity=OFF, stream=DISABLED, states=silent(999)) is SealStep.DRAINING
    assert after(draining, identity=OFF, stream=DISABLED, states={}) is SealStep.DRAINING
    assert (
        after(draining, identity=OFF, stream=msgspec.structs.replace(LISTED, status="DISABLING")) is SealStep.DRAINING
    )


def test_a_listing_in_which_the_last_shard_may_be_missing_is_not_trusted():
    young = at(SealStep.DRAINING, sealed_at=NOW - SIBLING_SECONDS + 1)
    assert after(young, identity=OFF, stream=DISABLED) is SealStep.DRAINING


def test_a_stream_that_somebody_else_enabled_meanwhile_is_not_taken_for_sealed():
    assert after(at(SealStep.SEALING), identity=AGAIN) is SealStep.SEALING
    assert not accounts_for(at(SealStep.SEALED), Migration(stream_arn=OLD), AGAIN)


def test_the_way_back_leads_over_a_new_stream_before_the_fence_may_be_lifted():
    for step in (SealStep.DRAINING, SealStep.SEALED):
        assert after(at(step), identity=OFF, stream=DISABLED, back=True) is SealStep.REOPENING
    assert not at(SealStep.REOPENING).may_lift
    assert after(at(SealStep.REOPENING), identity=OFF, back=True) is SealStep.REOPENING
    listed = msgspec.structs.replace(REOPENED, shards={})
    assert after(at(SealStep.REOPENING), identity=AGAIN, reopened=listed, back=True) is SealStep.REOPENING
    assert after(at(SealStep.REOPENING), identity=AGAIN, reopened=REOPENED, back=True) is SealStep.REOPENED
    assert at(SealStep.REOPENED).may_lift
    assert after(at(SealStep.REOPENED), identity=AGAIN, reopened=REOPENED, swapped=True, back=True) is SealStep.OPEN


def test_what_was_not_sealed_needs_no_way_back():
    assert after(at(SealStep.WATCHING), back=True) is SealStep.OPEN
    assert after(at(SealStep.SEALING), back=True) is SealStep.OPEN
    assert after(at(SealStep.SEALING), identity=OFF, back=True) is SealStep.REOPENING


@pytest.mark.parametrize("step", [SealStep.SEALING, SealStep.DRAINING, SealStep.SEALED, SealStep.REOPENING])
def test_a_stream_that_we_disabled_is_no_gap(step):
    migration = Migration(stream_arn=OLD)
    assert of_identity(migration, OFF) is not None
    assert accounts_for(at(step), migration, OFF)


@pytest.mark.parametrize("state", [None, at(SealStep.OPEN), at(SealStep.WATCHING)])
def test_a_stream_that_we_did_not_disable_is_one(state):
    assert not accounts_for(state, Migration(stream_arn=OLD), OFF)


def test_the_stream_that_we_enabled_again_is_no_gap_and_another_one_is():
    migration = Migration(stream_arn=OLD)
    assert accounts_for(at(SealStep.REOPENED, new_arn=NEW), migration, AGAIN)
    assert not accounts_for(at(SealStep.REOPENED, new_arn="arn/stream/9"), migration, AGAIN)
    assert not accounts_for(at(SealStep.REOPENED, new_arn=NEW), Migration(stream_arn=NEW), AGAIN)


def drills(seed):
    """A seal that is turned back at any turn, under a table and shards that take their time."""
    import random

    chance = random.Random(seed)
    state, identity, stream, ended = at(SealStep.WATCHING, sealed_at=None), ON, LISTED, False
    reopened, swapped, now, back_at = None, False, NOW, chance.choice((999, chance.randrange(1, 25)))
    for turn in range(80):
        now += 12
        listed = msgspec.structs.replace(stream, listed_at=now)
        run = ShardState(anchor=0, empty_polls=99, empty_since=NOW - 100, empty_until=now, ended=ended)
        new = msgspec.structs.replace(reopened, listed_at=now) if reopened else None
        seen = Sight(now, identity, listed, {"s": run}, new, swapped)
        state = next_step(state, seen, back=turn >= back_at)
        yield state, identity, ended, turn >= back_at
        if chance.random() < 0.5:
            continue  # a crash, or an answer that is late: the act is done in a later turn
        if state.step is SealStep.SEALING and identity == ON:
            identity, stream = OFF, DISABLED
        elif state.step is SealStep.REOPENING and identity == OFF:
            identity, reopened = AGAIN, REOPENED
        elif state.step is SealStep.REOPENED and ended:
            swapped = True
        ended = ended or (stream is DISABLED and chance.random() < 0.3)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_crashes_when_it_is_never_lifted_over_a_disabled_stream_and_always_ends(seed):
    turns = list(drills(seed))
    assert not any(state.zero and not ended for state, _, ended, _ in turns)
    assert not any(state.may_lift and identity == OFF for state, identity, _, _ in turns)
    state, _, _, back = turns[-1]
    assert state.step is (SealStep.OPEN if back else SealStep.SEALED)

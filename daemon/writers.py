"""The switch of the writers, decided: next_step(migration, sight) -> migration. Pure.

Whoever leads drives it, a step at a time, each persisted by compare-and-set before the next one is looked at; so a
crash anywhere goes on from the record (facts/cutover.md §3c, daemon/README.md "The switch of the writers"). Before
COMMIT every failure, and the deadline, lead to UNFENCE and back to replicating. COMMIT is one write: route, phase and
step together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from daemon.control import Migration, ShardState
from daemon.phase import Phase
from daemon.source.shards import Stream
from daemon.switching import UNDOING, Entry, Step, Switch

JOURNAL_MAX = 200


class Work(NamedTuple):
    """What has become of the step's own work. `failed` is a verdict, `trouble` is worth another try."""

    done: bool = False
    failed: str | None = None
    trouble: str | None = None
    target_stream: str = ""


NOTHING_YET = Work()


class Begun(NamedTuple):
    """A round's heartbeats were written between these two instants of one clock, in seconds."""

    after: float
    before: float


class Quiet(NamedTuple):
    """No application record came between two rounds of heartbeats; round 0: not proven, and why."""

    since: int = 0
    until: int = 0
    reason: str = "no round of heartbeats was begun since the fence"


class Sight(NamedTuple):
    """What the leader sees. `now` in epoch seconds; a sentence is what is still waited for, None where nothing is."""

    now: float
    work: Work = NOTHING_YET
    flag: bool = True  # the application follows the published route
    seals: bool = False  # the stream is sealed instead of being proven by heartbeats
    quiet: Quiet = Quiet()
    leak: str | None = None
    clock: str | None = "the target's clocks were not asked yet"
    not_frozen: str | None = "no shard was looked at yet"
    late: str | None = None  # processes that have lost a shard and may not know it yet


def requested(migration: Migration, id_: str, now: float, timeout_seconds: float) -> Migration:
    """What `moveout cutover writers` writes. Whether it may is asked before; see `refusals`."""
    message = f"the switch of the writers was asked for; it has {timeout_seconds:g} s"
    switch = Switch(id_, Step.FENCE, now, now + timeout_seconds, (Entry(now, Step.FENCE, message),))
    return msgspec.structs.replace(migration, phase=Phase.SWITCHING, message=message, switch=switch)


def cancelled(migration: Migration, why: str, now: float) -> Migration:
    """Back, as long as that is possible; unchanged where it is not."""
    switch = migration.switch
    if migration.phase is not Phase.SWITCHING or switch is None or switch.step in UNDOING:
        return migration
    return _undone(migration, why, now)


def next_step(migration: Migration, sight: Sight) -> Migration:
    """The next state; the same one while it waits."""
    switch = migration.switch
    if switch is None or switch.step is Step.DONE:
        return migration
    if migration.phase in (Phase.SWITCHED, Phase.ABORTED) or switch.step in UNDOING:
        return _FINISH[switch.step](migration, sight) if switch.step in _FINISH else migration
    if migration.phase is not Phase.SWITCHING:
        return migration
    why = _failure(migration, switch, sight)
    return _undone(migration, why, sight.now) if why else _FORWARD[switch.step](migration, sight)


def _failure(migration: Migration, switch: Switch, sight: Sight) -> str | None:
    if migration.gap is not None:
        return f"the stream has lost changes: {migration.gap}"
    if sight.work.failed is not None:
        return sight.work.failed
    if sight.now >= switch.deadline:
        waited = f": {switch.waits_for}" if switch.waits_for else ""
        return f"step {switch.step} was not done within {switch.deadline - switch.began_at:.0f} s{waited}"
    return None


def _switch(migration: Migration) -> Switch:
    assert migration.switch is not None  # noqa: S101  looked at by next_step
    return migration.switch


def _fence(migration: Migration, sight: Sight) -> Migration:
    if sight.flag and not migration.routes.writes_fenced:
        fenced = msgspec.structs.replace(migration.routes, writes_fenced=True)
        told = msgspec.structs.replace(migration, routes=fenced, epoch=migration.epoch + 1)
        return _to(told, Step.FENCE, "the writers are told to stop", sight.now)
    if not sight.work.done:
        return _waiting(migration, sight.work.trouble or "the fences to be held")
    proof = (
        "the stream is sealed when nothing has come for a minute"
        if sight.seals
        else "two rounds of heartbeats have to prove it"
    )
    held = _to(migration, Step.DRAIN, f"the fence is up; {proof}", sight.now)
    return _with(held, fenced_at=sight.now, sealing=sight.seals)


def _drain(migration: Migration, sight: Sight) -> Migration:
    if _switch(migration).sealing:
        if not sight.work.done:
            return _waiting(migration, sight.work.trouble or "the stream to be sealed")
        return _to(migration, Step.VERIFY, "the stream is sealed, and all that was in it is applied", sight.now)
    if not sight.quiet.since:
        return _waiting(migration, sight.quiet.reason)
    rounds = f"{sight.quiet.since} and {sight.quiet.until}"
    message = f"the fence holds: nothing was written between rounds {rounds} of heartbeats, and all before is applied"
    return _with(_to(migration, Step.VERIFY, message, sight.now), quiet_round=sight.quiet.since)


def _verify(migration: Migration, sight: Sight) -> Migration:
    if sight.leak is not None:
        return _leaked(migration, sight)
    if not sight.work.done:
        return _waiting(migration, sight.work.trouble or "the final check")
    verified = _to(migration, Step.CLOCK, "the final check found no difference", sight.now)
    return _with(verified, target_stream=sight.work.target_stream)


def _clock(migration: Migration, sight: Sight) -> Migration:
    if sight.leak is not None:
        return _leaked(migration, sight)
    if sight.clock is not None:
        return _waiting(migration, sight.work.trouble or sight.clock)
    # An epoch of its own for each freeze: what was acknowledged once is not acknowledged again.
    frozen = msgspec.structs.replace(migration, epoch=migration.epoch + 1)
    message = "the target's clocks are past every version; every shard is to stand still"
    return _with(_to(frozen, Step.FREEZE, message, sight.now), frozen_epoch=frozen.epoch)


def _freeze(migration: Migration, sight: Sight) -> Migration:
    if sight.leak is not None:
        return _leaked(migration, sight)
    waits = sight.not_frozen or sight.clock or sight.late
    if waits is not None:
        return _waiting(migration, waits)
    routes = msgspec.structs.replace(migration.routes, writes="target", writes_fenced=False)
    committed = msgspec.structs.replace(
        migration,
        phase=Phase.SWITCHED,
        routes=routes,
        epoch=migration.epoch + 1,
        ready_since=migration.ready_since or sight.now,
    )
    message = "committed: the writers write to the target, the source is only watched; there is no way back"
    return _to(committed, Step.COMMIT, message, sight.now)


def _commit(migration: Migration, sight: Sight) -> Migration:
    return _to(migration, Step.OPEN, "the writers are let in at the target", sight.now)


def _open(migration: Migration, sight: Sight) -> Migration:
    if not sight.work.done:
        return _waiting(migration, sight.work.failed or sight.work.trouble or "the fences to let the writers in")
    switch = _switch(migration)
    seconds = sight.now - (switch.fenced_at or switch.began_at)
    message = f"the writers have switched to the target; the fence was up for {seconds:.1f} s"
    return _with(_to(migration, Step.DONE, message, sight.now), opened_at=sight.now)


def _unfence(migration: Migration, sight: Sight) -> Migration:
    if not sight.work.done:
        return _waiting(migration, sight.work.failed or sight.work.trouble or "the fences to be lifted")
    if migration.phase is Phase.ABORTED:
        return _with(migration, step=Step.DONE, waits_for="")
    message = f"the switch of the writers has failed, nothing has changed for them: {_switch(migration).failed}"
    lifted = _to(migration, Step.DONE, message, sight.now)
    return msgspec.structs.replace(lifted, phase=Phase.REPLICATING)


def _undone(migration: Migration, why: str, now: float) -> Migration:
    if not _switch(migration).sealing:
        return _unfenced(migration, why, now)
    message = f"the switch of the writers fails, the source's stream is enabled again before the fence is lifted: {why}"
    return _with(_to(migration, Step.REOPEN, message, now), failed=why)


def _reopen(migration: Migration, sight: Sight) -> Migration:
    if not sight.work.done:
        return _waiting(migration, sight.work.failed or sight.work.trouble or "the source's stream to be enabled again")
    return _unfenced(migration, _switch(migration).failed or "", sight.now)


def _unfenced(migration: Migration, why: str, now: float) -> Migration:
    """The flag first: it is what most writers wait for. The rest follows as the step's work, under its own epoch."""
    routes = msgspec.structs.replace(migration.routes, writes_fenced=False)
    back = msgspec.structs.replace(migration, routes=routes, epoch=migration.epoch + 1)
    message = f"the switch of the writers fails, the fence is lifted: {why}"
    return _with(_to(back, Step.UNFENCE, message, now), failed=why)


def _leaked(migration: Migration, sight: Sight) -> Migration:
    """Somebody got through the fence: prove it anew, as long as there is time."""
    message = f"{sight.leak}: a writer came through the fence; it has to be proven anew"
    return _to(migration, Step.DRAIN, message, sight.now)


def _waiting(migration: Migration, what: str) -> Migration:
    return migration if _switch(migration).waits_for == what else _with(migration, waits_for=what)


def _to(migration: Migration, step: Step, message: str, now: float) -> Migration:
    journal = (*_switch(migration).journal, Entry(now, step, message))[-JOURNAL_MAX:]
    told = msgspec.structs.replace(migration, message=message)
    return _with(told, step=step, journal=journal, waits_for="")


def _with(migration: Migration, **values: object) -> Migration:
    return msgspec.structs.replace(migration, switch=msgspec.structs.replace(_switch(migration), **values))


_Steps = Mapping[Step, Callable[[Migration, Sight], Migration]]
_FORWARD: _Steps = {
    Step.FENCE: _fence,
    Step.DRAIN: _drain,
    Step.VERIFY: _verify,
    Step.CLOCK: _clock,
    Step.FREEZE: _freeze,
}
_FINISH: _Steps = {Step.COMMIT: _commit, Step.OPEN: _open, Step.REOPEN: _reopen, Step.UNFENCE: _unfence}


# What the shards' records say.


def quiet(
    stream: Stream,
    states: Mapping[str, ShardState],
    proven_round: int,
    begun: Mapping[int, Begun],
    window_seconds: float,
) -> Quiet:
    """Two of the rounds `begun`, surely a window apart, with no application record in between in any leaf.

    `stream`, `states` and `proven_round` are of one look; `begun` holds rounds begun after the fence only. A leaf that
    opened between the two has no heartbeat of the first, so its own first one counts.
    """
    if not begun:
        return Quiet()
    since, until = 0, proven_round
    for leaf in stream.leaves:
        state = states.get(leaf.id)
        if state is None or not state.quiet_since_round:
            return Quiet(reason=f"shard {leaf.id} has had no heartbeat since the last write of the application")
        since, until = max(since, state.quiet_since_round), min(until, state.heartbeat_round)
    first = min((number for number in begun if number >= since), default=0)
    last = max((number for number in begun if number <= until), default=0)
    if not first or last <= first or begun[last].after - begun[first].before < window_seconds:
        return Quiet(
            reason=f"two rounds of heartbeats to come through, {window_seconds:g} s apart, with nothing in between"
        )
    return Quiet(first, last, "")


def leak(stream: Stream, states: Mapping[str, ShardState], quiet_round: int) -> str | None:
    """A leaf with an application record since that round; a replay of one counts as well."""
    for leaf in stream.leaves:
        state = states.get(leaf.id)
        if state is None or 0 < state.quiet_since_round <= quiet_round:
            continue
        if state.applied + state.rejected > state.expired:
            return f"shard {leaf.id} has had a write of the application"
    return None


def not_frozen(states: Mapping[str, ShardState], epoch: int) -> str | None:
    """The first shard whose process has not acknowledged; `states` must have been read after FREEZE was persisted.

    A shard that nobody has claimed needs no acknowledgement: whoever claims it reads the record first.
    """
    for shard, state in states.items():
        if state.owner and not state.ended and state.frozen_epoch != epoch:
            return f"shard {shard} does not say yet that it stands still"
    return None


def behind_clock(states: Iterable[ShardState], clocks: Sequence[int], margin_seconds: float) -> str | None:
    """What the application writes must be newer than all that was applied. `clocks` in microseconds, one per node."""
    if not clocks:
        return "the target's clocks were not asked yet"
    newest = max((state.version for state in states), default=0)
    if min(clocks) > newest + margin_seconds * 1e6:
        return None
    return "a clock of the target has not passed the newest version that was applied"


def late(states: Iterable[ShardState], patience_seconds: float, now: float) -> str | None:
    """Whoever lost a shard to the one that has it now may still have a write under way."""
    claimed = max((state.claimed_at for state in states), default=0.0)
    return (
        "a shard has changed hands: what its last owner sent may still arrive"
        if claimed + patience_seconds > now
        else None
    )

"""What follows from what is observed. Pure: decide(state, observation) -> state, and the sentence why.

A phase is a decision and is kept; a condition is an observation and is made anew each time. A decision is
taken back only where this says so: `ready` may fall, a phase does not go backwards.
"""

from typing import NamedTuple

import msgspec

from daemon.control import Migration
from daemon.phase import Phase

# All is loaded and the stream is followed; once writers have switched, only to see who still writes at the source.
FOLLOWING = (Phase.REPLICATING, Phase.SWITCHING, Phase.SWITCHED)


class Observation(NamedTuple):
    """What is seen at one instant. Times in epoch seconds."""

    now: float
    parts_total: int
    parts_done: int
    items_total: int
    items_done: int
    part_error: str | None
    applied_through: float | None  # every write before it is durable in the target; None: nothing is proven
    lag_reason: str
    trouble: str | None  # what the target says, where it is away
    dead_letter: str | None = None  # the oldest that waits for a decision, in a sentence
    gap: str | None = None  # what the stream has lost
    settled: bool = False  # what must follow the load has been done
    applied: int = 0  # of items_done: taken by the target, refused by it, left out (heartbeats of our own)
    rejected: int = 0
    skipped: int = 0
    bytes_read: int = 0  # of what was loaded, unpacked
    estimated: bool = False  # items_total is no promise: some parts do not know how many they have
    export: str = ""  # where the export stands that the parts are waited for from, in a sentence
    export_failed: bool = False  # it needs a person
    hazard: str | None = None  # what of the target's settings could undo the move, and what mends it
    proof: str = "heartbeat"  # what applied_through rests on; of "quiet" it is only likely
    proven_at: float | None = None  # when applied_through was concluded
    unproven: str | None = None  # why applied_through, or the want of it, must not count
    strays: int = 0  # writes at the source after the writers had switched
    verified: "Condition | None" = None  # what the comparison of source and target says; None: nobody compares


class Limits(NamedTuple):
    """What the operator calls caught up."""

    max_lag_seconds: float
    stable_for_seconds: float


class Condition(msgspec.Struct, frozen=True):
    """One observation, in the shape of Kubernetes' conditions."""

    type: str
    status: bool
    reason: str
    message: str


def lag_seconds(migration: Migration, seen: Observation) -> float | None:
    """Proven lag; None while it has no bound: before the backfill is complete, or with nothing proven."""
    if migration.phase not in FOLLOWING or seen.applied_through is None:
        return None
    if seen.applied_through < migration.settled_at:
        # The sweep asked the source, and left alone what has come back there: that is still to come by the stream.
        return None
    return max(0.0, seen.now - seen.applied_through)


def conditions(migration: Migration, seen: Observation, limits: Limits) -> list[Condition]:
    """All that must hold before readers may switch, each with what it waits for."""
    lag = lag_seconds(migration, seen)
    within = lag is not None and lag <= limits.max_lag_seconds
    loading = [
        _backfill_complete(migration, seen),
        _letters_resolved(seen),
        _target_available(seen),
        _target_safe(seen),
    ]
    if migration.mode == "backfill":
        return loading
    if migration.phase is Phase.SWITCHED:
        return [loading[0], _gap_free(migration), *loading[1:], _no_stray_writes(migration, seen)]
    # Causes before their effects: the first that fails is the sentence that people read.
    return [
        loading[0],
        _gap_free(migration),
        *loading[1:],
        _lag_proven(lag, seen),
        Condition(
            "CaughtUp",
            within,
            "LagWithinLimit" if within else "Behind",
            f"proven lag is {_seconds(lag)}, the limit is {limits.max_lag_seconds:g} s",
        ),
        *_verified(seen),
    ]


def _lag_proven(lag: float | None, seen: Observation) -> Condition:
    reason = {"heartbeat": "Heartbeats", "seal": "Sealed"}.get(seen.proof, "Unproven")
    holds = (reason if lag is not None else "NothingProven", _proof(lag, seen))
    if seen.unproven is None and lag is None:
        return Condition("LagProven", False, *holds)  # noqa: FBT003
    return _unless("LagProven", seen.unproven, "Unproven", holds)


def _proof(lag: float | None, seen: Observation) -> str:
    """Heartbeats come through during the backfill as well: they prove no lag before it is complete."""
    early = lag is None and seen.applied_through is not None
    return f"{seen.lag_reason}; lag has no bound before the backfill is complete" if early else seen.lag_reason


def _gap_free(migration: Migration) -> Condition:
    holds = ("Continuous", "nothing was trimmed from the stream before it was read")
    return _unless("GapFree", migration.gap, "StreamGap", holds)


def _letters_resolved(seen: Observation) -> Condition:
    holds = ("NoneOpen", "the target refused no change that is still wanted")
    return _unless("DeadLettersResolved", seen.dead_letter, "Open", holds)


def _target_available(seen: Observation) -> Condition:
    return _unless("TargetAvailable", seen.trouble, "Retrying", ("Writing", "the target confirms writes"))


def _no_stray_writes(migration: Migration, seen: Observation) -> Condition:
    if migration.is_sealed:
        unseen = "the source's stream is sealed: a write that still comes to the source cannot be seen"
        return Condition("NoStrayWrites", True, "NotSeen", unseen)  # noqa: FBT003
    told = f"{seen.strays:,} write(s) came to the source after the switch: kept in the control table, not applied"
    holds = ("NoneSeen", "nobody has written to the source since the writers switched")
    return _unless("NoStrayWrites", told if seen.strays else None, "StrayWriter", holds)


def _unless(type_: str, trouble: str | None, reason: str, holds: tuple[str, str]) -> Condition:
    """Holds while there is no trouble, whose sentence is the message then. `holds`: reason and message without."""
    return Condition(type_, True, *holds) if trouble is None else Condition(type_, False, reason, trouble)  # noqa: FBT003


def _target_safe(seen: Observation) -> Condition:
    """Deletions are kept by the target's settings, and somebody may alter those while the move runs."""
    return Condition(
        "TargetSafe",
        seen.hazard is None,
        "SettingsHold" if seen.hazard is None else "SettingsAltered",
        seen.hazard or "no setting of the target endangers the move",
    )


def _backfill_complete(migration: Migration, seen: Observation) -> Condition:
    complete = migration.phase in (*FOLLOWING, Phase.LOADED)
    if migration.pending and migration.phase is Phase.ANCHORED:
        reason = "ExportFailed" if seen.export_failed else "ExportPending"
        return Condition("BackfillComplete", status=False, reason=reason, message=seen.export)
    total = f"{'about ' if seen.estimated else ''}{seen.items_total:,}"
    message = f"{seen.items_done:,} of {total} items in {seen.parts_done:,} of {seen.parts_total:,} part(s)"
    if seen.part_error and not complete:
        return Condition("BackfillComplete", status=False, reason="PartFailed", message=seen.part_error)
    return Condition("BackfillComplete", complete, "Complete" if complete else "Loading", message)


def _verified(seen: Observation) -> list[Condition]:
    """Judged by daemon/verify/judged.py, which knows the runs."""
    return [] if seen.verified is None else [seen.verified]


def _seconds(lag: float | None) -> str:
    return "unbounded" if lag is None else f"{lag:.1f} s"


def backfill_accounted(migration: Migration, seen: Observation) -> bool:
    """True when every part of the anchor is there and done, and the counts agree with the manifest."""
    return migration.parts == seen.parts_total == seen.parts_done and seen.items_done == seen.items_total


def to_be_settled(migration: Migration, seen: Observation) -> bool:
    """True when all is loaded and what must follow the load is not done yet."""
    loaded = migration.phase is Phase.BACKFILLING and backfill_accounted(migration, seen)
    return loaded and not (migration.settled or seen.settled)


def decide(migration: Migration, seen: Observation, limits: Limits) -> Migration:
    """The next state. What changed is told by its `message`."""
    if migration.phase is Phase.ABORTED:
        return migration
    if migration.gap is not None or seen.gap is not None:
        gapped = msgspec.structs.replace(migration, gap=migration.gap or seen.gap)
        # Before COMMIT the fence is lifted first (daemon/writers.py); behind it nothing of the source is applied.
        return gapped if migration.phase in (Phase.SWITCHING, Phase.SWITCHED) else _resync(gapped)
    if seen.settled and not migration.settled:
        swept_at = seen.now if migration.sweep is not None else 0.0
        migration = msgspec.structs.replace(migration, settled=True, settled_at=swept_at)
    if migration.phase is Phase.REPLICATING:
        return _readiness(migration, seen, limits)
    if migration.phase is Phase.SWITCHING:
        # Its sentences are of the switch.
        return msgspec.structs.replace(_readiness(migration, seen, limits), message=migration.message)
    return _loading(migration, seen)


def _loading(migration: Migration, seen: Observation) -> Migration:
    if migration.phase is Phase.ANCHORED and migration.pending:
        return _to(migration, Phase.ANCHORED, _pending(seen))
    if migration.phase is Phase.ANCHORED and migration.mode == "tail" and not (migration.parts or migration.sweep):
        migration = msgspec.structs.replace(migration, settled=True)
        return _to(migration, Phase.REPLICATING, "nothing to load; following the stream")
    if migration.phase is Phase.ANCHORED and seen.parts_total == migration.parts:
        about = "about " if seen.estimated else ""
        return _to(
            migration, Phase.BACKFILLING, f"loading {about}{seen.items_total:,} items in {seen.parts_total:,} part(s)"
        )
    if migration.phase is Phase.BACKFILLING and backfill_accounted(migration, seen) and migration.settled:
        if migration.mode == "backfill":
            message = f"all {seen.items_total:,} items are loaded; nothing that is written from now on will be"
            return _to(migration, Phase.LOADED, message)
        return _to(migration, Phase.REPLICATING, f"all {seen.items_total:,} items are loaded; catching up")
    return migration


def _pending(seen: Observation) -> str:
    """No figures: the sentence of a decision changes when the decision does; the condition has them."""
    if seen.export_failed:
        return f"the export needs a person, while the stream is followed: {seen.export}"
    return "the stream is followed while the export is made"


def _to(migration: Migration, phase: Phase, message: str) -> Migration:
    return msgspec.structs.replace(migration, phase=phase, message=message)


def _resync(migration: Migration) -> Migration:
    message = f"the stream has lost changes: {migration.gap}. `moveout resync` says how this is healed"
    return msgspec.structs.replace(
        migration, phase=Phase.NEEDS_RESYNC, message=message, ready_since=None, caught_up_since=None
    )


def _readiness(migration: Migration, seen: Observation, limits: Limits) -> Migration:
    failed = [c for c in conditions(migration, seen, limits) if not c.status]
    if failed:
        message = f"{failed[0].type} does not hold: {failed[0].message}"
        # `ready` falls the moment a condition does; the sentence changes only when the condition does,
        # for a figure in it that moves each second is no decision.
        fallen = migration.caught_up_since is not None or not migration.message.startswith(f"{failed[0].type} ")
        kept = message if fallen else migration.message
        return msgspec.structs.replace(migration, caught_up_since=None, ready_since=None, message=kept)
    since = migration.caught_up_since or seen.now
    if migration.ready_since is None and seen.now - since >= limits.stable_for_seconds:
        message = f"ready: lag was proven within {limits.max_lag_seconds:g} s for {seen.now - since:.0f} s"
        return msgspec.structs.replace(migration, caught_up_since=since, ready_since=seen.now, message=message)
    if migration.caught_up_since is None:
        message = f"caught up; readers may switch when it has held for {limits.stable_for_seconds:g} s"
        return msgspec.structs.replace(migration, caught_up_since=since, message=message)
    return migration

"""The one document that says where a migration stands: HTTP, file, `moveout status` and `moveout wait` show it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from daemon import cutover
from daemon.control import Migration
from daemon.cutover import Condition, Limits, Observation
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.switching import Switch

# `ready` is only as good as its source is alive.
VALID_SECONDS = 30.0
ALL_READERS = 100  # percent


class Ready(msgspec.Struct, frozen=True):
    """May readers switch? Expires: silence is not consent."""

    readers: bool
    since: str | None
    valid_until: str
    writers: bool = False  # may `moveout cutover writers` begin?


class ShardLag(msgspec.Struct, frozen=True):
    """A shard that is behind. `seconds` is null while nothing is known of it."""

    shard: str
    seconds: float | None


class Lag(msgspec.Struct, frozen=True):
    """Proven lag; `seconds` is null while it has no bound."""

    seconds: float | None
    applied_through: str | None
    proof: str  # heartbeat or seal; quiet: applied_through is only likely, nothing is proven
    round: int
    proof_age_seconds: float | None = None  # since it was concluded; null while nothing is
    slowest: list[ShardLag] = []  # the shards that are furthest behind, ten at most


class Backfill(msgspec.Struct, frozen=True):
    """How far the rows that existed already are loaded."""

    parts_total: int
    parts_done: int
    items_total: int
    items_done: int
    items_per_second: float
    eta_seconds: float | None
    items_estimated: bool = False  # items_total is an estimate: some sources cannot tell before their end
    applied: int = 0
    rejected: int = 0
    skipped: int = 0
    bytes_read: int = 0


class Tail(msgspec.Struct, frozen=True):
    """How the stream is being read."""

    records: int
    applied: int
    expired: int
    shards_open: int
    shards_ended: int
    shards_unowned: int
    restarts: int
    strays: int = 0  # writes at the source after the writers' switch: kept, not applied
    retries: int = 0  # attempts at the target that failed and were made again
    preimages: int = 0  # changes whose old image was held against the target's row, and those that found another row
    preimages_wrong: int = 0
    owners: dict[str, int] = {}  # host -> shards that it claimed last, of those that are not read to their end


class DeadLetterCounts(msgspec.Struct, frozen=True):
    """Changes that the target refused, by what became of them. `open` ones keep readers from switching."""

    open: int
    settled: int
    retried: int
    waived: int


class Paused(msgspec.Struct, frozen=True):
    """What a person has paused, and how long until what is not applied counts as trimmed (null: nothing waits)."""

    backfill: bool = False
    tail: bool = False
    trims_in_seconds: float | None = None
    tail_waits: bool = False  # for the backfill, in mode ordered


class Verification(msgspec.Struct, frozen=True):
    """What the comparison of source and target has found so far; `differences` by kind.

    `upper_bound`: with no difference in `compared` comparisons, at most this share differs, at 95 %.
    """

    run: int
    state: str  # running, stopped, finished, failed
    compared: int
    total: int
    differences: dict[str, int]  # missing, extra, stale, changed
    open: int = 0  # candidates that are not settled: written each time that they were looked at, or unwatched
    unwatched: int = 0  # of `open`: they look lost, and nobody could tell whether they were written
    upper_bound: float | None = None
    began_at: str | None = None
    finished_at: str | None = None
    message: str = ""


class Document(msgspec.Struct, frozen=True):
    """Everything a client may act on."""

    migration: str
    epoch: int
    phase: Phase
    message: str
    published_at: str
    ready: Ready
    lag: Lag
    backfill: Backfill
    tail: Tail
    dead_letters: DeadLetterCounts
    conditions: list[Condition]
    paused: Paused = Paused()
    routes: Routes = Routes()
    verification: Verification | None = None  # None: none was begun
    switch: Switch | None = None  # of the writers, once it was begun
    table: str = ""  # the source's
    tables: tuple["Document", ...] = ()  # of a migration of several: each by itself, in the order of the configuration


class Progress(NamedTuple):
    """What the document tells beside the decision."""

    proof_round: int
    items_per_second: float
    tail: Tail
    letters: Mapping[str, int]
    paused: Paused = Paused()
    verification: Verification | None = None
    slowest: Sequence[tuple[str, float | None]] = ()  # shards, and what of each is applied (epoch seconds)


def document(
    name: str, migration: Migration, seen: Observation, limits: Limits, progress: Progress, table: str = ""
) -> Document:
    """Pure: the same observations give the same document."""
    lag = cutover.lag_seconds(migration, seen)
    conditions = cutover.conditions(migration, seen, limits)
    through = seen.applied_through
    return Document(
        migration=name,
        epoch=migration.epoch,
        phase=migration.phase,
        message=_sentence(migration, conditions) + _pause(progress.paused),
        published_at=iso(seen.now),
        ready=Ready(
            readers=migration.ready_since is not None,
            since=iso(migration.ready_since) if migration.ready_since is not None else None,
            valid_until=iso(seen.now + VALID_SECONDS),
            writers=may_switch_writers(migration),
        ),
        lag=Lag(
            seconds=round(lag, 3) if lag is not None else None,
            applied_through=iso(through) if through is not None else None,
            proof=seen.proof,
            round=progress.proof_round,
            proof_age_seconds=round(max(0.0, seen.now - seen.proven_at), 3) if seen.proven_at is not None else None,
            slowest=[_shard_lag(shard, at, seen.now) for shard, at in progress.slowest],
        ),
        backfill=_backfill(migration, seen, progress),
        tail=progress.tail,
        dead_letters=DeadLetterCounts(**progress.letters),
        conditions=conditions,
        paused=progress.paused,
        routes=migration.routes,
        verification=progress.verification,
        switch=migration.switch,
        table=table,
    )


def _shard_lag(shard: str, through: float | None, now: float) -> ShardLag:
    return ShardLag(shard, None if through is None else round(max(0.0, now - through), 3))


def may_switch_writers(migration: Migration) -> bool:
    """All readers read the target, and what they read there is current."""
    ready = migration.phase is Phase.REPLICATING and migration.ready_since is not None
    return ready and migration.routes.reads_percent == ALL_READERS


def _sentence(migration: Migration, conditions: list[Condition]) -> str:
    """Why it is where it is: the decision's sentence, or what is waited for now, with today's figures."""
    failed = next((condition for condition in conditions if not condition.status), None)
    if migration.phase is Phase.SWITCHED and failed is not None:
        return f"{migration.message}; {failed.type} does not hold: {failed.message}"
    if migration.phase is Phase.SWITCHING and migration.switch is not None and migration.switch.waits_for:
        return f"{migration.message}; waiting for: {migration.switch.waits_for}"
    waits = migration.phase is Phase.REPLICATING or (migration.pending and migration.phase is Phase.ANCHORED)
    if not waits or failed is None:
        return migration.message
    return f"waiting for {failed.type}: {failed.message}"


def _pause(paused: Paused) -> str:
    """Whoever wonders why nothing moves must not have to look any further."""
    halted = " and ".join(name for name in ("backfill", "tail") if getattr(paused, name))
    told = f"; the {halted} is paused: `moveout resume` goes on" if halted else ""
    if not paused.tail_waits:
        return told
    left = (
        "" if paused.trims_in_seconds is None else f", at most {max(paused.trims_in_seconds, 0) / 3600:.1f} hours more"
    )
    return f"{told}; the tail waits for the backfill{left} (target.mode: ordered)"


def _backfill(migration: Migration, seen: Observation, progress: Progress) -> Backfill:
    left, per_second = max(seen.items_total - seen.items_done, 0), progress.items_per_second
    unknown = migration.pending or (not left and seen.parts_done < seen.parts_total)  # or the estimate was outgrown
    if progress.paused.backfill and left:
        per_second = 0.0  # what it was before tells nothing of when it will be done
    return Backfill(
        parts_total=seen.parts_total,
        parts_done=seen.parts_done,
        items_total=seen.items_total,
        items_done=seen.items_done,
        items_per_second=round(per_second, 1),
        eta_seconds=eta_seconds(left, per_second) if left or not unknown else None,
        items_estimated=seen.estimated,
        applied=seen.applied,
        rejected=seen.rejected,
        skipped=seen.skipped,
        bytes_read=seen.bytes_read,
    )


def eta_seconds(left: int, per_second: float) -> float | None:
    """Until all is loaded, to a tenth; None where nothing moves."""
    if not left:
        return 0.0
    return round(left / per_second, 1) if per_second > 0 else None


def iso(epoch_seconds: float) -> str:
    """UTC, to the millisecond."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")


def epoch_seconds(iso: str) -> float:
    """Of an instant as a document writes it."""
    return datetime.fromisoformat(iso).timestamp()


def is_current(published: Document, now: float) -> bool:
    """False when the document has outlived its `valid_until`: its service is gone."""
    return epoch_seconds(published.ready.valid_until) >= now

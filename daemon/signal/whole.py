"""One document for a migration of several tables: one `ready`, and each table's own beside it. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence

from daemon.cutover import Condition
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import (
    Backfill,
    DeadLetterCounts,
    Document,
    Lag,
    Paused,
    Ready,
    Tail,
    Verification,
    eta_seconds,
)

# The table that is least far speaks for all; one that needs a person, before all others.
_LEAST = [
    Phase.NEEDS_RESYNC,
    Phase.CREATED,
    Phase.ANCHORED,
    Phase.BACKFILLING,
    Phase.LOADED,
    Phase.REPLICATING,
    Phase.SWITCHING,
    Phase.SWITCHED,
    Phase.ABORTED,
]

_NOT_BEGUN = "running"  # of the whole, which is under way as long as a table is still to come
_LEAST_VERIFIED = ["failed", "stopped", "running", "finished"]


def whole(migration: str, tables: Sequence[Document]) -> Document:
    """All tables in one: ready when all are, as far behind as the last. `tables` is not empty.

    A migration of one table is that table's document.
    """
    if len(tables) == 1:
        return tables[0]
    behind = min(tables, key=lambda table: (_LEAST.index(table.phase), table.ready.readers))
    return Document(
        migration=migration,
        # Rises with each change of any table's route; the highest would hide those of the others.
        epoch=sum(table.epoch for table in tables),
        phase=behind.phase,
        message=_message(tables, behind),
        published_at=min(table.published_at for table in tables),
        ready=_ready(tables),
        lag=_lag(tables),
        backfill=_backfill([table.backfill for table in tables]),
        tail=_tail([table.tail for table in tables]),
        dead_letters=_letters([table.dead_letters for table in tables]),
        conditions=_conditions(tables),
        paused=_paused([table.paused for table in tables]),
        routes=_routes([table.routes for table in tables]),
        verification=_verification(tables),
        switch=next((table.switch for table in tables if table.switch is not None), None),
        tables=tuple(tables),
    )


def _message(tables: Sequence[Document], behind: Document) -> str:
    ready = sum(table.ready.readers for table in tables)
    if all(table.phase is Phase.LOADED for table in tables):
        return f"all {len(tables)} tables are loaded; nothing that is written from now on will be"
    if ready == len(tables):
        return f"ready: all {ready} tables are"
    return f"{ready} of {len(tables)} tables are ready; {behind.table} is {behind.phase.value}: {behind.message}"


def _ready(tables: Sequence[Document]) -> Ready:
    since = [table.ready.since for table in tables]
    return Ready(
        readers=all(table.ready.readers for table in tables),
        since=max((instant for instant in since if instant), default=None) if all(since) else None,
        valid_until=min(table.ready.valid_until for table in tables),
        writers=all(table.ready.writers for table in tables),
    )


def _lag(tables: Sequence[Document]) -> Lag:
    """The longest; without a bound as soon as one is."""
    seconds = [table.lag.seconds for table in tables]
    through = [table.lag.applied_through for table in tables]
    ages = [table.lag.proof_age_seconds for table in tables]
    return Lag(
        seconds=None if None in seconds else max(second for second in seconds if second is not None),
        applied_through=None if None in through else min(instant for instant in through if instant is not None),
        proof=min((table.lag.proof for table in tables), key=lambda proof: proof != "quiet"),  # the weakest
        round=min(table.lag.round for table in tables),
        proof_age_seconds=None if None in ages else max(age for age in ages if age is not None),
    )


def _routes(each: Sequence[Routes]) -> Routes:
    """What holds for every table: whoever follows the whole is sent to no target too early."""
    return Routes(
        reads_percent=min(one.reads_percent for one in each),
        writes="target" if all(one.writes == "target" for one in each) else "source",
        writes_fenced=any(one.writes_fenced for one in each),
    )


def _verification(tables: Sequence[Document]) -> Verification | None:
    """The sum; its state is of the table that is least far. None: no table's was begun."""
    found = [(table.table, table.verification) for table in tables]
    each = [one for _, one in found if one is not None]
    if not each:
        return None
    name, least = min(found, key=lambda entry: _LEAST_VERIFIED.index(entry[1].state if entry[1] else _NOT_BEGUN))
    kinds = dict.fromkeys(kind for one in each for kind in one.differences)
    bounds = [one.upper_bound for _, one in found if one is not None and one.upper_bound is not None]
    ended = [one.finished_at for one in each if one.finished_at is not None]
    return Verification(
        run=max(one.run for one in each),
        state=least.state if least else _NOT_BEGUN,
        compared=sum(one.compared for one in each),
        total=sum(one.total for one in each),
        differences={kind: sum(one.differences.get(kind, 0) for one in each) for kind in kinds},
        open=sum(one.open for one in each),
        unwatched=sum(one.unwatched for one in each),
        # A share of every table is at most as large as the largest; none where a table has none.
        upper_bound=max(bounds) if len(bounds) == len(tables) else None,
        began_at=min((one.began_at for one in each if one.began_at is not None), default=None),
        finished_at=max(ended) if len(ended) == len(tables) else None,
        message=f"{name}: {least.message}" if least else f"{name}: not begun yet",
    )


def _backfill(each: Sequence[Backfill]) -> Backfill:
    def total(field: str) -> int:
        return sum(getattr(one, field) for one in each)

    left = sum(max(one.items_total - one.items_done, 0) for one in each)
    per_second = total("items_per_second")
    # None of a table that has nothing left: its export is still to come, or its estimate was outgrown.
    unknown = any(one.eta_seconds is None and one.items_done >= one.items_total for one in each)
    return Backfill(
        parts_total=total("parts_total"),
        parts_done=total("parts_done"),
        items_total=total("items_total"),
        items_done=total("items_done"),
        items_per_second=round(per_second, 1),
        eta_seconds=eta_seconds(left, per_second) if not unknown else None,
        items_estimated=any(one.items_estimated for one in each),
        applied=total("applied"),
        rejected=total("rejected"),
        skipped=total("skipped"),
        bytes_read=total("bytes_read"),
    )


def _tail(each: Sequence[Tail]) -> Tail:
    counts = [field for field in Tail.__struct_fields__ if field != "owners"]
    owners: Counter[str] = Counter()
    for one in each:
        owners.update(one.owners)
    return Tail(**{field: sum(getattr(one, field) for one in each) for field in counts}, owners=dict(owners))


def _letters(each: Sequence[DeadLetterCounts]) -> DeadLetterCounts:
    fields = DeadLetterCounts.__struct_fields__
    return DeadLetterCounts(*(sum(getattr(one, field) for one in each) for field in fields))


def _paused(each: Sequence[Paused]) -> Paused:
    """Paused where one is; the time left is the shortest."""
    left = [one.trims_in_seconds for one in each if one.trims_in_seconds is not None]
    backfill, tail = any(one.backfill for one in each), any(one.tail for one in each)
    return Paused(backfill, tail, min(left, default=None))


def _conditions(tables: Sequence[Document]) -> list[Condition]:
    """A condition holds when it does for every table that has it; else the first that fails says why."""
    types = dict.fromkeys(condition.type for table in tables for condition in table.conditions)
    return [_condition(type_, tables) for type_ in types]


def _condition(type_: str, tables: Sequence[Document]) -> Condition:
    found = [(table.table, condition) for table in tables for condition in table.conditions if condition.type == type_]
    holds: Callable[[tuple[str, Condition]], bool] = lambda entry: entry[1].status  # noqa: E731  used twice below
    table, first = min(found, key=holds)
    if all(map(holds, found)):
        alike = len({condition.message for _, condition in found}) == 1
        return first if alike else Condition(type_, True, first.reason, f"holds for all {len(found)} tables")  # noqa: FBT003
    return Condition(type_, False, first.reason, f"{table}: {first.message}")  # noqa: FBT003

"""One document for a migration of several tables: one `ready`, and each table's own beside it. Pure."""

from collections.abc import Callable, Sequence

from daemon.cutover import Condition
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import Backfill, DeadLetterCounts, Document, Lag, Paused, Ready, Tail, eta_seconds

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


def whole(migration: str, tables: Sequence[Document]) -> Document:
    """All tables in one: ready when all are, as far behind as the last. `tables` is not empty.

    A migration of one table is that table's document.
    """
    if len(tables) == 1:
        return tables[0]
    behind = min(tables, key=lambda table: (_LEAST.index(table.phase), table.ready.readers))
    return Document(
        migration=migration,
        epoch=max(table.epoch for table in tables),
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


def _routes(each: Sequence[Routes]) -> Routes:
    """As far as all of them are; fenced where one is."""
    switched = all(one.writes == "target" for one in each)
    percent, fenced = min(one.reads_percent for one in each), any(one.writes_fenced for one in each)
    return Routes(percent, "target" if switched else "source", fenced)


def _lag(tables: Sequence[Document]) -> Lag:
    """The longest; without a bound as soon as one is."""
    seconds = [table.lag.seconds for table in tables]
    through = [table.lag.applied_through for table in tables]
    return Lag(
        seconds=None if None in seconds else max(second for second in seconds if second is not None),
        applied_through=None if None in through else min(instant for instant in through if instant is not None),
        proof=tables[0].lag.proof,
        round=min(table.lag.round for table in tables),
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
    return Tail(*(sum(getattr(one, field) for one in each) for field in Tail.__struct_fields__))


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

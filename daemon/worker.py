"""The process of a backfill worker, which daemon/lean.py starts.

`moveout backfill --index I --of N` becomes this very process: nobody looks at it but through its log, and what a
person looks through (typer, rich) is 7 MiB.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial

import msgspec
import structlog

from daemon import backfill, completion, log
from daemon.app import Parts, parts
from daemon.apply import Deliver, Ways, cheapest
from daemon.backfill import BackfillIncomplete, Loading
from daemon.config import Config
from daemon.control import Migration, Part
from daemon.exits import EXIT_FAILED, told
from daemon.metered import Meter, Metered
from daemon.pace import Pace
from daemon.phase import Phase
from daemon.retry import Abandoned, Retrying
from daemon.scanning import scanner
from daemon.source.pages import Sources, pages
from sinks.change import Change
from sinks.sink import Rejection

logger = structlog.get_logger()

# Set by the supervisor; a Kubernetes Job has none.
PARENT_VARIABLE = "MOVEOUT_PARENT"
ANCHOR_POLL_SECONDS = 2.0
LOOK_SECONDS = 2.0


def main(tables: Sequence[Config], index: int, of: int) -> int:
    """Load this share of each table; the exit code of `moveout backfill`."""
    try:
        return for_each(tables, lambda known: run(known, index, of), partial(_log, f"backfill-{index}"))
    except KeyboardInterrupt:
        return EXIT_FAILED


def for_each(tables: Sequence[Config], load: Callable[[Parts], None], begin: Callable[[Config], None]) -> int:
    """The first exit code that is not 0. What went wrong with a table is one line on stderr."""
    # What is wrong with one table does not keep the others waiting.
    codes = [_code(one, load, begin) for one in tables]
    return next((code for code in codes if code), 0)


def _log(role: str, one: Config) -> None:
    log.configure(one.log.format, one.log.level, migration=one.migration, table=one.source.table, role=role)


def _code(one: Config, load: Callable[[Parts], None], begin: Callable[[Config], None]) -> int:
    begin(one)
    try:
        load(parts(one))
    except Exception as error:
        found = told(error)
        if found is None:
            raise
        code, message = found
        whose = f"{one.source.table}: " if one.one_of > 1 else ""
        sys.stderr.write(f"moveout: {whose}{message}\n")
        return code
    return 0


def run(known: Parts, index: int, of: int) -> None:
    """Load this worker's share. Raises BackfillIncomplete, Abandoned, SinkMisconfigured, CheckFailed."""
    migration = _anchored(known)
    completion.refuse_if_begun(known.control)
    wanted = in_force(known, migration)
    with reading(known, of) as sources, opened(known, of) as sink:
        pace = rows_pace(known, of)
        backfill.load_share(
            known.control,
            migration.generation,
            index,
            of,
            lambda part: loading(known, sink, with_version(part, migration), sources, pace, wanted),
            known.clock.monotonic,
            known.config.interleave,
        )


def load(part: Part, config: Config) -> Part:
    """Load one part: the part and the configuration and nothing else, for engines that run a function over a list.

    The part, done. Raises as `run` does, and ExportUnusable.
    """
    known = parts(config)
    with reading(known, 1) as sources, opened(known, 1) as sink:
        return load_one(known, sink, part, lambda _: None, sources)


def load_one(
    known: Parts,
    sink: Retrying,
    part: Part,
    progress: Callable[[Part], None],
    sources: Sources,
    pace: Pace | None = None,
) -> Part:
    """As backfill.load_part, with this migration's sources and ways."""
    return backfill.finished(loading(known, sink, part, sources, pace), progress)


def loading(
    known: Parts,
    sink: Retrying,
    part: Part,
    sources: Sources,
    pace: Pace | None = None,
    wanted: Callable[[], None] | None = None,
) -> Loading:
    """As backfill.loading, with this migration's sources and ways. `wanted` raises when no more may be applied."""
    wanted = wanted or still_wanted
    ways = Ways(
        load=_while(wanted, cheapest(sink)),
        apply=_while(wanted, sink.apply),
        keep=lambda rejections: known.dead_letters.keep(rejections, part.name),
    )
    read = partial(pages, sources)
    return backfill.loading(read, part, ways, known.config.backfill.batch_rows, pace)


@contextmanager
def reading(known: Parts, of: int) -> Iterator[Sources]:
    """What one worker out of `of` reads its parts with: a scan's rate is kept over all of them.

    Before the sink: what S3's client needs only while it is made is room for the driver then (1 MiB).
    """
    _ = known.s3
    with ExitStack() as stack:
        # Also of a move that did not begin by a scan, a resync may be one.
        scans = cache(lambda: stack.enter_context(scanner(known, of, still_wanted)))
        yield _sources(known)._replace(scanner=scans)


def _sources(known: Parts) -> Sources:
    return Sources(known.s3, known.keys, known.config.backfill.files)


@contextmanager
def opened(known: Parts, writers: int) -> Iterator[Retrying]:
    """A sink that waits for its target, held to what one of so many writers may use of it."""
    meter = Meter()
    inner = Metered(known.sink(writers=writers), meter, known.clock.monotonic)
    sink = Retrying(inner, on_trouble=_trouble, wanted=_wanted, sleep=known.clock.sleep)
    sink.open()
    try:
        yield sink
    finally:
        sink.close()
        logger.info("target_closed", sent=msgspec.structs.asdict(meter))


def rows_pace(known: Parts, of: int) -> Pace:
    """This worker's share of the rate that is allowed."""

    def limit() -> float | None:
        asked = known.settings.now().items_per_second or known.config.backfill.items_per_second
        return asked / of if asked else None

    return Pace(limit, lambda: known.settings.now().backfill_paused, still_wanted, known.clock)


def with_version(part: Part, migration: Migration) -> Part:
    """A part that an older moveout has written has none of its own."""
    return part if part.version else msgspec.structs.replace(part, version=migration.backfill_version)


def still_wanted() -> None:
    """Raises Abandoned when the supervisor that started this worker has vanished."""
    if not _wanted():
        raise Abandoned("the service that started this worker is gone")


def in_force(known: Parts, migration: Migration) -> Callable[[], None]:
    """Raises Abandoned when the generation that this worker loads is not in force any more.

    A resync removes rows that were deleted meanwhile. What is loaded at an older version behind that sweep would stay.
    Looked up every other second: the sweep comes minutes later, when the new generation is loaded.
    """
    looked_at = known.clock.monotonic()

    def wanted() -> None:
        nonlocal looked_at
        still_wanted()
        if known.clock.monotonic() - looked_at < LOOK_SECONDS:
            return
        found = known.control.get("migration", Migration)
        if found is not None and found[0].phase in (Phase.SWITCHING, Phase.SWITCHED, Phase.ABORTED):
            raise Abandoned(f"the migration is {found[0].phase.value}: no row is loaded any more")
        if found is not None and found[0].generation != migration.generation:
            raise Abandoned(
                f"a resync has begun generation {found[0].generation}, this worker loads {migration.generation}: "
                "started again, it loads the new files"
            )
        looked_at = known.clock.monotonic()

    return wanted


def _while(wanted: Callable[[], None], into: Deliver) -> Deliver:
    def delivered(changes: Sequence[Change]) -> Sequence[Rejection]:
        wanted()
        return into(changes)

    return delivered


def _anchored(known: Parts) -> Migration:
    """The migration record, as soon as the service has anchored it and the parts are known: none for a mere tail."""
    while True:
        found = known.control.get("migration", Migration)
        if found is not None and found[0].phase is not Phase.CREATED and not found[0].pending:
            return found[0]
        still_wanted()
        logger.info("waiting_for_anchor", migration=known.config.name, hint="is `moveout run` up?")
        known.clock.sleep(ANCHOR_POLL_SECONDS)


def _trouble(message: str | None) -> None:
    logger.warning("target_unavailable" if message else "target_back", error=message)


def _wanted() -> bool:
    """False when the supervisor that started this worker has vanished."""
    parent = os.environ.get(PARENT_VARIABLE)
    return parent is None or os.getppid() == int(parent)


__all__ = ["BackfillIncomplete", "load", "main", "run"]

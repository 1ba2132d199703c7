"""The process of a backfill worker: `moveout backfill --index I --of N`."""

import os
from collections.abc import Sequence

import structlog

from daemon import backfill
from daemon.app import Parts
from daemon.apply import Deliver, Ways
from daemon.backfill import BackfillIncomplete
from daemon.control import Migration
from daemon.retry import Abandoned, Retrying
from sinks.change import Change
from sinks.sink import Rejection

log = structlog.get_logger()

# Set by the supervisor; a Kubernetes Job has none.
PARENT_VARIABLE = "MOVEOUT_PARENT"
ANCHOR_POLL_SECONDS = 2.0


def run(known: Parts, index: int, of: int) -> None:
    """Load this worker's share. Raises BackfillIncomplete, Abandoned, SinkMisconfigured."""
    migration = _anchored(known)
    sink = Retrying(known.sink(), on_trouble=_trouble, wanted=_wanted, sleep=known.clock.sleep)
    sink.open()
    config = known.config.backfill
    try:
        backfill.load_share(
            known.control,
            migration.generation,
            index,
            of,
            lambda part, progress: backfill.load_part(
                known.s3,
                part,
                known.keys,
                migration.backfill_version,
                Ways(
                    load=_while_wanted(sink.load),
                    apply=_while_wanted(sink.apply),
                    keep=lambda rejections: known.dead_letters.keep(rejections, part.name),
                ),
                config.batch_rows,
                progress,
            ),
        )
    finally:
        sink.close()


def _while_wanted(into: Deliver) -> Deliver:
    def delivered(changes: Sequence[Change]) -> Sequence[Rejection]:
        if not _wanted():
            raise Abandoned("the service that started this worker is gone")
        return into(changes)

    return delivered


def _anchored(known: Parts) -> Migration:
    """The migration record, as soon as the service has anchored it."""
    while True:
        found = known.control.get("migration", Migration)
        if found is not None and found[0].backfill_version:
            return found[0]
        if not _wanted():
            raise Abandoned("the service that started this worker is gone")
        log.info("waiting_for_anchor", migration=known.config.migration, hint="is `moveout run` up?")
        known.clock.sleep(ANCHOR_POLL_SECONDS)


def _trouble(message: str | None) -> None:
    log.warning("target_unavailable" if message else "target_back", error=message)


def _wanted() -> bool:
    """False when the supervisor that started this worker has vanished."""
    parent = os.environ.get(PARENT_VARIABLE)
    return parent is None or os.getppid() == int(parent)


__all__ = ["BackfillIncomplete", "run"]

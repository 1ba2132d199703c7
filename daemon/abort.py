"""Giving a move up before COMMIT: the source and the application end as they were. Each step is safe to repeat.

The record comes first: from then on no process applies anything (`freeze.orders`, `worker.in_force`), and the service
ends them and stays up to say so.
"""

from collections.abc import Callable

import msgspec
from botocore.exceptions import ClientError

from daemon import cutting_over, prove, writers
from daemon.app import Parts
from daemon.control import Migration
from daemon.fence import Attempt
from daemon.kcl.start import application_name
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.settings import LOOK_SECONDS
from daemon.signal.document import Document, is_current
from sinks.sink import Droppable

# What a process may still send after it has looked: its look, then one request.
ENDING_SECONDS_MAX = 60.0
POLL_SECONDS = 0.5
# Of the KCL 3, behind the application's name (CoordinatorStateTableConfig, WorkerMetricsTableConfig).
KCL_TABLES = ("", "-CoordinatorState", "-WorkerMetricStats")

Told = Callable[[str], None]


def refused(known: Parts, drop: str | None) -> str | None:
    """Why it may not be aborted, or the target not be dropped. Raises ClientError, BotoCoreError."""
    found = known.control.get("migration", Migration)
    if found is None or found[0].phase is Phase.CREATED:
        return "it was never begun: there is nothing to abort"
    if found[0].phase is Phase.SWITCHED:
        return "the writers have switched: behind COMMIT there is no way back, `moveout complete` is what is left"
    return None if drop is None else _not_droppable(known, drop)


def _not_droppable(known: Parts, name: str) -> str | None:
    target = known.config.target
    if not isinstance(known.sink(may_create=False), Droppable):
        return f"a target of kind {target.kind} cannot be dropped: use --keep-target, and remove it yourself"
    table = getattr(target, "table", "")
    return None if name == table else f"--name {name!r} is not the target, which is {table!r}: nothing was touched"


def abort(known: Parts, told: Told, *, drop: bool) -> None:
    """All of it. Raises CheckFailed, FenceFailed, SinkError, ClientError, BotoCoreError, Conflict."""
    migration = known.control.update("migration", Migration, lambda current: aborted(current, known.clock.time()))
    told(migration.message)
    lift(known, migration)
    _until_ended(known, told)
    prove.remove_heartbeats(known, told)
    _drop_kcl_tables(known, migration, told)
    if drop:
        sink = known.sink(may_create=False)
        assert isinstance(sink, Droppable)  # noqa: S101  refused before
        sink.drop(told)
    else:
        told("the target is kept as it is")


def aborted(current: Migration | None, now: float) -> Migration:
    """Pure: the record of an aborted migration. Raises CheckFailed behind COMMIT."""
    if current is None or current.phase in (Phase.CREATED, Phase.SWITCHED):
        raise CheckFailed("it cannot be aborted: it was never begun, or its writers have switched")
    if current.phase is Phase.ABORTED:
        return current
    if current.phase is Phase.SWITCHING and current.switch is not None and current.switch.sealing:
        raise CheckFailed(
            "the source's stream is being sealed, or opened again: first `moveout cutover cancel`, and wait until the "
            "phase is replicating"
        )
    back = writers.cancelled(current, "the migration is aborted", now)
    routes = cutting_over.back_at_source(back.routes)
    return msgspec.structs.replace(
        back,
        phase=Phase.ABORTED,
        message="aborted: the source is as it was, everybody reads and writes there, and nothing is applied any more",
        routes=routes,
        epoch=back.epoch + (routes != back.routes),
        ready_since=None,
        caught_up_since=None,
    )


def lift(known: Parts, migration: Migration) -> None:
    """The leader lifts them as well, where one is up; nobody has to be. Raises as Fence.lift."""
    attempt = Attempt(migration.switch.id if migration.switch else "", migration.epoch)
    for fence in known.fences() if migration.switch else ():
        fence.lift(attempt, "source")


def _until_ended(known: Parts, told: Told) -> None:
    """Until the service has told it, or is silent, and its children have looked."""
    waited = 0.0
    while waited < ENDING_SECONDS_MAX and _runs(known):
        if not waited:
            told("waiting for the service to end its processes")
        known.clock.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    known.clock.sleep(2 * LOOK_SECONDS)


def _runs(known: Parts) -> bool:
    published = known.control.get("signal", Document)
    if published is None or not is_current(published[0], known.clock.time()):
        return False
    return published[0].phase is not Phase.ABORTED


def _drop_kcl_tables(known: Parts, migration: Migration, told: Told) -> None:
    if not migration.stream_arn:
        return
    for generation in range(1, max(migration.reserved, migration.generation) + 1):
        name = application_name(known.config.name, migration.stream_arn, generation)
        for table in (name + suffix for suffix in KCL_TABLES):
            if _dropped(known, table):
                told(f"table {table} is deleted")


def _dropped(known: Parts, table: str) -> bool:
    try:
        known.control_client.delete_table(TableName=table)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return False
        raise
    return True

"""The export that moveout asks for, or that somebody else has asked for: from the anchor until its parts are known.

The stream is followed from the anchor on; the export is as of a later instant, so nothing can fall between them.
One record, `export`, tells how far this is. Each step reads it, does one thing and writes it by compare-and-set:

    planned → asking (the request is durable) → running (its ARN is durable) → accepted (the manifest is good)
                                  └──── failed: a person is needed ────┘            → parts, migration record

A crash after any line is answered by the same line again: the request has a token that AWS knows, parts are written
where they are not there yet, the migration record is changed only while it still waits.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import backfill
from daemon.app import Parts
from daemon.control import Conflict, Control, Migration, Part
from daemon.phase import Phase
from daemon.plan import versioned
from daemon.preflight import CheckFailed
from daemon.source.export import Export, ExportUnusable, iso, read_export
from daemon.source.export_request import TOKEN_SECONDS, Described, Refusal, described, made_before, refused, token
from daemon.source.export_request import request as asked_for

log = structlog.get_logger()

RECORD = "export"
POLL_SECONDS = 20.0  # of an export that somebody else asked for
REPEATS_MAX = 3  # attempts without a person, where AWS failed for a reason that passes
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 30.0, 600.0
SMALLEST_MINUTES = 5  # the shortest that AWS was seen to take (a few items)
AWAY = (ClientError, BotoCoreError)


class Job(msgspec.Struct, frozen=True):
    """The export that the move waits for. Times are epoch seconds."""

    generation: int
    attempt: int = 1
    state: Literal["planned", "asking", "running", "failed", "accepted"] = "planned"
    request: dict[str, Any] = {}
    arn: str = ""
    asked_at: float = 0
    export_time: float = 0  # the export must be as of this instant or a later one
    table_bytes: int = 0  # as AWS counted it last, up to six hours before
    manifest: str = ""
    message: str = ""  # why it does not go on
    tries: int = 0  # of this attempt, refused for a reason that passes
    repeats: int = 0  # attempts since a person looked at it
    not_before: float = 0


def pending(migration: Migration) -> bool:
    """True while the parts are not known yet."""
    return migration.pending and migration.phase is Phase.ANCHORED


def poll_seconds(known: Parts) -> float:
    """How often the export is looked at."""
    wanted = known.config.backfill.export
    return wanted.poll_seconds if wanted else POLL_SECONDS


def advance(known: Parts) -> None:
    """Go on as far as can be gone now. Raises ClientError or BotoCoreError when the control table is away."""
    migration = _migration(known.control)
    if not pending(migration):
        return
    job, revision = known.control.get(RECORD, Job) or (Job(generation=migration.generation), 0)
    if job.generation != migration.generation:
        job = Job(generation=migration.generation)
    try:
        while (following := STEPS[job.state](known, migration, job)) != job:
            revision = known.control.put(RECORD, following, revision)
            log.info(
                "export", state=following.state, arn=following.arn, attempt=following.attempt, why=following.message
            )
            job = following
    except Conflict:
        log.info("export_changed", hint="another replica, or a person, was quicker: it is looked at anew")


def _migration(control: Control) -> Migration:
    found = control.get("migration", Migration)
    return found[0] if found else Migration()


def _planned(known: Parts, migration: Migration, job: Job) -> Job:
    """Not before the anchor's margin is over. What is asked for becomes durable before it is asked."""
    now, wanted = known.clock.time(), known.config.backfill
    if wanted.export_arn is not None:
        return _replaced(job, state="running", arn=wanted.export_arn, export_time=migration.exported_at, asked_at=now)
    if now < max(earliest(known, migration), job.not_before) or wanted.export is None:
        return job
    table = known.dynamodb.describe_table(TableName=known.config.source.table)["Table"]
    named = token(known.config.name, job.generation, job.attempt, migration.anchored_at)
    return _replaced(
        job,
        state="asking",
        request=asked_for(wanted.export, table["TableArn"], int(now), named),
        export_time=int(now),
        asked_at=now,
        table_bytes=table.get("TableSizeBytes", 0),
        message="",
        tries=0,
        not_before=0,
    )


def earliest(known: Parts, migration: Migration) -> int:
    """The first second that the export may be as of: AWS's clock may be off by the margin."""
    return math.ceil(max(migration.anchored_at, migration.exported_at) + known.config.backfill.clock_margin_seconds)


def _asking(known: Parts, _migration: Migration, job: Job) -> Job:
    now = known.clock.time()
    if now < job.not_before:
        return job
    try:
        arn = None
        if now - job.asked_at > TOKEN_SECONDS:
            arn = made_before(known.dynamodb, job.request["TableArn"], job.request["ClientToken"])
        arn = arn or known.dynamodb.export_table_to_point_in_time(**job.request)["ExportDescription"]["ExportArn"]
    except ClientError as error:
        return _put_off(job, refused(error, known.config.source.table), now)
    except BotoCoreError as error:
        # It may have been accepted: then the token brings its ARN.
        return _put_off(job, Refusal(f"DynamoDB does not answer: {error}. It is asked again", tries=1 << 20), now)
    return _replaced(job, state="running", arn=arn, message="", tries=0, not_before=0)


def _put_off(job: Job, why: Refusal, now: float) -> Job:
    """Asked again later, as long as the reason may pass."""
    if job.tries >= why.tries:
        return _replaced(job, state="failed", message=why.message)
    return _replaced(job, message=why.message, tries=job.tries + 1, not_before=now + _pause_seconds(job.tries))


def _pause_seconds(tries: int) -> float:
    return float(min(PAUSE_SECONDS * 2 ** min(tries, 10), PAUSE_SECONDS_MAX))


def _running(known: Parts, _migration: Migration, job: Job) -> Job:
    try:
        found = described(known.dynamodb, job.arn)
        if found.failure is not None:
            return _failed(known, job, found.failure)
        if found.status != "COMPLETED":
            return _replaced(job, message="")
        return _completed(known, job, found)
    except AWAY as error:
        return _replaced(job, message=f"the export {job.arn} cannot be looked at: {error}. It is tried again")


def _failed(known: Parts, job: Job, why: Refusal) -> Job:
    """An attempt that AWS gave up. For a reason that passes, the next one is made without a person."""
    given = known.config.backfill.export_arn is not None
    if given or not why.tries or job.repeats >= REPEATS_MAX:
        return _replaced(job, state="failed", message=why.message)
    return Job(
        generation=job.generation,
        attempt=job.attempt + 1,
        repeats=job.repeats + 1,
        message=why.message,
        not_before=known.clock.time() + _pause_seconds(job.repeats),
    )


def _completed(known: Parts, job: Job, found: Described) -> Job:
    """Read the whole manifest before it is accepted: from then on there is no other attempt. Raises as read_export."""
    try:
        export = read_export(known.s3, found.manifest)
        _fits(known, export, job)
    except ExportUnusable as error:
        return _replaced(job, state="failed", message=f"the export is made, but of no use: {error}")
    return _replaced(job, state="accepted", manifest=found.manifest, message="")


def _fits(known: Parts, export: Export, job: Job) -> None:
    """Of this table, and as of no earlier than was asked for. Raises ExportUnusable."""
    if export.table_arn != known.table.arn:
        raise ExportUnusable(f"{export.manifest} is of {export.table_arn}, the source is {known.table.arn}")
    if int(export.exported_at) < int(job.export_time):
        raise ExportUnusable(
            f"{export.manifest} is as of {iso(export.exported_at)}, it was to be as of {iso(job.export_time)}: changes "
            "of the time between might be in neither export nor stream. `moveout export --again` makes another"
        )


def _accepted(known: Parts, migration: Migration, job: Job) -> Job:
    """Write the parts, then the migration record. Raises ClientError, BotoCoreError."""
    try:
        export = read_export(known.s3, job.manifest)
    except (*AWAY, ExportUnusable) as error:
        return _replaced(job, message=f"the export's manifest was good and cannot be read any more: {error}")
    for name, part in backfill.part_names(versioned(export.parts, export.version), job.generation).items():
        _written(known.control, name, part)
    known.control.update("migration", Migration, lambda current: _known(current or migration, migration, export))
    return job


def _written(control: Control, record: str, part: Part) -> None:
    """A part that is there may have been begun to be loaded, where this replica was asleep meanwhile."""
    control.update(record, Part, lambda there: there or part)


def _known(current: Migration, anchored: Migration, export: Export) -> Migration:
    """The migration with its parts; untouched where it does not wait for them any more."""
    if not pending(current) or current.generation != anchored.generation:
        return current
    return msgspec.structs.replace(
        current,
        pending=False,
        parts=len(export.parts),
        backfill_version=export.version,
        exported_at=export.exported_at,
        message=f"the export is complete: {export.items} items in {len(export.parts)} files",
    )


def _stays(_known: Parts, _migration: Migration, job: Job) -> Job:
    """Failed: a person is waited for."""
    return job


def _replaced(job: Job, **values: object) -> Job:
    return msgspec.structs.replace(job, **values)


STEPS: dict[str, Callable[[Parts, Migration, Job], Job]] = {
    "planned": _planned,
    "asking": _asking,
    "running": _running,
    "failed": _stays,
    "accepted": _accepted,
}


def told(job: Job | None, now: float) -> str:
    """Where the export stands, in a sentence. `now` in epoch seconds."""
    if job is None or (job.state == "planned" and not job.message):
        return "the export is asked for as soon as the stream is surely followed from before it (clock_margin_seconds)"
    if job.message:
        later = max(0.0, job.not_before - now)
        return job.message + (f", in {later:.0f} s (attempt {job.attempt})" if later else "")
    if job.state == "running":
        return _being_made(job, now)
    return "AWS is asked for the export" if job.state == "asking" else "the export is complete: its files are noted"


def _being_made(job: Job, now: float) -> str:
    """AWS tells no progress: what is known is how long it takes, and how much there is."""
    minutes = (now - job.asked_at) / 60
    size = f"; the table has {job.table_bytes / 1e9:.3g} GB" if job.table_bytes else ""
    left = max(0.0, SMALLEST_MINUTES - minutes)
    eta = f"at least {left:.0f} min more" if left >= 1 else "it may be done at any time"
    return (
        f"AWS makes the export as of {iso(job.export_time)}, for {minutes:.0f} min by now{size}. AWS tells no "
        f"progress; the smallest take about {SMALLEST_MINUTES} min: {eta} ({job.arn})"
    )


def again(control: Control) -> Job:
    """Another attempt, by a person's word. Raises CheckFailed when none is needed, ClientError, BotoCoreError."""
    migration = _migration(control)
    if not pending(migration):
        raise CheckFailed(f"no export is waited for: the migration is in phase {migration.phase.value}")
    found = control.get(RECORD, Job)
    if found is None or found[0].generation != migration.generation:
        raise CheckFailed("no export was asked for yet: that is done by `moveout run`, by itself")
    job, revision = found
    if job.state == "accepted" or not job.message:
        raise CheckFailed(f"the export needs no other attempt: {job.state}. Another one would cost as much again")
    following = Job(generation=job.generation, attempt=job.attempt + 1)
    control.put(RECORD, following, revision)
    return following

"""The anchor: from here on the stream is followed and the export is what came before.

Everything is durable before the first change is applied: the parts, the first state of every shard, and
last the migration record that says so. A crash on the way repeats it.
"""

import time

import msgspec
import structlog

from daemon import backfill, lineage, preflight
from daemon.app import Parts
from daemon.control import Conflict, Control, Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.prove import SHARDS

log = structlog.get_logger()


def anchored(known: Parts, migration: Migration) -> Migration:
    """The anchored migration, not written yet. Raises CheckFailed, ClientError, BotoCoreError."""
    facts = known.facts
    export = preflight.export(known.config, facts, known.s3, time.time())
    preflight.target(known.sink(), will_create=False)
    if not facts.stream.shards:
        raise CheckFailed(f"the stream {facts.stream.arn} lists no shard yet: it was enabled a moment ago, try again")
    for name, part in backfill.part_names(export.parts).items():
        _once(known.control, name, part)
    for shard, state in lineage.anchors(facts.stream.shards).items():
        _once(known.control, SHARDS + shard, state)
    log.info("anchored", shards=len(facts.stream.shards), parts=len(export.parts), version=export.version)
    return msgspec.structs.replace(
        migration,
        phase=Phase.ANCHORED,
        message=f"anchored at {len(facts.stream.shards)} shard(s), with {len(export.parts)} files to load",
        manifest=export.manifest,
        stream_arn=facts.stream.arn,
        anchored_at=time.time(),
        backfill_version=export.version,
    )


def _once(control: Control, record: str, value: msgspec.Struct) -> None:
    try:
        control.put(record, value, 0)
    except Conflict:
        log.info("anchor_repeated", record=record)


def unchanged(known: Parts, migration: Migration) -> None:
    """A restart goes on with the migration that was begun. Raises CheckFailed."""
    manifest = known.config.backfill.manifest
    if migration.manifest != manifest:
        raise CheckFailed(
            f"migration {known.config.migration!r} was begun with {migration.manifest}, the configuration now says "
            f"{manifest}: put it back, or choose another `migration` name (and an empty target)"
        )


def gap(known: Parts, migration: Migration) -> str | None:
    """What was lost for good, as far as it can be seen from the source table."""
    found = known.facts.stream.arn
    if found == migration.stream_arn:
        return None
    return (
        f"the stream was {migration.stream_arn}, the table's stream is now {found}: "
        "it was disabled and enabled again, and the changes in between are in neither"
    )

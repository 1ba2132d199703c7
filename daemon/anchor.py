"""The anchor: from here on the stream is followed and the export is what came before.

Everything is durable before the first change is applied: the parts, the first state of every shard, and
last the migration record that says so. Each attempt writes under a generation of its own: a crash on the way
leaves records that nothing refers to.
"""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from daemon import backfill, lineage, preflight
from daemon.app import Parts
from daemon.control import Control, Migration, Part, ShardState, shards_of
from daemon.letter_box import BoxUnavailable
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.source.shards import Shard

log = structlog.get_logger()


def anchor(known: Parts) -> Migration:
    """Anchor the migration, once; what is in force then. Raises CheckFailed, ClientError, BotoCoreError."""
    facts = known.facts
    export = preflight.export(known.config, facts, known.s3, known.clock.time())
    preflight.target(known.sink(), will_create=False)
    _try_letter_box(known)
    if not facts.stream.shards:
        raise CheckFailed(f"the stream {facts.stream.arn} lists no shard yet: it was enabled a moment ago, try again")
    generation = reserve(known.control)
    write_generation(known.control, generation, export.parts, facts.stream.shards, version=0)
    anchored = Migration(
        phase=Phase.ANCHORED,
        message=f"anchored at {len(facts.stream.shards)} shard(s), with {len(export.parts)} files to load",
        manifest=export.manifest,
        stream_arn=facts.stream.arn,
        anchored_at=known.clock.time(),
        exported_at=export.exported_at,
        backfill_version=export.version,
        parts=len(export.parts),
        generation=generation,
    )
    log.info("anchored", shards=len(facts.stream.shards), parts=len(export.parts), version=export.version)
    return known.control.update("migration", Migration, lambda current: _first(current, anchored))


def _first(current: Migration | None, anchored: Migration) -> Migration:
    """Another replica may have anchored meanwhile: then its word counts."""
    if current is None or current.phase is not Phase.CREATED:
        return current or anchored
    return msgspec.structs.replace(anchored, reserved=current.reserved)


def reserve(control: Control) -> int:
    """A generation that nobody else has written, or will write, under. Raises ClientError, BotoCoreError."""

    def taken(current: Migration | None) -> Migration:
        current = current or Migration()
        return msgspec.structs.replace(current, reserved=current.reserved + 1)

    return control.update("migration", Migration, taken).reserved


def write_generation(
    control: Control, generation: int, parts: Sequence[Part], shards: Mapping[str, Shard], version: int
) -> None:
    """The parts to load and the first states of the shards, whose changes will all lie above `version`."""
    for name, part in backfill.part_names(parts, generation).items():
        _written(control, name, part)
    for shard, state in lineage.anchors(shards, version).items():
        _written(control, shards_of(generation) + shard, state)


def _written(control: Control, record: str, value: Part | ShardState) -> None:
    """Nobody else writes under our generation: what is there is our own, of an attempt whose answer was lost."""
    control.update(record, type(value), lambda _: value)


def _try_letter_box(known: Parts) -> None:
    """A missing right must show now, not with the first change that the target refuses."""
    try:
        where = known.letter_box.try_out()
    except BoxUnavailable as error:
        raise CheckFailed(str(error)) from error
    log.info("dead_letters", kept_beside=where)


def unchanged(known: Parts, migration: Migration) -> None:
    """A restart goes on with the migration that was begun. Raises CheckFailed."""
    manifest = known.config.backfill.manifest
    if migration.manifest != manifest:
        raise CheckFailed(
            f"migration {known.config.migration!r} was begun with {migration.manifest}, the configuration now says "
            f"{manifest}: put it back, or choose another `migration` name (and an empty target)"
        )

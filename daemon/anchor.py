"""The anchor: from here on the stream is followed and the export is what came before.

Everything is durable before the first change is applied: the parts, the first state of every shard, and
last the migration record that says so. Each attempt writes under a generation of its own: a crash on the way
leaves records that nothing refers to.
"""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from daemon import backfill, lineage, preflight, warm
from daemon.app import Parts
from daemon.control import Control, Migration, Part, Settings, ShardState, shards_of
from daemon.letter_box import BoxUnavailable
from daemon.phase import Phase
from daemon.plan import Plan, origin, plan
from daemon.preflight import CheckFailed
from daemon.source.shards import Shard, Stream

log = structlog.get_logger()


def anchor(known: Parts) -> Migration:
    """Anchor the migration, once; what is in force then. Raises CheckFailed, ClientError, BotoCoreError."""
    _only_name(known)
    stream, made = _stream(known), plan(known)
    preflight.target(known.sink(), will_create=False)
    warm.tellable(known.config, Settings())
    _try_letter_box(known)
    generation = reserve(known.control)
    write_generation(known.control, generation, made.parts, stream.shards if stream else {}, version=0)
    anchored = Migration(
        phase=Phase.ANCHORED,
        message=f"anchored at {len(stream.shards) if stream else 0} shard(s), with {len(made.parts)} part(s) to load",
        mode=known.config.mode,
        manifest=made.origin,
        stream_arn=stream.arn if stream else "",
        anchored_at=known.clock.time(),
        exported_at=made.exported_at,
        backfill_version=made.version,
        parts=len(made.parts),
        generation=generation,
        sweep=made.sweep,
        pending=made.pending,
    )
    log.info("anchored", parts=len(made.parts), version=made.version, origin=made.origin, pending=made.pending)
    return known.control.update("migration", Migration, lambda current: _first(current, anchored))


def checked(known: Parts) -> Plan:
    """The plan, when it, the stream and the target are good; touches nothing. Raises as `anchor` does."""
    _only_name(known)
    _stream(known)
    preflight.target(known.sink(may_create=False), will_create=known.config.target.create_table)
    warm.tellable(known.config, Settings())
    return plan(known)


def _only_name(known: Parts) -> None:
    """A move alone and one of several have records of different names. Raises CheckFailed, ClientError, BotoCoreError.

    Begun anew under the other name, all would be loaded again, and nobody would know of the first move's gaps.
    """
    config = known.config
    other = f"{config.migration}.{config.source.table}" if config.one_of == 1 else config.migration
    found = known.control_of(other).get("migration", Migration)
    if found is not None and found[0].phase is not Phase.CREATED:
        begun, now = ("several tables", "one") if config.one_of == 1 else ("one table", "several tables")
        raise CheckFailed(
            f"migration {config.migration!r} was begun with {begun}, the configuration now has {now}: put it back, "
            "and move what is new under another `migration` name"
        )


def _stream(known: Parts) -> Stream | None:
    """The stream, from whose begin on it is followed; None without a tail. Raises CheckFailed."""
    if not known.config.tails:
        return None
    stream = known.facts.stream
    if not stream.shards:
        raise CheckFailed(f"the stream {stream.arn} lists no shard yet: it was enabled a moment ago, try again")
    return stream


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
    if migration.mode != known.config.mode:
        raise CheckFailed(
            f"migration {known.config.name!r} was begun with mode {migration.mode}, the configuration now says "
            f"{known.config.mode}: put it back, or choose another `migration` name"
        )
    configured = origin(known.config)
    if migration.manifest != configured:
        raise CheckFailed(
            f"migration {known.config.name!r} was begun with {migration.manifest}, the configuration now says "
            f"{configured}: put it back, or choose another `migration` name (and an empty target)"
        )

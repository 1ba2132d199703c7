"""What is to be loaded, as of when, and where the stream takes over: one plan for each way in.

A plan is made before anything is written; the anchor makes it durable.
"""

from collections.abc import Sequence

import msgspec

from daemon import files_plan, preflight, scanning
from daemon.app import Parts
from daemon.config import Config
from daemon.control import Part, Sweep
from daemon.source.export import REACH_SECONDS, version_of


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The parts, each with its version, and what the migration record says of them.

    `origin` tells one backfill from another: a restart with another one in its configuration is refused.
    """

    origin: str
    parts: Sequence[Part] = ()
    exported_at: float = 0  # epoch seconds: everything before is in the parts
    version: int = 0  # of the rows, in microseconds; 0: not known yet
    sweep: Sweep | None = None
    pending: bool = False  # an export is still to be made: the parts follow


def origin(config: Config) -> str:
    """Where the backfill comes from, as the configuration says it."""
    backfill = config.backfill
    if not config.loads:
        return "tail only"
    if backfill.from_ == "s3-export":
        named = [backfill.manifest, *backfill.windows] if backfill.manifest else []
        return " + ".join(named) or backfill.export_arn or "an export that moveout asks for"
    return "scan" if backfill.from_ == "scan" else f"files in {backfill.files.location if backfill.files else ''}"


def plan(known: Parts) -> Plan:
    """What is to be loaded. Raises CheckFailed, ClientError, BotoCoreError."""
    if not known.config.loads:
        return Plan(origin=origin(known.config), exported_at=_reached(known))
    if known.config.backfill.from_ == "s3-export":
        return _of_export(known)
    return _of_scan(known) if known.config.backfill.from_ == "scan" else _of_files(known)


def _reached(known: Parts) -> float:
    """From when on a tail alone brings everything, in epoch seconds: only the stream has what came before the anchor.

    Taken for read, the hours before the anchor could be trimmed unread, and nobody would be told (`gap.of_time`).
    """
    return max(known.facts.stream.created_at, known.clock.time() - REACH_SECONDS)


def _of_export(known: Parts) -> Plan:
    from daemon import export_plans  # which makes plans of its own

    backfill = known.config.backfill
    if backfill.manifest is not None and backfill.windows:
        return export_plans.of_windows(known, backfill.manifest, backfill.windows)
    if backfill.manifest is not None:
        return of_manifest(known, backfill.manifest)
    if backfill.export_arn is not None:
        return export_plans.of_arn(known, backfill.export_arn)
    return export_plans.to_be_made(known)


def of_manifest(known: Parts, manifest: str) -> Plan:
    """A full export that is complete, and joins the stream where one is followed. Raises as `plan` does."""
    if known.config.tails:
        export = preflight.export(known.config, manifest, known.facts, known.s3, known.clock.time())
    else:
        export = preflight.full_export(known.config, manifest, known.s3)
    return _of_one_version(known, export.parts, export.version, export.exported_at)


def _of_files(known: Parts) -> Plan:
    found = files_plan.look(known)
    return _of_one_version(known, found.parts, found.version, found.taken_at)


def _of_scan(known: Parts) -> Plan:
    begun = scanning.begin(known)
    version = version_of(begun.at)
    return _of_one_version(known, begun.parts, version, begun.complete_until)


def _of_one_version(known: Parts, parts: Sequence[Part], version: int, complete_until: float) -> Plan:
    return Plan(
        origin=origin(known.config),
        parts=versioned(parts, version),
        exported_at=complete_until,
        version=version,
    )


def versioned(parts: Sequence[Part], version: int) -> list[Part]:
    """The parts, each with the version of its rows."""
    return [msgspec.structs.replace(part, version=version) for part in parts]

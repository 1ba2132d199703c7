"""Plans for exports that are still to be made, that are known by their ARN, or that are a chain with windows."""

from botocore.exceptions import ClientError

from daemon import preflight
from daemon.app import Parts
from daemon.plan import Plan, of_manifest, origin
from daemon.preflight import CheckFailed
from daemon.source.export import ExportUnusable, hole
from daemon.source.export_request import Described, described
from daemon.source.full_and_windows import broken, chained
from daemon.source.incremental import Window, read_window


def to_be_made(known: Parts) -> Plan:
    """The export is asked for behind the anchor, so everything before now will be in it. Raises CheckFailed."""
    preflight.recovery(known.config, known.dynamodb)
    # A clock of ours that is slow must not date the export before a stream that has just been enabled.
    created_at = known.facts.stream.created_at if known.config.tails else 0.0
    return Plan(origin=origin(known.config), exported_at=max(known.clock.time(), created_at), pending=True)


def of_arn(known: Parts, arn: str) -> Plan:
    """An export that exists, or is being made. Raises CheckFailed, ClientError, BotoCoreError."""
    found = _described(known, arn)
    if found.table_arn != known.table.arn or found.kind != "FULL_EXPORT":
        raise CheckFailed(
            f"{arn} is a {found.kind} of {found.table_arn}, wanted is a FULL_EXPORT of {known.table.arn}: set "
            "backfill.export_arn to such a one (aws dynamodb list-exports)"
        )
    if found.failure is not None:
        raise CheckFailed(f"{arn} cannot be used: {found.failure.message}. Set backfill.export_arn to another one")
    if found.status == "COMPLETED":
        return of_manifest(known, found.manifest)
    _joins(known, arn, found.export_time)
    return Plan(origin=origin(known.config), exported_at=found.export_time, pending=True)


def _described(known: Parts, arn: str) -> Described:
    try:
        return described(known.dynamodb, arn)
    except ClientError as error:
        code, words = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ExportNotFoundException":
            raise CheckFailed(
                f"{arn} does not exist: AWS lists exports for 90 days (aws dynamodb list-exports)"
            ) from error
        raise CheckFailed(f"{arn} cannot be read ({code}: {words}): allow dynamodb:DescribeExport on it") from error


def _joins(known: Parts, name: str, exported_at: float) -> None:
    """Raises CheckFailed when changes would be in neither."""
    if not known.config.tails:
        return
    margin_seconds = known.config.backfill.clock_margin_seconds
    missing = hole(exported_at, known.facts.stream.created_at, known.clock.time(), margin_seconds)
    if missing is not None:
        raise CheckFailed(f"{name}: {missing}")


def of_windows(known: Parts, manifest: str, windows: list[str]) -> Plan:
    """A full export, and windows from there to the stream. Raises CheckFailed, ClientError, BotoCoreError."""
    full = preflight.full_export(known.config, manifest, known.s3)
    read = [_window(known, window) for window in windows]
    why = broken(full, read)
    if why is not None:
        raise CheckFailed(f"backfill.manifest and backfill.windows are no chain: {why}")
    chain = chained(full, read)
    _joins(known, "the last of backfill.windows", chain.to_time)
    return Plan(
        origin=origin(known.config),
        parts=chain.parts,
        exported_at=chain.to_time,
        version=chain.base,
        sweep=chain.sweep,
    )


def _window(known: Parts, manifest: str) -> Window:
    try:
        return read_window(known.s3, manifest)
    except ExportUnusable as error:
        raise CheckFailed(f"backfill.windows: {error}") from error

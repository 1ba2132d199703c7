"""The checks before anything is touched, each with what to do about it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from daemon.config import Config
from daemon.gap import StreamIdentity
from daemon.source import shards
from daemon.source.export import Export, ExportUnusable, hole, read_export
from daemon.source.export_request import recovery_command
from daemon.source.shards import Stream
from sinks.access import NoCredentials, RoleRefused, RoleUnavailable
from sinks.change import KeyAttribute, KeySchema
from sinks.sink import Sink, SinkError, TargetMissing

IMAGES = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")


class CheckFailed(Exception):
    """The move cannot work as things are. The message says what was found and what to do; exit code 3."""


class TableFacts(NamedTuple):
    """What DescribeTable tells of the source table; its stream may be off."""

    keys: KeySchema
    arn: str
    stream: StreamIdentity


class SourceFacts(NamedTuple):
    """What the source table is."""

    keys: KeySchema
    table_arn: str
    stream: Stream


class Finding(NamedTuple):
    """One check: what it looked at, what it found, and whether that is good."""

    check: str
    good: bool
    message: str


def source(config: Config, dynamodb: Any, streams: Any) -> SourceFacts:
    """The table is there, with a stream that shows new images. Raises CheckFailed."""
    name = config.source.table
    found = table(config, dynamodb)
    arn = found.stream.arn
    enable = (
        f"aws dynamodb update-table --table-name {name} --stream-specification "
        "StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    )
    if arn is None or not found.stream.enabled:
        raise CheckFailed(f"source table {name!r} has no stream: its changes cannot be followed. Enable one: {enable}")
    stream = _asked(f"stream {arn}", lambda: shards.describe(streams, arn))
    if stream.view_type not in IMAGES:
        raise CheckFailed(
            f"the stream of {name!r} shows {stream.view_type}, the move needs new images ({' or '.join(IMAGES)}). "
            f"A view type cannot be changed: disable the stream, then {enable}"
        )
    return SourceFacts(found.keys, found.arn, stream)


def table(config: Config, dynamodb: Any) -> TableFacts:
    """The source table as it is now. Raises CheckFailed."""
    name = config.source.table
    description = _asked(f"source table {name!r}", lambda: dynamodb.describe_table(TableName=name)["Table"])
    enabled = bool(description.get("StreamSpecification", {}).get("StreamEnabled", False))
    identity = StreamIdentity(description.get("LatestStreamArn"), enabled)
    return TableFacts(_keys(description), description["TableArn"], identity)


def _keys(description: Any) -> KeySchema:
    types = {a["AttributeName"]: a["AttributeType"] for a in description["AttributeDefinitions"]}
    parts = {
        k["KeyType"]: KeyAttribute(k["AttributeName"], types[k["AttributeName"]]) for k in description["KeySchema"]
    }
    return KeySchema(parts["HASH"], parts.get("RANGE"))


def export(config: Config, manifest: str, facts: SourceFacts, s3: Any, now: float) -> Export:
    """The export is whole, of this table, and joins the stream without a hole. Raises CheckFailed."""
    found = full_export(config, manifest, s3)
    missing = hole(found.exported_at, facts.stream.created_at, now, config.backfill.clock_margin_seconds)
    if missing is not None:
        raise CheckFailed(f"{manifest}: {missing}")
    return found


def full_export(config: Config, manifest: str, s3: Any) -> Export:
    """The export is whole and of this table. Raises CheckFailed."""
    try:
        found: Export = _asked(f"export {manifest}", lambda: read_export(s3, manifest))
    except ExportUnusable as error:
        raise CheckFailed(str(error)) from error
    if found.table_arn.rpartition("/")[2] != config.source.table:
        raise CheckFailed(
            f"{manifest} is an export of {found.table_arn}, the source is {config.source.table!r}: "
            "set backfill.manifest to an export of that table"
        )
    return found


def recovery(config: Config, dynamodb: Any) -> None:
    """Point-in-time recovery is on: AWS makes its exports from it. Raises CheckFailed."""
    name = config.source.table
    what = f"point-in-time recovery of {name!r} (dynamodb:DescribeContinuousBackups)"
    answer = _asked(what, lambda: dynamodb.describe_continuous_backups(TableName=name))
    found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if found.get("PointInTimeRecoveryStatus") != "ENABLED":
        raise CheckFailed(
            f"point-in-time recovery of {name!r} is off, and AWS exports from nothing else. Enable it: "
            f"{recovery_command(name)}; or choose backfill.from: scan"
        )


def target(sink: Sink, *, will_create: bool) -> str:
    """The target answers and can take the changes; what was found. Raises CheckFailed."""
    try:
        sink.open()
    except TargetMissing as error:
        if will_create:
            return "answers; the table does not exist yet and will be created"
        raise CheckFailed(str(error)) from error
    except SinkError as error:
        raise CheckFailed(str(error)) from error
    finally:
        sink.close()
    return "answers, and its table has the right key"


def _asked(what: str, ask: Callable[[], Any]) -> Any:
    """The answer, or why there is none, as an operator would say it."""
    try:
        return ask()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ResourceNotFoundException":
            raise CheckFailed(f"{what} does not exist: check its name, the region and the account") from error
        raise CheckFailed(f"{what} cannot be read ({code}): {error.response['Error']['Message']}") from error
    except (RoleRefused, RoleUnavailable, NoCredentials) as error:
        raise CheckFailed(f"{what} cannot be read: {error}") from error
    except BotoCoreError as error:
        raise CheckFailed(
            f"{what} cannot be reached: {error}. Check endpoint_url, region, credentials and the network path"
        ) from error

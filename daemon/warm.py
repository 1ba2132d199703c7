"""Can the target take the load as fast as it comes? What it can do at once, and the command that makes it more.

From AWS's developer guide ("Warm throughput", "On-demand capacity", "Quotas"); neither warm throughput nor throttling
is known to DynamoDB Local: not run on AWS.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from daemon import aws
from daemon.config import Config
from daemon.control import Settings
from daemon.preflight import CheckFailed
from daemon.progress_view import duration
from daemon.write_limit import allowed
from sinks.dynamodb import capacity
from sinks.dynamodb.options import DynamoDbOptions
from sinks.sink import SinkMisconfigured

NEW_WRITES = 4_000  # per second, of a new table on demand
TABLE_QUOTA = 40_000  # per second and table, unless Service Quotas says otherwise
ADVISED_SECONDS = 6 * 3600  # a load within this needs no more capacity, where no rate is configured
STEP = 1_000


class Limit(NamedTuple):
    """What holds writes back: write units per second, where, and why so."""

    units: float
    where: str
    told: str


def target_table(config: Config) -> Mapping[str, Any] | None:
    """The target as DescribeTable tells it; None where it is not there, or cannot be asked (the check says why)."""
    place = aws.target(config)
    if place is None:
        return None
    try:
        with closing(aws.client("dynamodb", place)) as client:
            found: Mapping[str, Any] = client.describe_table(TableName=getattr(config.target, "table", ""))["Table"]
    except (ClientError, BotoCoreError):
        return None
    return found


def tellable(config: Config, settings: Settings) -> None:
    """Refuse a percentage, set or configured, of a capacity that the target does not tell: every worker would end.

    A table that is not there, or cannot be asked, is no reason. Raises CheckFailed with what to set instead.
    """
    options = config.target
    if not isinstance(options, DynamoDbOptions) or (settings.write_percent or options.write_percent) is None:
        return
    table = target_table(config)
    if table is None:
        return
    try:
        allowed(options, settings, capacity.of_table(table, capacity.WRITES))
    except SinkMisconfigured as error:
        raise CheckFailed(str(error)) from error


def advice(
    target: DynamoDbOptions, table: Mapping[str, Any] | None, units: float, needed_per_second: float | None
) -> tuple[str, str]:
    """What the target can take, with the command where that is too little; and where the figure is from.

    `units`: write units of the whole load. `needed_per_second`: of them, at a configured rate.
    """
    limit = min(_limits(table)) if table is not None else Limit(NEW_WRITES, "", "as any new table on demand has it")
    source = f"{limit.told}; a partition takes 1,000 a second, so keys that are written in order may be slower"
    told = f"{limit.units:,.0f} write units per second at once{limit.where}"
    wanted = needed_per_second or units / ADVISED_SECONDS
    at_least = f"{told}: the load takes {duration(units / limit.units)} at least"
    if limit.units >= wanted:
        return f"{at_least}, and needs no pre-warming", source
    why = "at backfill.items_per_second" if needed_per_second else f"for a load within {duration(ADVISED_SECONDS)}"
    return f"{at_least}. {wanted:,.0f} are needed {why}: {_command(target, table, limit, wanted)}", source


def _limits(table: Mapping[str, Any]) -> Iterator[Limit]:
    """Of the table and of each global index: the least of them holds every write back."""
    billing = table.get("BillingModeSummary", {})
    yield _limit(table, "", billing)
    for index in table.get("GlobalSecondaryIndexes", ()):
        yield _limit(index, f" (of index {index['IndexName']})", billing)


def _limit(described: Mapping[str, Any], where: str, billing: Mapping[str, Any]) -> Limit:
    """What is told, or what a new table has. An index does not tell how the table is billed."""
    new = {"WarmThroughput": {"WriteUnitsPerSecond": NEW_WRITES}}
    known = capacity.of_table({**new, **described, "BillingModeSummary": billing}, capacity.WRITES)
    grows = ", which doubles within half an hour of use" if known.told.endswith("warm throughput") else ""
    return Limit(known.units or NEW_WRITES, where, f"{known.told}{grows}")


def _command(target: DynamoDbOptions, table: Mapping[str, Any] | None, limit: Limit, wanted: float) -> str:
    units = math.ceil(wanted / STEP) * STEP
    update = f"aws dynamodb update-table --region {target.region} --table-name {target.table}"
    quota = f"; more than {TABLE_QUOTA:,} need a higher quota first (Service Quotas)" if units > TABLE_QUOTA else ""
    if limit.where:
        return f"raise that index to {units:,}, or create it after the load{quota}"
    if limit.told == "provisioned" and table is not None:
        reads = max(1, table["ProvisionedThroughput"]["ReadCapacityUnits"])
        size = f"ReadCapacityUnits={reads},WriteCapacityUnits={units}"
        return f"{update} --provisioned-throughput {size} (and back after the load){quota}"
    if limit.told.endswith("maximum"):
        return f"{update} --on-demand-throughput MaxWriteRequestUnits={units} (and back after the load){quota}"
    told = "billed once, and never taken back; without it the table grows by itself, and throttles meanwhile"
    first = "" if table is not None else "when it is there, "
    return f"{first}{update} --warm-throughput WriteUnitsPerSecond={units} ({told}){quota}"

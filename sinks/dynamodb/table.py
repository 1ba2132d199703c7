"""The target table and the table of tombstones beside it: do they exist, can they take the move?"""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sinks.change import KeyAttribute, KeySchema
from sinks.dynamodb.alternator import agrees
from sinks.dynamodb.errors import as_sink_error, code_of
from sinks.dynamodb.options import DynamoDbOptions
from sinks.sink import SinkMisconfigured, TargetMissing


def prepare(client: Any, options: DynamoDbOptions, keys: KeySchema) -> None:
    """Check both tables, of which mode `ordered` has one; create what is missing.

    Raises SinkMisconfigured, SinkUnavailable.
    """
    try:
        _prepare(client, options, keys)
    except (ClientError, BotoCoreError) as error:
        raise as_sink_error(error) from error


def _prepare(client: Any, options: DynamoDbOptions, keys: KeySchema) -> None:
    found = described(client, options.table)
    agrees(options, found)
    if found is None:
        if not options.create_table:
            raise TargetMissing(
                f"target table {options.table!r} does not exist in {options.region}. "
                "`moveout schema --apply` creates it as the source is; or set target.create_table: true"
            )
        _create(client, options.table, keys)
    elif schema_of(found) != keys:
        raise SinkMisconfigured(
            f"target table {options.table!r} has the key {schema_of(found)}, the source has {keys}: "
            "name a table of the same key"
        )
    if options.mode == "ordered":  # no version tells whose items these are, and no second table is needed
        return
    _only_ours(client, options)
    if described(client, options.tombstones) is None:
        _create(client, options.tombstones, keys)


def described(client: Any, table: str) -> dict[str, Any] | None:
    """The table's description, None where there is none. Raises ClientError, BotoCoreError."""
    try:
        found: dict[str, Any] = client.describe_table(TableName=table)["Table"]
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return None
        raise
    return found


def schema_of(description: Mapping[str, Any]) -> KeySchema:
    """The key of a described table."""
    types = {a["AttributeName"]: a["AttributeType"] for a in description["AttributeDefinitions"]}
    roles = {k["KeyType"]: k["AttributeName"] for k in description["KeySchema"]}
    parts = {role: KeyAttribute(name, types[name]) for role, name in roles.items()}
    return KeySchema(parts["HASH"], parts.get("RANGE"))


def _create(client: Any, table: str, keys: KeySchema) -> None:
    parts = [(keys.partition, "HASH")] + ([(keys.sort, "RANGE")] if keys.sort else [])
    try:
        client.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": p.name, "AttributeType": p.type} for p, _ in parts],
            KeySchema=[{"AttributeName": p.name, "KeyType": role} for p, role in parts],
            BillingMode="PAY_PER_REQUEST",
        )
    except ClientError as error:
        if code_of(error) != "ResourceInUseException":  # another worker was quicker
            raise
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def _only_ours(client: Any, options: DynamoDbOptions) -> None:
    """One look, not a scan: an item without our version would win against every moved one, for ever."""
    for item in client.scan(TableName=options.table, Limit=1, ConsistentRead=True)["Items"]:
        if options.version_attribute not in item:
            raise SinkMisconfigured(
                f"target table {options.table!r} holds items that moveout did not write "
                f"(no attribute {options.version_attribute!r}): the target must start empty"
            )

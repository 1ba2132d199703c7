"""Clones the source: compares, creates what is missing, waits until it can be used. `moveout schema` for this target.

The steps are command lines of `aws`, and what is done is what they say: nothing else is kept between the two calls.
Run here on DynamoDB Local, and on a fake that checks each request against AWS's API model; not run on AWS.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sinks import access
from sinks.change import KeySchema
from sinks.dynamodb import alternator
from sinks.dynamodb.command import command, requested, waiting
from sinks.dynamodb.differences import differences, tag_differences
from sinks.dynamodb.errors import as_sink_error, code_of, is_rejection
from sinks.dynamodb.not_copied import not_copied
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.table import described, schema_of
from sinks.dynamodb.table_request import tombstones, wanted
from sinks.provision import SchemaStep, SourceTable
from sinks.sink import SinkMisconfigured, SinkUnavailable

POLL_SECONDS = 2.0
TOLD_SECONDS = 20.0
# An index over many rows may take longer: then a rerun goes on waiting.
WAIT_SECONDS_MAX = 3600.0

NEVER_READY = ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ARCHIVING", "ARCHIVED", "REPLICATION_NOT_AUTHORIZED")

Told = Callable[[str], None]


def client_of(options: DynamoDbOptions) -> Any:
    """boto3's client for the tables of the target; the caller closes it."""
    from sinks.dynamodb.connect import access_of

    seconds = options.request_timeout_seconds
    config = Config(
        connect_timeout=seconds, read_timeout=seconds, retries={"mode": "standard", "total_max_attempts": 8}
    )
    return access.client(access_of(options, "moveout"), "dynamodb", options.region, options.endpoint_url, config)


def account_of(options: DynamoDbOptions) -> str | None:
    """The account that the target is in; None where nobody can tell."""
    if options.role_arn is not None:
        return options.role_arn.split(":")[4]
    if options.endpoint_url is not None and options.sts_endpoint_url is None:
        return None  # a stand-in, or Alternator
    from sinks.dynamodb.connect import access_of

    try:
        return access.identity(access_of(options, "moveout")).split(":")[4]
    except (ClientError, BotoCoreError):
        return None


def steps_of(options: DynamoDbOptions, source: SourceTable) -> list[SchemaStep]:
    """As schema_steps, with a client of its own."""
    with closing(client_of(options)) as client:
        return schema_steps(options, source, client, account_of(options))


def apply_steps(options: DynamoDbOptions, steps: Sequence[SchemaStep], told: Told) -> None:
    """As apply_schema, with a client of its own."""
    with closing(client_of(options)) as client:
        apply_schema(steps, client, told)


def schema_steps(
    options: DynamoDbOptions, source: SourceTable, client: Any, account: str | None = None
) -> list[SchemaStep]:
    """As Provisioned.schema_steps: target, tombstones, and what is left to a person. Raises as that does."""
    try:
        request = wanted(source, options, account)
        steps = list(_target(client, options, source, request))
        if options.mode == "exact":
            steps += _tombstones(client, options, source)
    except (ClientError, BotoCoreError) as error:
        raise as_sink_error(error) from error
    return [*steps, *not_copied(source, options, account)]


def every_step(options: DynamoDbOptions, source: SourceTable) -> list[SchemaStep]:
    """Every step to a copy of the source, as if nothing were there; the target is not asked."""
    account = account_of(options)
    request = wanted(source, options, account)
    made = [SchemaStep(command(options, "CreateTable", request), _creates(request, source))]
    if options.mode == "exact":  # the other remembers no deletion
        made.append(_of_tombstones(options, source))
    return [*made, *not_copied(source, options, account)]


def apply_schema(
    steps: Sequence[SchemaStep],
    client: Any,
    told: Told = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """As Provisioned.apply_schema; `told` hears of each step and of the waiting. Raises as that does.

    What an interrupted run has begun is waited for as well.
    """
    try:
        for step in steps:
            if not step.by_hand:
                _do(step, client, told, sleep)
    except (ClientError, BotoCoreError) as error:
        raise as_sink_error(error) from error


def _target(
    client: Any, options: DynamoDbOptions, source: SourceTable, request: Mapping[str, Any]
) -> Iterator[SchemaStep]:
    found = described(client, options.table)
    if found is None:
        yield SchemaStep(command(options, "CreateTable", request), _creates(request, source))
        return
    alternator.agrees(options, found)
    _same_key(found, schema_of(source.table), options.table)
    yield from _begun(options, found)
    yield from differences(request, found, options)
    if "TableArn" in found:
        yield from _tags(client, options, request, found["TableArn"])


def _tags(client: Any, options: DynamoDbOptions, request: Mapping[str, Any], arn: str) -> Iterator[SchemaStep]:
    if "Tags" not in request:
        return
    try:
        answer = client.list_tags_of_resource(ResourceArn=arn)
    except ClientError as error:
        yield SchemaStep("", f"the target's tags could not be compared: {error}", by_hand=True)
        return
    yield from tag_differences(request, {tag["Key"]: tag["Value"] for tag in answer.get("Tags", ())}, arn, options)


def _tombstones(client: Any, options: DynamoDbOptions, source: SourceTable) -> Iterator[SchemaStep]:
    found = described(client, options.tombstones)
    if found is not None:
        _same_key(found, schema_of(source.table), options.tombstones)
        yield from _begun(options, found)
        return
    yield _of_tombstones(options, source)


def _of_tombstones(options: DynamoDbOptions, source: SourceTable) -> SchemaStep:
    return SchemaStep(
        command(options, "CreateTable", tombstones(source, options)),
        "remembers deletions during the move: on demand, with nothing of the source's settings; "
        "`moveout complete` deletes it",
    )


def _begun(options: DynamoDbOptions, found: Mapping[str, Any]) -> Iterator[SchemaStep]:
    """What an interrupted run has asked for, and what is not in force yet."""
    state = _unready(found, None)
    if state is not None:
        yield SchemaStep(waiting(options, found["TableName"]), f"waits for {state}")


def _creates(request: Mapping[str, Any], source: SourceTable) -> str:
    indexes = len(request.get("GlobalSecondaryIndexes", ())) + len(request.get("LocalSecondaryIndexes", ()))
    told = f"the target as a copy of {source.table['TableName']}: key, {indexes} index(es), {request['BillingMode']}"
    warm = request.get("WarmThroughput") or next(
        (index["WarmThroughput"] for index in request.get("GlobalSecondaryIndexes", ()) if "WarmThroughput" in index),
        None,
    )
    if warm:
        told += (
            f"; with the source's warm throughput ({warm['ReadUnitsPerSecond']} reads, {warm['WriteUnitsPerSecond']} "
            "writes per second), which AWS bills once and never takes back: leave it out of the command to save that"
        )
    return told


def _same_key(found: Mapping[str, Any], keys: KeySchema, table: str) -> None:
    if schema_of(found) != keys:
        raise SinkMisconfigured(
            f"table {table!r} has the key {schema_of(found)}, the source has {keys}: a key cannot be changed. Name "
            "another table"
        )


def _do(step: SchemaStep, client: Any, told: Told, sleep: Callable[[float], None]) -> None:
    method, arguments = requested(step.statement)
    _wait(client, arguments["TableName"], told, sleep)  # AWS changes one index at a time
    if method == "wait":
        return
    told(f"{method} {arguments['TableName']}")
    try:
        getattr(client, method)(**arguments)
    except ClientError as error:
        if code_of(error) == "ResourceInUseException" and method == "create_table":
            told(f"{arguments['TableName']} is there already")  # of a run before, or of a replica
        elif is_rejection(error):
            raise SinkMisconfigured(
                f"the target refuses a step ({error}). Change and run it yourself: {step.statement}"
            ) from error
        else:
            raise
    _wait(client, arguments["TableName"], told, sleep, made=True)


def _wait(client: Any, table: str, told: Told, sleep: Callable[[float], None], *, made: bool = False) -> None:
    """Until the table and its indexes are ACTIVE; at once where there is none and none was `made`.

    Raises SinkUnavailable.
    """
    waited = 0.0
    while (state := _unready(described(client, table), table if made else None)) is not None:
        if waited >= WAIT_SECONDS_MAX:
            raise SinkUnavailable(f"{state} after {waited / 60:.0f} min: run it again, it goes on waiting")
        if waited % TOLD_SECONDS == 0:
            told(f"waiting for {state}, for {waited:.0f} s")
        sleep(POLL_SECONDS)
        waited += POLL_SECONDS


def _unready(table: Mapping[str, Any] | None, made: str | None) -> str | None:
    """What is not ACTIVE yet. A table that was made a moment ago may not be told of yet."""
    if table is None:
        return f"table {made}, which is not told of yet" if made else None
    if table.get("TableStatus") in NEVER_READY:
        raise SinkMisconfigured(
            f"table {table['TableName']} is {table['TableStatus']}, which nobody's waiting cures: see its key and its "
            "replicas in the console"
        )
    if table.get("TableStatus", "ACTIVE") != "ACTIVE":
        return f"table {table['TableName']}, which is {table['TableStatus']}"
    for index in table.get("GlobalSecondaryIndexes", ()):
        if index.get("IndexStatus", "ACTIVE") != "ACTIVE":
            return f"index {index['IndexName']} of {table['TableName']}, which is {index['IndexStatus']}"
    return None

"""ScyllaDB's Alternator as a target: what it lacks is not used. Not run here: no ScyllaDB was at hand.

Coded from its documentation ("ScyllaDB Alternator for DynamoDB users", "Alternator-specific APIs"): it has single-item
conditional writes and no TransactWriteItems, so mode `exact` needs another way to remember deletions. The way below is
run on DynamoDB Local (the whole contract of a sink), and in every order of its steps on a store in memory.

One rule: a deletion is remembered *before* the item is deleted, and whoever makes an item appear looks *afterwards*
whether a newer deletion is remembered; if so, it deletes what it made. So whichever of two comes last sees the other.
What a process leaves that dies between the two steps is deleted by whoever applies the same batch again, and what a
late one leaves, whose batch nobody applies again, by `settle`. Until then readers may see an item that was deleted:
transactions would not show it. The engine settles once, when the backfill is done: what a process leaves that was
frozen, wakes up after that, and dies in just this moment, stays until somebody settles again.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from sinks.change import Change, KeySchema
from sinks.dynamodb.errors import code_of
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.wire import key_json, versioned
from sinks.sink import SinkMisconfigured

# What DescribeTable of Alternator tells: alternator/executor.cc, generate_arn_for_table. It sends no Server header.
ARN = "arn:scylla:alternator:"

Json = dict[str, Any]
Call = Callable[[str, Json], Json]
# A request, and the answer that it gets: None where its condition did not hold.
Steps = Generator[tuple[str, Json], Json | None, None]


def agrees(options: DynamoDbOptions, table: Mapping[str, Any] | None) -> None:
    """`target.flavor` is what answers there. Raises SinkMisconfigured.

    The other way round is let be: the steps of this module are right on DynamoDB too, they only cost more.
    """
    arn = str((table or {}).get("TableArn", ""))
    if options.flavor == "dynamodb" and arn.startswith(ARN):
        raise SinkMisconfigured(
            f"{options.endpoint_url} is ScyllaDB's Alternator ({arn}), which has no transactions: "
            "set target.flavor: alternator"
        )


def apply_one(call: Call, options: DynamoDbOptions, keys: KeySchema, change: Change) -> None:
    """Store one change by conditional writes of single items. Raises ClientError, BotoCoreError, UnreadableItem."""
    under_way = steps(options, keys, change)
    answer: Json | None = None
    try:
        while True:
            answer = answered(call, *under_way.send(answer))
    except StopIteration:
        return


def steps(options: DynamoDbOptions, keys: KeySchema, change: Change) -> Steps:
    """The requests, one after the other: what is between two of them is what others do."""
    return (_deletion if change.item is None else _put)(options, keys, change)


def answered(call: Call, operation: str, request: Json) -> Json | None:
    """The answer; None where the condition did not hold. Raises ClientError, BotoCoreError."""
    try:
        return call(operation, request)
    except ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        return None


def _deletion(options: DynamoDbOptions, keys: KeySchema, change: Change) -> Steps:
    """Remember, then delete: a put that comes between the two is deleted by the second, one behind it looks."""
    remembered = {
        **_on(options, keys, change, options.tombstones),
        "UpdateExpression": "SET #v = :v",
        "ConditionExpression": "attribute_not_exists(#k) OR #v < :v",
    }
    yield "UpdateItem", remembered
    yield _deleted(options, keys, change, change.version)


def _put(options: DynamoDbOptions, keys: KeySchema, change: Change) -> Steps:
    # In the place of an item that is there: a deletion that is under way has its second step still to come.
    if (yield _stored(options, keys, change, "attribute_exists(#k) AND #v < :v")) is not None:
        return
    # Looked at first as well, or each replay would show a deleted item for a moment.
    remembered = yield _look(options, keys, change)
    if _version_of(options, remembered) < change.version:
        if (yield _stored(options, keys, change, "attribute_not_exists(#k) OR #v < :v")) is None:
            return  # what is there is as new, or the application's
        remembered = yield _look(options, keys, change)
    newest = _version_of(options, remembered)
    if newest > change.version:
        yield _deleted(options, keys, change, newest)


def _stored(options: DynamoDbOptions, keys: KeySchema, change: Change, condition: str) -> tuple[str, Json]:
    assert change.item is not None  # noqa: S101  only puts come here
    request = _on(options, keys, change, options.table)
    del request["Key"]
    item = msgspec.Raw(versioned(change.item.json, options.version_attribute, change.version))
    return "PutItem", {**request, "Item": item, "ConditionExpression": condition}


def _deleted(options: DynamoDbOptions, keys: KeySchema, change: Change, older_than: int) -> tuple[str, Json]:
    request = _on(options, keys, change, options.table)
    request["ExpressionAttributeValues"] = {":v": {"N": str(older_than)}}
    # An item without our version is the application's.
    return "DeleteItem", {**request, "ConditionExpression": "attribute_exists(#k) AND #v < :v"}


def _look(options: DynamoDbOptions, keys: KeySchema, change: Change) -> tuple[str, Json]:
    return "GetItem", {"TableName": options.tombstones, "Key": key_json(keys, change.key), "ConsistentRead": True}


def _version_of(options: DynamoDbOptions, answer: Json | None) -> int:
    """Of the deletion that is remembered; below every version where none is."""
    found = (answer or {}).get("Item")
    return int(found[options.version_attribute]["N"]) if found else -1


def _on(options: DynamoDbOptions, keys: KeySchema, change: Change, table: str) -> Json:
    return {
        "TableName": table,
        "Key": key_json(keys, change.key),
        "ExpressionAttributeNames": {"#k": keys.partition.name, "#v": options.version_attribute},
        "ExpressionAttributeValues": {":v": {"N": str(change.version)}},
    }

"""Takes back what only the move needed: the hidden attribute of every item, and the table of tombstones.

`moveout complete` for this target: after the switch, when nothing can be replayed any more. Each item is one
`UpdateItem REMOVE` on the condition that it still has the version that was read: what the application has put, updated
or deleted meanwhile stays as it made it. So a pass can be interrupted and begun again at any time; the next one passes
over what is done. The tombstones go last: as long as their table is there, the target is not complete.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from sinks.change import KeySchema
from sinks.dynamodb.errors import TRANSIENT, as_sink_error, code_of
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.table import described, schema_of
from sinks.sink import SinkMisconfigured

TOLD_SECONDS = 10.0
THROTTLED_MAX, PAUSE_SECONDS_MAX = 12, 30.0
LOOKED_AT = 100  # tombstones whose shape is looked at before their table is deleted

Call = Callable[[str, dict[str, Any]], dict[str, Any]]
Told = Callable[[str], None]


class Way(NamedTuple):
    """How the target is reached. `call` makes a request of DynamoDB's JSON protocol, `client` is boto3's."""

    call: Call
    client: Any
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Counted(msgspec.Struct):
    """What a pass has done so far."""

    seen: int = 0
    taken_off: int = 0
    changed: int = 0  # by the application, between the look and the write


def complete_target(options: DynamoDbOptions, keys: KeySchema, told: Told) -> None:
    """As `complete`, with connections of its own."""
    from sinks import access
    from sinks.dynamodb.call import Calls
    from sinks.dynamodb.clone import client_of
    from sinks.dynamodb.connect import access_of

    asker = access_of(options, "moveout")
    with closing(client_of(options)) as client:
        explain = partial(access.advice, asker, "dynamodb", options.region)
        with closing(Calls(client, access.session(asker), options.request_timeout_seconds, explain)) as calls:
            complete(options, keys, told, Way(calls.call, client))


def complete(options: DynamoDbOptions, keys: KeySchema, told: Told, way: Way) -> None:
    """As Completable.complete. Raises SinkMisconfigured, SinkUnavailable."""
    try:
        if described(way.client, options.table) is None:
            raise SinkMisconfigured(f"target table {options.table!r} does not exist in {options.region}")
        # Before the first item is touched: a wrong name is told at once, not after hours.
        ours = _tombstones(options, keys, way)
        counted = _Pass(options, keys, told, way).run()
        told(
            f"{options.version_attribute!r} was taken off {counted.taken_off:,} items of {options.table}"
            + (f"; {counted.changed:,} were put or deleted by the application meanwhile" if counted.changed else "")
        )
        if ours:
            way.client.delete_table(TableName=options.tombstones)
        told(f"table {options.tombstones} is " + ("deleted" if ours else "not there any more"))
    except (ClientError, BotoCoreError) as error:
        raise as_sink_error(error) from error


def _tombstones(options: DynamoDbOptions, keys: KeySchema, way: Way) -> bool:
    """The table of tombstones is there. Raises SinkMisconfigured when it does not look like one that we made."""
    table = described(way.client, options.tombstones)
    if table is None or table.get("TableStatus") == "DELETING":
        return False
    request = {"TableName": options.tombstones, "Limit": LOOKED_AT, "ConsistentRead": True}
    unlike = _unlike(table, way.call("Scan", request)["Items"], options, keys)
    if unlike is not None:
        raise SinkMisconfigured(
            f"table {options.tombstones!r} is not deleted: {unlike}, which no table of tombstones does. Nothing was "
            "changed. Check target.tombstone_table; if it is ours after all, delete it yourself"
        )
    return True


def _unlike(
    table: Mapping[str, Any], items: Sequence[Mapping[str, Any]], options: DynamoDbOptions, keys: KeySchema
) -> str | None:
    """What about it is not ours."""
    if schema_of(table) != keys:
        return f"it has the key {schema_of(table)}, the target has {keys}"
    if table.get("GlobalSecondaryIndexes") or table.get("LocalSecondaryIndexes"):
        return "it has indexes"
    if table.get("StreamSpecification", {}).get("StreamEnabled") or table.get("DeletionProtectionEnabled"):
        return "it has a stream or deletion protection"
    whole = keys.names | {options.version_attribute}
    if any(item.keys() != whole or "N" not in item[options.version_attribute] for item in items):
        return f"it holds items with other attributes than its key and {options.version_attribute!r}"
    return None


class _Pass:
    """One pass over the table: as many segments as there may be requests in flight."""

    def __init__(self, options: DynamoDbOptions, keys: KeySchema, told: Told, way: Way) -> None:
        self._options, self._keys, self._told, self._way = options, keys, told, way
        self._counted = Counted()
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self._pace = _Pace(options.complete_items_per_second, way)
        self._told_at = way.now()

    def run(self) -> Counted:
        """Raises ClientError, BotoCoreError: of the first segment that fails, soon after it does."""
        segments = range(self._options.concurrency)
        with ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="complete") as pool:
            futures = [pool.submit(self._segment, number) for number in segments]
        for future in futures:
            future.result()
        return self._counted

    def _segment(self, number: int) -> None:
        try:
            for page, seen in _pages(self._options, self._keys, number, self._call):
                for item in page:
                    if self._failed.is_set():
                        return
                    self._pace.wait()
                    self._count(_take_off_one(self._options, self._keys, item, self._call))
                self._look_up(seen)
        except BaseException:
            self._failed.set()
            raise

    def _count(self, taken_off: bool) -> None:  # noqa: FBT001  what is counted
        with self._lock:
            self._counted.taken_off += taken_off
            self._counted.changed += not taken_off

    def _look_up(self, seen: int) -> None:
        with self._lock:
            self._counted.seen += seen
            if self._way.now() - self._told_at < TOLD_SECONDS:
                return
            self._told_at = self._way.now()
            self._told(f"{self._counted.seen:,} items seen, the attribute taken off {self._counted.taken_off:,}")

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """A table that is throttled, as one whose capacity was set for the application alone may be, is waited for."""
        for attempt in range(THROTTLED_MAX):
            try:
                return self._way.call(operation, request)
            except ClientError as error:
                if code_of(error) not in TRANSIENT or self._failed.is_set():
                    raise
                self._way.sleep(min(2**attempt, PAUSE_SECONDS_MAX) * random.random())
        return self._way.call(operation, request)


def _pages(
    options: DynamoDbOptions, keys: KeySchema, segment: int, call: Call
) -> Iterator[tuple[Sequence[dict[str, Any]], int]]:
    """Key and version of the items that have one, page by page, and how many were looked at."""
    names = {"#v": options.version_attribute, "#k": keys.partition.name}
    if keys.sort is not None:
        names["#s"] = keys.sort.name
    request: dict[str, Any] = {
        "TableName": options.table,
        "Segment": segment,
        "TotalSegments": options.concurrency,
        "ProjectionExpression": ", ".join(sorted(names)),
        "FilterExpression": "attribute_exists(#v)",
        "ExpressionAttributeNames": names,
        "ConsistentRead": True,
    }
    while True:
        page = call("Scan", request)
        yield page["Items"], page.get("ScannedCount", len(page["Items"]))
        if "LastEvaluatedKey" not in page:
            return
        request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}


def _take_off_one(options: DynamoDbOptions, keys: KeySchema, item: Mapping[str, Any], call: Call) -> bool:
    """False when it was changed since it was read."""
    request = {
        "TableName": options.table,
        "Key": {name: item[name] for name in keys.names},
        "UpdateExpression": "REMOVE #v",
        "ConditionExpression": "#v = :seen",
        "ExpressionAttributeNames": {"#v": options.version_attribute},
        "ExpressionAttributeValues": {":seen": item[options.version_attribute]},
    }
    try:
        call("UpdateItem", request)
    except ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


class _Pace:
    """So many a second, over all threads: each turn has its time, and who comes before it waits."""

    def __init__(self, per_second: float, way: Way) -> None:
        self._each_seconds = 1 / per_second
        self._way = way
        self._lock = threading.Lock()
        self._next_at = way.now()

    def wait(self) -> None:
        """Until it is this one's turn."""
        with self._lock:
            now = self._way.now()
            at = max(now, self._next_at)
            self._next_at = at + self._each_seconds
        if at > now:
            self._way.sleep(at - now)

"""The demo's source table: made, filled, and only then given its stream."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import msgspec

from daemon.demo.dataset import PARTITION, SORT, Item
from daemon.demo.wire import Wire

BATCH_ITEMS = 25  # the most that BatchWriteItem takes
THREADS = 4
UNPROCESSED_TRIES_MAX = 20


class NotLoaded(Exception):
    """DynamoDB kept refusing items."""


def create(client: Any, table: str) -> None:
    """A table with a partition and a sort key, both text, and no stream yet. `client`: boto3's dynamodb."""
    client.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in (PARTITION, SORT)],
        KeySchema=[
            {"AttributeName": PARTITION, "KeyType": "HASH"},
            {"AttributeName": SORT, "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def enable_stream(client: Any, table: str) -> None:
    """Switch the stream on. After loading, so that it holds the application's changes and not the load."""
    client.update_table(
        TableName=table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


def enable_recovery(client: Any, table: str) -> None:
    """Switch point-in-time recovery on, which AWS makes its exports from."""
    client.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def load(wire: Wire, table: str, items: Iterable[Item], loaded: Callable[[int], None] = lambda _: None) -> int:
    """Put all items; how many. `loaded` hears the running total."""
    total = 0
    with ThreadPoolExecutor(THREADS, "load") as pool:
        waiting: deque[Future[int]] = deque()
        for batch in _batches(items):
            waiting.append(pool.submit(_put, wire, table, batch))
            if len(waiting) >= 2 * THREADS:  # bounded: items are made as they are taken
                total += waiting.popleft().result()
                loaded(total)
        total += sum(future.result() for future in waiting)
    loaded(total)
    return total


def _batches(items: Iterable[Item]) -> Iterator[list[msgspec.Raw]]:
    encoded = (msgspec.Raw(msgspec.json.encode(item)) for item in items)
    rest = iter(encoded)
    while batch := list(islice(rest, BATCH_ITEMS)):
        yield batch


def _put(wire: Wire, table: str, batch: list[msgspec.Raw]) -> int:
    request: Any = {table: [{"PutRequest": {"Item": item}} for item in batch]}
    for _ in range(UNPROCESSED_TRIES_MAX):
        answer = msgspec.json.decode(wire.call("BatchWriteItem", {"RequestItems": request}))
        request = answer.get("UnprocessedItems")
        if not request:
            return len(batch)
    raise NotLoaded(f"{table}: {len(request[table])} items refused {UNPROCESSED_TRIES_MAX} times: {wire.endpoint_url}")

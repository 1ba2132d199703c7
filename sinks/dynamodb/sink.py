"""The DynamoDB sink, mode `exact`: a hidden version attribute, conditional writes, remembered deletions.

DynamoDB has no write timestamps, so each item carries its version, and a second table remembers the
version of deletions. Invariant per key, M being the highest version applied: the item is there with
version M, or it is absent and its tombstone says M (or nothing was applied). Proof and the shortcuts
that fail: daemon/README.md, "One rule of order".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from sinks.attributes import UnreadableItem
from sinks.change import Change, Item, Key, KeySchema, newest
from sinks.dynamodb import alternator
from sinks.dynamodb.capacity import consumed
from sinks.dynamodb.connect import Connect, Connected, connected
from sinks.dynamodb.errors import as_sink_error, cancellation_codes, code_of, is_rejection
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.provisioning import Provisioning
from sinks.dynamodb.puts import NEWER, NEWER_OR_ABSENT, Puts
from sinks.dynamodb.rounds import GivenUp, Rounds
from sinks.dynamodb.throughput import LimitOf, Throughput, no_limit
from sinks.dynamodb.wire import key_json, key_of, version_and_item, versioned
from sinks.sink import Rejection, SinkMisconfigured, SinkUnavailable, Stored
from sinks.wrapping import lend

WRITES = frozenset({"PutItem", "DeleteItem", "TransactWriteItems"})
CONDITION_FAILED = "ConditionalCheckFailed"
CONFLICTS_MAX = 20


class DynamoDbSink:
    """Writes changes to one table, and the versions of deletions to the table beside it. `connect` is its way out.

    Puts go over the exchange, in numbers; what may take a transaction is called one by one. `limit` says how many
    write units per second it may use of the target's capacity, and is asked as it goes.
    """

    def __init__(
        self,
        options: DynamoDbOptions,
        keys: KeySchema,
        connect: Connect = connected,
        limit: LimitOf = no_limit,
    ) -> None:
        self._options = options
        self._keys = keys
        self._connect = connect
        self._limit = limit
        self._at: Connected | None = None
        lend(self, Provisioning(options))
        # "#k" stands for the partition key: its presence is the item's presence. Both tables use the same names.
        self._names = {"#k": keys.partition.name, "#v": options.version_attribute}

    def open(self) -> None:
        """Connect, check both tables, create what is missing."""
        self._at = at = self._connect(self._options, self._keys)
        self._throughput = Throughput(lambda: self._limit(at.capacity))
        self._rounds = Rounds(at.exchange, self._options.concurrency, self._throughput, at.sleep)

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """One conditional write per key; transactions where an item appears or disappears."""
        latest = newest(changes)
        if self._options.flavor == "alternator":
            # Not in rounds: an item that is as new may be one that a put has left which died before it looked again.
            return self._each(self._apply_one, latest)
        deletions = [change for change in latest if change.item is None]
        puts = self._puts([change for change in latest if change.item is not None], NEWER, deletions)
        rest = [*deletions, *puts.absent]
        try:
            return [*puts.rejections, *self._each(self._apply_one, rest)]
        except SinkUnavailable as error:
            error.left = [*(rest if error.left is None else error.left), *_refused(puts)]
            raise

    def load(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """One conditional PutItem per row, which does not ask the tombstones: `settle` does, later."""
        return self._puts(newest(changes), NEWER_OR_ABSENT).rejections

    def _puts(self, changes: Sequence[Change], condition: str, behind: Sequence[Change] = ()) -> Puts:
        """Send these. `behind` is what waits for them and is not confirmed either when they fail."""
        show = condition == NEWER
        self._active()
        puts = Puts(self._options, self._keys, condition, show=show, measured=self._throughput.limited)
        try:
            self._rounds.run("PutItem", puts.parcels(changes), puts.body, puts.judge)
        except GivenUp as error:
            error.left = [*(error.left or ()), *puts.absent, *_refused(puts), *behind]
            raise
        return puts

    def settle(self) -> int:
        """Delete every item that is older than its tombstone; how many."""
        swept = 0
        for tombstone in self._tombstones():
            swept += self._guarded(self._sweep_one, tombstone)
        return swept

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What the table holds for these keys, the hidden attribute taken off."""
        answers = self._active().pool.map(lambda key: self._guarded(self._get, key), keys)
        return {
            key: Stored(stored[0], Item(stored[1]))
            for key, stored in zip(keys, answers, strict=True)
            if stored is not None
        }

    def versions(self) -> Iterator[Sequence[tuple[Key, int]]]:
        """Key and version of every item that we wrote, by pages of the service's own size."""
        names = {"#v": self._options.version_attribute, "#k": self._keys.partition.name}
        projection = "#k, #v"
        if self._keys.sort is not None:
            names["#s"], projection = self._keys.sort.name, "#k, #s, #v"
        wanted = {"ProjectionExpression": projection, "ExpressionAttributeNames": names}
        for page in self._pages({"TableName": self._options.table, "ConsistentRead": True, **wanted}):
            yield [(key_of(self._keys, item), int(item[names["#v"]]["N"])) for item in page if names["#v"] in item]

    def stream(self) -> str:
        """As Followable: the ARN of the table's stream."""
        described = self._guarded(lambda asked: self._call("DescribeTable", asked), {"TableName": self._options.table})
        return str(described["Table"].get("LatestStreamArn", ""))

    def complete(self, told: Callable[[str], None]) -> None:
        """Take the hidden attribute off and delete the tombstones: as Completable says."""
        from sinks.dynamodb import complete

        complete.complete_target(self._options, self._keys, told)

    def close(self) -> None:
        """Wait for what is in flight and drop the connections."""
        if self._at is not None:
            self._at.close()
        self._at = None

    def _active(self) -> Connected:
        if self._at is None:
            raise SinkUnavailable("the sink is not open")
        return self._at

    def _each(self, act: Callable[[Change], None], changes: Sequence[Change]) -> Sequence[Rejection]:
        """Act on every change; returns only when none is in flight any more."""
        pool = self._active().pool
        futures = [pool.submit(self._one, act, change) for change in changes]
        wait(futures)
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            # Whatever is no outage goes first: no retry can help there.
            first = next((error for error in errors if not isinstance(error, SinkUnavailable)), errors[0])
            if isinstance(first, SinkUnavailable):
                first.left = [change for change, f in zip(changes, futures, strict=True) if f.exception() or f.result()]
            raise first
        return [rejection for future in futures if (rejection := future.result()) is not None]

    def _one(self, act: Callable[[Change], None], change: Change) -> Rejection | None:
        try:
            self._guarded(act, change)
        except UnreadableItem as error:
            return Rejection(change, str(error))
        except _Rejected as error:
            return Rejection(change, f"the target refuses this item: {error}")
        return None

    def _guarded(self, act: Callable[..., Any], argument: Any) -> Any:
        """Sorts what act raises: a rejection, or an error for the engine."""
        try:
            return act(argument)
        except ClientError as error:
            if is_rejection(error):
                raise _Rejected(str(error)) from error
            raise as_sink_error(error) from error
        except BotoCoreError as error:
            raise as_sink_error(error) from error

    def _apply_one(self, change: Change) -> None:
        if self._options.flavor == "alternator":
            alternator.apply_one(self._call, self._options, self._keys, change)
            return
        (self._delete if change.item is None else self._put_absent)(change)

    def _put_absent(self, change: Change) -> None:
        """Put an item that was absent a moment ago."""
        for _ in range(CONFLICTS_MAX):
            if self._create(change):
                return
            found = self._put_if(change, NEWER)
            if found is None or found:  # stored, or the item that is there is as new
                return
        raise SinkUnavailable(f"{change.key} changed under {CONFLICTS_MAX} attempts: another writer is at it")

    def _put_if(self, change: Change, condition: str) -> dict[str, Any] | None:
        """None: stored. Otherwise what is there instead, `{}` when nothing is."""
        try:
            self._call(
                "PutItem",
                {
                    "TableName": self._options.table,
                    "Item": self._versioned(change),
                    "ConditionExpression": condition,
                    "ExpressionAttributeNames": self._names,
                    "ExpressionAttributeValues": _version(change),
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            there: Any = error.response.get("Item", {})
            return dict(there)
        return None

    def _create(self, change: Change) -> bool:
        """Put an item that is absent, unless a newer deletion is remembered. False: it appeared meanwhile."""
        put = {
            "TableName": self._options.table,
            "Item": self._versioned(change),
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": {"#k": self._names["#k"]},
        }
        check = {**self._tombstone(change), "ConditionExpression": "attribute_not_exists(#k) OR #v < :v"}
        item_failed, _ = self._transact([{"Put": put}, {"ConditionCheck": check}])
        return not item_failed

    def _delete(self, change: Change) -> None:
        delete = {
            "TableName": self._options.table,
            "Key": key_json(self._keys, change.key),
            "ConditionExpression": "attribute_not_exists(#k) OR #v < :v",
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": _version(change),
        }
        remember = {
            **self._tombstone(change),
            "UpdateExpression": "SET #v = :v",
            "ConditionExpression": "attribute_not_exists(#k) OR #v < :v",
        }
        # A failed condition on either side means that something as new has been applied already.
        self._transact([{"Delete": delete}, {"Update": remember}])

    def _transact(self, actions: list[dict[str, Any]]) -> tuple[bool, ...]:
        """Which conditions failed, in the order of the actions; all False when it was stored."""
        for _ in range(CONFLICTS_MAX):
            try:
                self._call("TransactWriteItems", {"TransactItems": actions})
            except ClientError as error:
                codes = cancellation_codes(error)
                if is_rejection(error) or code_of(error) != "TransactionCanceledException":
                    raise
                if CONDITION_FAILED in codes:
                    return tuple(code == CONDITION_FAILED for code in codes)
                if "TransactionConflict" not in codes:
                    raise  # throttled: the engine waits and applies again
            else:
                return (False,) * len(actions)
        raise SinkUnavailable(f"{CONFLICTS_MAX} transaction conflicts in a row")

    def _tombstone(self, change: Change) -> dict[str, Any]:
        return {
            "TableName": self._options.tombstones,
            "Key": key_json(self._keys, change.key),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": _version(change),
        }

    def _versioned(self, change: Change) -> msgspec.Raw:
        assert change.item is not None  # noqa: S101  only puts come here
        return msgspec.Raw(versioned(change.item.json, self._options.version_attribute, change.version))

    def _get(self, key: Key) -> tuple[int, bytes] | None:
        request = {"TableName": self._options.table, "Key": key_json(self._keys, key), "ConsistentRead": True}
        answer = self._call("GetItem", request)
        return version_and_item(answer["Item"], self._options.version_attribute) if "Item" in answer else None

    def _tombstones(self) -> Iterator[dict[str, Any]]:
        for page in self._pages({"TableName": self._options.tombstones, "ConsistentRead": True}):
            yield from page

    def _pages(self, request: dict[str, Any]) -> Iterator[Sequence[dict[str, Any]]]:
        while True:
            page = self._guarded(lambda scan: self._call("Scan", scan), request)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        calls = self._active().calls
        if operation not in WRITES or not self._throughput.limited:
            return calls.call(operation, request)
        answer = calls.call(operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
        self._throughput.corrected(0.0, consumed(answer))
        return answer

    def _sweep_one(self, tombstone: dict[str, Any]) -> bool:
        """Delete the item of this tombstone when it is older; True when it was."""
        version = tombstone.pop(self._options.version_attribute)
        try:
            self._call(
                "DeleteItem",
                {
                    "TableName": self._options.table,
                    "Key": tombstone,
                    "ConditionExpression": "attribute_exists(#k) AND #v < :v",
                    "ExpressionAttributeNames": self._names,
                    "ExpressionAttributeValues": {":v": version},
                },
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True


class _Rejected(SinkMisconfigured):
    """A refused item: becomes a Rejection where an item is written, and stops the rest."""


def _refused(puts: Puts) -> list[Change]:
    return [rejection.change for rejection in puts.rejections]


def _version(change: Change) -> dict[str, Any]:
    return {":v": {"N": str(change.version)}}

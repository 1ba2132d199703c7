"""The DynamoDB sink, mode `ordered`: items as they were, no hidden attribute, no second table, plain batch writes.

It keeps the last change to *arrive* for each key, not the newest one: the engine hands on the backfill first and then
the tail, and of each key everything in order. What breaks the order breaks the target: a process that woke up late (a
zombie), a request that arrives after its successor. So not all promises of `Sink.apply` hold: an older change is
not refused. A replay after a crash brings each key to its end state again, and shows older ones on the way.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from sinks.change import Change, Item, Key, KeySchema, newest
from sinks.dynamodb import batches
from sinks.dynamodb.connect import Connect, Connected, connected
from sinks.dynamodb.errors import as_sink_error
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.provisioning import Provisioning
from sinks.dynamodb.rounds import GivenUp, Rounds
from sinks.dynamodb.throughput import LimitOf, Throughput, no_limit
from sinks.dynamodb.wire import key_json
from sinks.sink import Rejection, SinkUnavailable, Stored
from sinks.wrapping import lend

# The items have none. Versions of changes are microseconds of this century: no change is as old.
NO_VERSION = 0


class OrderedDynamoDbSink:
    """Writes changes to one table. Not Scannable: without versions nobody can tell what a resync has to remove."""

    def __init__(
        self, options: DynamoDbOptions, keys: KeySchema, connect: Connect = connected, limit: LimitOf = no_limit
    ) -> None:
        self._options = options
        self._keys = keys
        self._connect = connect
        self._limit = limit
        self._at: Connected | None = None
        lend(self, Provisioning(options))

    def open(self) -> None:
        """Connect, check the table, create it when it is missing and may be."""
        self._at = at = self._connect(self._options, self._keys)
        self._throughput = Throughput(lambda: self._limit(at.capacity))
        self._rounds = Rounds(at.exchange, self._options.concurrency, self._throughput, at.sleep)

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """The newest change of each key, in batches; of different batches none is older than what is there.

        When it returns, none of its requests is in flight. Raises as Sink.apply.
        """
        self._active()
        found = batches.Batches(self._keys)
        parcels = batches.of_changes(self._keys, newest(changes))
        body = batches.body_of(self._options.table, measured=self._throughput.limited)
        try:
            self._rounds.run("BatchWriteItem", parcels, body, found.judge)
        except GivenUp as error:
            error.left = [*(error.left or ()), *(rejection.change for rejection in found.rejections)]
            raise
        return found.rejections

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What the table holds for these keys, each with NO_VERSION."""
        found = {}
        for key in keys:
            item = self._get(key)
            if item is not None:
                found[key] = Stored(NO_VERSION, Item(msgspec.json.encode(item)))
        return found

    def _get(self, key: Key) -> object | None:
        request = {"TableName": self._options.table, "Key": key_json(self._keys, key), "ConsistentRead": True}
        try:
            return self._active().calls.call("GetItem", request).get("Item")
        except (ClientError, BotoCoreError) as error:
            raise as_sink_error(error) from error

    def complete(self, told: Callable[[str], None]) -> None:
        """Nothing to take back: as Completable says."""
        told(f"mode ordered left nothing behind in {self._options.table!r}")

    def close(self) -> None:
        """Drop the connections."""
        if self._at is not None:
            self._at.close()
        self._at = None

    def _active(self) -> Connected:
        if self._at is None:
            raise SinkUnavailable("the sink is not open")
        return self._at

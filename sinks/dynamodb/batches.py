"""Plain batch writes: BatchWriteItem bodies out of raw items, and what an answer means for each of its writes.

Rules: API reference, BatchWriteItem. At most 25 writes and 16 MB, no key twice; one item that can never be stored
fails the request as a whole; what was throttled comes back as UnprocessedItems under a 200.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from sinks.change import Change, Key, KeySchema
from sinks.dynamodb.capacity import consumed
from sinks.dynamodb.errors import is_rejection
from sinks.dynamodb.exchange import Outcome
from sinks.dynamodb.rounds import TAKEN, Parcel, Verdict, Write, again
from sinks.dynamodb.wire import key_json, key_of
from sinks.sink import Rejection

WRITES_MAX = 25
# A quarter of what is allowed: a request that is lost is sent again as a whole.
BODY_BYTES_MAX = 4 * 1024 * 1024
_PUT, _DELETE = b'{"PutRequest":{"Item":%b}}', b'{"DeleteRequest":{"Key":%b}}'
_nothing_left = b'{"UnprocessedItems":{}}'


class _Answer(msgspec.Struct):
    left: dict[str, list[dict[str, dict[str, Any]]]] = msgspec.field(name="UnprocessedItems", default={})
    capacity: list[dict[str, Any]] = msgspec.field(name="ConsumedCapacity", default=[])


_decode = msgspec.json.Decoder(_Answer).decode


def write(keys: KeySchema, change: Change) -> Write:
    """The change as an entry of a batch."""
    if change.item is not None:
        return Write(change, _PUT % change.item.json)
    return Write(change, _DELETE % msgspec.json.encode(key_json(keys, change.key)))


def parcels(writes: Iterable[Write]) -> Iterator[Parcel]:
    """As many as one request takes. No two writes may be of one key."""
    parcel: list[Write] = []
    size = 0
    for one in writes:
        if parcel and (len(parcel) == WRITES_MAX or size + len(one.json) > BODY_BYTES_MAX):
            yield parcel
            parcel, size = [], 0
        parcel.append(one)
        size += len(one.json)
    if parcel:
        yield parcel


def body_of(table: str, *, measured: bool) -> Callable[[Parcel], bytes]:
    """Makes request bodies. `measured`: the answer tells its write units."""
    more = b',"ReturnConsumedCapacity":"TOTAL"' if measured else b""
    head = b'{"RequestItems":{%b:[' % msgspec.json.encode(table)
    return lambda parcel: b"%b%b]}%b}" % (head, b",".join([one.json for one in parcel]), more)


class Batches:
    """Judges answers to batches of one `apply`; `rejections` is what it found that can never be stored."""

    def __init__(self, keys: KeySchema) -> None:
        self._keys = keys
        self.rejections: list[Rejection] = []

    def judge(self, parcel: Parcel, outcome: Outcome) -> Verdict:
        """Raises SinkMisconfigured."""
        if outcome == _nothing_left:
            return TAKEN
        if isinstance(outcome, bytes):
            return self._partly(parcel, _decode(outcome))
        if isinstance(outcome, ClientError) and is_rejection(outcome):
            return self._refused(parcel, outcome)
        return again(parcel, outcome)

    def _partly(self, parcel: Parcel, answer: _Answer) -> Verdict:
        units = consumed({"ConsumedCapacity": answer.capacity})
        left = {self._key(entry) for entries in answer.left.values() for entry in entries}
        if not left:
            return Verdict(units=units)
        unprocessed: Parcel = [one for one in parcel if one.change.key in left]
        if len(unprocessed) != len(left):
            # It names a key that we do not know again: nothing of it is taken for stored.
            unprocessed = parcel
        why = f"{len(left)} of {len(parcel)} writes were throttled"
        return Verdict((unprocessed,), why, throttled=True, units=units)

    def _key(self, entry: dict[str, dict[str, Any]]) -> Key:
        ((_, action),) = entry.items()
        return key_of(self._keys, action.get("Item") or action["Key"])

    def _refused(self, parcel: Parcel, error: ClientError | BotoCoreError) -> Verdict:
        """Of a whole batch it is not told which write is guilty: halves of it tell."""
        if len(parcel) > 1:
            half = len(parcel) // 2
            return Verdict((parcel[:half], parcel[half:]))
        self.rejections.append(Rejection(parcel[0].change, f"the target refuses this item: {error}"))
        return TAKEN


def of_changes(keys: KeySchema, changes: Iterable[Change]) -> Sequence[Parcel]:
    """Parcels of changes with different keys."""
    return list(parcels(write(keys, change) for change in changes))

"""The two tables, as verification reads them: the target through its sink, the source by BatchGetItem."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from botocore.exceptions import ClientError, HTTPClientError

from daemon.source.keys import key_reader
from sinks.change import Item, Key, KeySchema
from sinks.dynamodb.errors import TRANSIENT, code_of
from sinks.dynamodb.wire import key_json
from sinks.sink import Readable, SinkUnavailable, Stored

log = structlog.get_logger()

# API reference, BatchGetItem: at most 100 keys, 16 MB; what is left comes back as UnprocessedKeys.
BATCH_KEYS_MAX = 100
WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 0.25, 15.0


class Asked(Protocol):
    """DynamoDB's calls as plain JSON: sinks/dynamodb/call.py."""

    def raw(self, operation: str, request: Any) -> bytes:
        """The answer as it came. Raises ClientError, BotoCoreError."""


class _Tables(msgspec.Struct, gc=False):
    Responses: dict[str, list[msgspec.Raw]] = {}
    UnprocessedKeys: dict[str, msgspec.Raw] = {}


_decode = msgspec.json.Decoder(_Tables).decode


class Waiting:
    """Pauses that grow with each, with jitter, while somebody still wants the result."""

    def __init__(self, wanted: Callable[[], None], sleep: Callable[[float], None]) -> None:
        """`wanted` raises when nobody does."""
        self._wanted = wanted
        self._sleep = sleep

    def pauses(self) -> Iterator[None]:
        """Endless; the caller stops when it has what it wants."""
        seconds = WAIT_SECONDS_MIN
        while True:
            yield
            self._wanted()
            self._sleep(random.uniform(0, seconds))
            seconds = min(seconds * 2, WAIT_SECONDS_MAX)


class Tables:
    """settle.Sides over a readable sink and the source table."""

    def __init__(self, readable: Readable, calls: Asked, table: str, keys: KeySchema, waiting: Waiting) -> None:
        self._readable = readable
        self._calls = calls
        self._table = table
        self._keys = keys
        self._key_of = key_reader(keys)
        self._waiting = waiting

    def target(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What the target holds of these; however long it is away."""
        for _ in self._waiting.pauses():
            try:
                return self._readable.read(keys)
            except SinkUnavailable as error:
                log.warning("target_unavailable", error=str(error), during="verification")
        raise AssertionError("endless")

    def source(self, keys: Sequence[Key]) -> Mapping[Key, Item]:
        """What the source holds of these, consistently. Raises ClientError, BotoCoreError, UnreadableItem."""
        found: dict[Key, Item] = {}
        for start in range(0, len(keys), BATCH_KEYS_MAX):
            for raw in self._batch(keys[start : start + BATCH_KEYS_MAX]):
                json = bytes(raw)
                found[self._key_of(json)] = Item(json)
        return found

    def _batch(self, keys: Sequence[Key]) -> list[msgspec.Raw]:
        wanted: dict[str, Any] = {
            self._table: {"Keys": [key_json(self._keys, key) for key in keys], "ConsistentRead": True}
        }
        items: list[msgspec.Raw] = []
        for _ in self._waiting.pauses():
            answer = self._answered(wanted)
            for of_table in answer.Responses.values():
                items += of_table
            wanted = {**answer.UnprocessedKeys}
            if not wanted:
                break
        return items

    def _answered(self, wanted: dict[str, Any]) -> _Tables:
        """One answer; where the table throttles, none of it was processed."""
        try:
            return _decode(self._calls.raw("BatchGetItem", {"RequestItems": wanted}))
        except (HTTPClientError, msgspec.MsgspecError) as error:  # no answer, or one that was cut short
            log.warning("source_unavailable", error=str(error), during="verification")
        except ClientError as error:
            if code_of(error) not in TRANSIENT:
                raise
            log.warning("source_throttles", error=str(error), during="verification")
        return _Tables(UnprocessedKeys=wanted)

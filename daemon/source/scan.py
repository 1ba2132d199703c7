"""One segment of the source table -> pages of rows, by Scan. For tables without point-in-time recovery.

**Version.** All rows have one version B, OVERLAP_SECONDS below the instant A of the anchor, and are read after A.

*Why that is enough.* Let a page show a key as of its k-th write, or miss the key. What it does not show are writes
that came later than the read, or, eventually consistent, up to the staleness s before it; all of them are later than
A - s. The stream is older than A - clock_margin_seconds (checked before the anchor), AWS gives s as a second mostly, so
each such write has a record, and its version T >= its creation second lies above B, for s plus the clocks' difference
is less than OVERLAP_SECONDS. So whatever a row lacks wins over it. Writes that the stream does not hold are older than
A - s: the row shows them, or a later state. A change that the row shows already and the stream brings again is put in
its place by the key's last record. How late a page is read does not matter: all that happens after A is in the stream.
A strongly consistent read has s = 0.

Shapes: API reference, Scan. The answer is cut into items without looking into them but for the key.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import structlog
import tenacity
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from daemon.control import Part
from daemon.pace import Pace
from daemon.sections import Scan
from daemon.source.keys import key_reader
from daemon.source.page import Page, Row
from sinks.attributes import UnreadableItem
from sinks.change import Item, KeySchema
from sinks.dynamodb.errors import TRANSIENT, code_of

log = structlog.get_logger()

# Behind the last row; "" is before the first.
END = "end"
# The first page of a scan that is held to a rate: nothing is known yet of how large its items are.
FIRST_ITEMS = 100
ITEMS_MAX = 1_000_000
UNIT_BYTES = 4096  # of a strongly consistent read; eventually consistent it is half a unit
WAIT_SECONDS_MAX = 15.0

# One request -> the undecoded answer, without a second attempt. Raises ClientError, BotoCoreError.
Send = Callable[[dict[str, Any]], bytes]

_NAME = re.compile(r"scan:(?P<table>[A-Za-z0-9_.-]+)#(?P<segment>\d+)/(?P<segments>\d+)")


class ScanRefused(Exception):
    """The table does not let itself be scanned, and no second attempt helps. The message says what to do."""


class _Consumed(msgspec.Struct, gc=False):
    CapacityUnits: float = 0.0


class _Answer(msgspec.Struct, gc=False):
    Items: list[msgspec.Raw] = []
    LastEvaluatedKey: msgspec.Raw = msgspec.Raw(b"")
    ConsumedCapacity: _Consumed | None = None


_decode = msgspec.json.Decoder(_Answer).decode
TRY_AGAIN = (HTTPClientError, msgspec.MsgspecError)


class Segment(NamedTuple):
    """Which slice of which table."""

    table: str
    number: int
    of: int


def name_of(segment: Segment) -> str:
    """The part's name: `scan:orders#3/16`."""
    return f"scan:{segment.table}#{segment.number}/{segment.of}"


def segment_of(name: str) -> Segment:
    """The inverse of name_of. Raises ValueError."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no part of a scan: expected scan:<table>#<segment>/<segments>")
    return Segment(found["table"], int(found["segment"]), int(found["segments"]))


def parts(table: str, segments: int, items: int, size_bytes: int) -> list[Part]:
    """One part per segment. `items` and `size_bytes` are of the whole table, as DescribeTable estimates them."""
    return [
        Part(
            name=name_of(Segment(table, number, segments)),
            md5="",
            items=items // segments,
            kind="scan",
            counted=False,
            size_bytes=size_bytes // segments,
        )
        for number in range(segments)
    ]


def page_items(limit: float | None, items: int, units: float) -> int | None:
    """How many items a page may have so that it costs about a second of the limit. None: as AWS does, 1 MB.

    `items` and `units` are of the last page, 0 before the first.
    """
    if limit is None:
        return None
    if not items or not units:
        return FIRST_ITEMS
    return max(1, min(int(limit * items / units), ITEMS_MAX))


def units_of(size_bytes: int, *, consistent: bool) -> float:
    """Read units of a page whose answer does not tell them, by its JSON: rather more than its items have in the table.

    Not every server that speaks DynamoDB's protocol tells them, and what costs nothing is held to no rate.
    """
    whole = math.ceil(size_bytes / UNIT_BYTES)
    return float(whole) if consistent else whole / 2


class Scanner:
    """Reads segments at a worker's share of the rate. Memory: one page, 1 MB of items."""

    def __init__(self, send: Send, options: Scan, keys: KeySchema, pace: Pace, sleep: Callable[[float], None]) -> None:
        """`pace` is in read units per second; `sleep` may raise when nobody wants the result any more."""
        self._send = send
        self._options = options
        self._key_of = key_reader(keys)
        self._pace = pace
        self._sleep = sleep
        self._items, self._units = 0, 0.0  # of the last page

    def pages(self, part: Part) -> Iterator[Page]:
        """The segment behind the part's position. Waits for a table that is away or throttles, for ever.

        Raises ScanRefused, and what `pace` and `sleep` raise.
        """
        position = part.position
        while position != END:
            answer = self._answered(part, position)
            rows = [self._row(part, bytes(raw)) for raw in answer.Items]
            position = bytes(answer.LastEvaluatedKey).decode() or END
            yield Page(rows, position, sum(len(item.json) for _, item in rows if item is not None))

    def _row(self, part: Part, json: bytes) -> Row:
        try:
            return self._key_of(json), Item(json)
        except UnreadableItem as error:
            raise ScanRefused(f"{part.name}: the table gave an item without its key: {error}") from error

    def _request(self, part: Part, position: str) -> dict[str, Any]:
        segment = segment_of(part.name)
        request = {
            "TableName": segment.table,
            "Segment": segment.number,
            "TotalSegments": segment.of,
            "ConsistentRead": self._options.consistent,
            "ReturnConsumedCapacity": "TOTAL",
        }
        items = self._options.page_items or page_items(self._pace.limit, self._items, self._units)
        if items is not None:
            request["Limit"] = items
        if position:
            request["ExclusiveStartKey"] = msgspec.Raw(position.encode())
        return request

    def _answered(self, part: Part, position: str) -> _Answer:
        """One page, however long it takes."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=WAIT_SECONDS_MAX),
            before_sleep=lambda state: _say(part, state),
            sleep=self._sleep,
        )
        try:
            return attempts(self._once, part, position)
        except (ClientError, NoCredentialsError) as error:
            raise ScanRefused(
                f"{part.name} cannot be read: {error}. Check the table and the right dynamodb:Scan; what was read "
                "is kept"
            ) from error

    def _once(self, part: Part, position: str) -> _Answer:
        self._pace.ready()
        try:
            body = self._send(self._request(part, position))
            answer = _decode(body)
        except TRY_AGAIN:
            # The answer was lost, what it cost was not.
            self._pace.owe(self._units)
            raise
        told = answer.ConsumedCapacity
        self._units = told.CapacityUnits if told else units_of(len(body), consistent=self._options.consistent)
        self._items = len(answer.Items)
        self._pace.owe(self._units)
        return answer


def _is_transient(error: BaseException) -> bool:
    """Throttled, a bad moment of the service, or an answer that did not arrive whole."""
    if isinstance(error, ClientError):
        return code_of(error) in TRANSIENT
    return isinstance(error, (*TRY_AGAIN, BotoCoreError)) and not isinstance(error, NoCredentialsError)


def _say(part: Part, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("scan_waits", part=part.name, attempt=state.attempt_number, error=f"{type(error).__name__}: {error}")

"""Backfill by scan: how it begins, the rate that it is held to, and a worker's way to read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import preflight
from daemon.app import Parts
from daemon.control import Part, Settings
from daemon.pace import Pace
from daemon.preflight import CheckFailed
from daemon.sections import Scan
from daemon.source import scan
from daemon.source.capacity import Allowed, CapacityUnknown, allowed, of_table
from daemon.source.scan import Scanner
from sinks.dynamodb.capacity import Capacity

log = structlog.get_logger()

# Auto scaling changes a table's capacity now and then.
CAPACITY_SECONDS = 60.0


class Begun(NamedTuple):
    """A scan that may begin. Epoch seconds."""

    at: float  # nothing is read before
    complete_until: float  # every write before this is in the rows
    parts: list[Part]
    rate: Allowed


def begin(known: Parts) -> Begun:
    """The parts of a scan that begins after now. Raises CheckFailed."""
    options, table = known.config.backfill.scan, known.config.source.table
    answer = preflight.described(known.config, known.dynamodb)
    description, at = answer["Table"], _now(known, answer)
    if known.config.tails:
        _old_enough(known, at)
    rate = _allowed(options, Settings(), description)
    _try_scan(known.dynamodb, table)
    items, size_bytes = description.get("ItemCount", 0), description.get("TableSizeBytes", 0)
    parts = scan.parts(table, options.segments, items, size_bytes)
    return Begun(at, at - known.config.backfill.clock_margin_seconds, parts, rate)


def tellable(known: Parts, settings: Settings) -> Allowed:
    """The rate that these settings would mean for the table as it is. Raises CheckFailed where that cannot be told."""
    description = preflight.described(known.config, known.dynamodb)["Table"]
    return _allowed(known.config.backfill.scan, settings, description)


def _allowed(options: Scan, settings: Settings, description: Any) -> Allowed:
    try:
        return allowed(options, settings, of_table(description))
    except CapacityUnknown as error:
        raise CheckFailed(str(error)) from error


def told(known: Parts) -> str:
    """What `moveout check` says of it. Raises CheckFailed."""
    begun = begin(known)
    limit = "no limit" if begun.rate.units is None else f"at most {begun.rate.units:g} read units per second"
    items = sum(part.items for part in begun.parts)
    return f"a scan of about {items:,} items in {len(begun.parts):,} segment(s), with {limit} ({begun.rate.why})"


def _now(known: Parts, answer: Any) -> float:
    """The earlier one of our clock and AWS's: to take the scan for older than it is does no harm, the reverse would."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    ours = known.clock.time()
    # The header's fraction of a second is cut off.
    return min(ours, parsedate_to_datetime(date).timestamp() + 1) if date else ours


def _old_enough(known: Parts, now: float) -> None:
    """An eventually consistent read may miss a write of before the stream began: that would be in neither."""
    age, wanted = now - known.facts.stream.created_at, known.config.backfill.clock_margin_seconds
    table = known.config.source.table
    if age < wanted:
        raise CheckFailed(
            f"the stream of {table!r} was enabled {max(age, 0):.0f} s ago, a scan begins after {wanted} s "
            "(backfill.clock_margin_seconds): what it misses of the last moments must be in the stream. "
            f"Start again in {wanted - age:.0f} s"
        )


def _try_scan(dynamodb: Any, table: str) -> None:
    """A missing right must show now. Costs half a read unit."""
    try:
        dynamodb.scan(TableName=table, Limit=1)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise CheckFailed(
            f"source table {table!r} cannot be scanned ({code}): {error.response['Error']['Message']}. "
            "The service and the workers need dynamodb:Scan on it"
        ) from error
    except BotoCoreError as error:
        raise CheckFailed(f"source table {table!r} cannot be scanned: {error}. Check the network path") from error


class Rate:
    """Read units per second of one worker out of `of`, as settings and table have it now."""

    def __init__(self, known: Parts, of: int) -> None:
        self._known = known
        self._of = of
        self._capacity: Capacity | None = None
        self._looked_at = float("-inf")
        self._last: Allowed | None = None

    def units_per_second(self) -> float | None:
        """None is no limit. Raises CheckFailed for a percentage of a capacity that was never known."""
        try:
            now = allowed(self._known.config.backfill.scan, self._known.settings.now(), self._table())
        except CapacityUnknown as error:
            if self._last is None:
                raise CheckFailed(str(error)) from error
            now = self._last  # the table's mode was changed meanwhile: what was obeyed is obeyed further
        if now != self._last:
            log.info("scan_rate", units_per_second=now.units, why=now.why, workers=self._of)
            self._last = now
        return None if now.units is None else now.units / self._of

    def _table(self) -> Capacity:
        """At most a minute old; the one seen last while the table cannot be asked. Raises CheckFailed at first."""
        now = self._known.clock.monotonic()
        if self._capacity is None or now - self._looked_at >= CAPACITY_SECONDS:
            self._looked_at = now
            try:
                answer = preflight.described(self._known.config, self._known.dynamodb)
            except CheckFailed:
                if self._capacity is None:
                    raise
            else:
                self._capacity = of_table(answer["Table"])
        return self._capacity


@contextmanager
def scanner(known: Parts, of: int, wanted: Callable[[], None]) -> Iterator[Scanner]:
    """What one worker out of `of` reads its segments with. `wanted` raises when nobody wants them any more."""
    calls = known.calls()
    pace = Pace(
        Rate(known, of).units_per_second,
        lambda: known.settings.now().backfill_paused,
        wanted,
        known.clock,
        saved_seconds=0,
    )

    def sleep(seconds: float) -> None:
        wanted()
        known.clock.sleep(seconds)

    options = known.config.backfill.scan
    try:
        yield Scanner(lambda request: calls.raw("Scan", request), options, known.keys, pace, sleep)
    finally:
        calls.close()

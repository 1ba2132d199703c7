"""What a move will cost and how long it will take, before it starts. Each figure says where it is from.

`estimates` is pure; `gather` looks at what there is. What is not known is said to be unknown. Prices are of AWS's price
list for us-east-1 in 2024 and are told as such: the basis is the figure, the price is for the order of magnitude.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from daemon import ordered, warm
from daemon.app import Parts
from daemon.config import Config
from daemon.control import Settings
from daemon.plan import plan
from daemon.preflight import CheckFailed
from daemon.progress_view import duration, size
from daemon.source.capacity import CapacityUnknown, allowed, of_table
from daemon.source.export import ExportUnusable, read_summary
from sinks.dynamodb.options import DynamoDbOptions
from sinks.jsonl.options import JsonlOptions

GB = 2**30
WRITE_UNIT_BYTES = 1024  # a write unit is 1 KB (AWS developer guide, "Read/write capacity modes")
READ_UNIT_BYTES = 4096  # strongly consistent; eventually consistent twice as much
VERSION_BYTES = 9  # of a number of 16 digits (AWS developer guide, "Item sizes and formats")
DAY_SECONDS = 86_400
EXPORT_PRICE = "about $0.10 per GB in us-east-1 by AWS's price list of 2024, verify"
STREAM_PRICE = "about $0.02 per 100,000 read requests in us-east-1 by AWS's price list of 2024, verify"
LAGS = "DescribeTable, which is up to 6 hours old"
UNKNOWN = "unknown"


class Figure(msgspec.Struct, frozen=True):
    """One figure: in words, as a number (or from `value` to `value_max`) where there is one, and where it is from."""

    name: str
    told: str
    source: str
    value: float | None = None
    value_max: float | None = None
    unit: str = ""


class Basis(msgspec.Struct, frozen=True):
    """What is known before the move. None: not known, and `source` says why."""

    items: int | None = None
    size_bytes: int | None = None  # as DynamoDB counts them; of files, as stored
    source: str = ""
    table: Mapping[str, Any] | None = None  # as DescribeTable tells it
    target: Mapping[str, Any] | None = None  # so too; None: there is none yet, or it is no DynamoDB table
    shards: int | None = None  # open ones of the stream
    to_be_exported: bool = False  # an export is still to be paid for


def estimates(config: Config, basis: Basis) -> list[Figure]:
    """Every figure that has a meaning for this move, in the order in which a person asks."""
    if not config.loads:
        return list(_tail(config, basis))
    figures = [_items(basis), _bytes(basis), _mean(basis), *_reading(config, basis), *_writing(config, basis)]
    figures.append(_time(config, basis))
    return [*figures, *(_tail(config, basis) if config.tails else ())]


def _unknown(name: str, why: str) -> Figure:
    return Figure(name, UNKNOWN, why)


def _items(basis: Basis) -> Figure:
    if basis.items is None:
        return _unknown("items", basis.source)
    return Figure("items", f"{basis.items:,}", basis.source, basis.items, unit="items")


def _bytes(basis: Basis) -> Figure:
    if basis.size_bytes is None:
        return _unknown("size", basis.source)
    return Figure("size", _sized(basis.size_bytes), basis.source, basis.size_bytes, unit="bytes")


def _sized(size_bytes: float) -> str:
    exactly = f"{size_bytes:,.0f} bytes"
    return exactly if size_bytes < WRITE_UNIT_BYTES else f"{size(size_bytes)} ({exactly})"


def _mean(basis: Basis) -> Figure:
    if not basis.items or basis.size_bytes is None:
        return _unknown("mean item", "needs items and size")
    mean = basis.size_bytes / basis.items
    return Figure("mean item", f"{mean:,.0f} bytes", "size / items", mean, unit="bytes")


def _reading(config: Config, basis: Basis) -> Iterator[Figure]:
    if config.backfill.from_ == "scan":
        yield from _scan(config, basis)
    elif config.backfill.from_ == "s3-export":
        yield _export(basis)


def _export(basis: Basis) -> Figure:
    if not basis.to_be_exported:
        return Figure("export", "nothing more: it is there already", "the configuration names an export")
    if basis.size_bytes is None:
        return _unknown("export", f"billed by the table's size: {EXPORT_PRICE}")
    billed = basis.size_bytes / GB
    told = f"{billed:,.2f} GB are billed, at {EXPORT_PRICE}; no read units"
    return Figure("export", told, f"size, by {basis.source}; local secondary indexes come on top", billed, unit="GB")


def _scan(config: Config, basis: Basis) -> Iterator[Figure]:
    scan = config.backfill.scan
    if basis.size_bytes is None:
        yield _unknown("read units", basis.source)
        return
    unit_bytes = READ_UNIT_BYTES if scan.consistent else 2 * READ_UNIT_BYTES
    units = basis.size_bytes / unit_bytes
    consistency = "strongly" if scan.consistent else "eventually"
    source = f"size / {unit_bytes:,} bytes, a scan being {consistency} consistent; pages are rounded up"
    yield Figure("read units", f"{units:,.0f}", source, units, unit="read units")
    yield _scan_time(config, basis, units)


def _scan_time(config: Config, basis: Basis, units: float) -> Figure:
    if basis.table is None:
        return _unknown("scan", basis.source)
    try:
        rate = allowed(config.backfill.scan, Settings(), of_table(basis.table))
    except CapacityUnknown as error:
        return _unknown("scan", str(error))
    if rate.units is None:
        return _unknown("scan", f"held to no rate: {rate.why}")
    seconds = units / rate.units
    told = f"{duration(seconds)} at least, at {rate.units:,g} read units per second"
    return Figure("scan", told, rate.why, seconds, unit="seconds")


def _writing(config: Config, basis: Basis) -> Iterator[Figure]:
    target = config.target
    if isinstance(target, DynamoDbOptions):
        yield (units := _write_units(target, basis))
        if target.flavor == "dynamodb" and units.value_max is not None:
            yield Figure(
                "target capacity", *warm.advice(target, basis.target, units.value_max, _needed(config, basis, units))
            )
        return
    into, each = ("lines", "a line") if isinstance(target, JsonlOptions) else ("rows", "a row")
    if basis.items is None or basis.size_bytes is None:
        yield _unknown("written", basis.source)
        return
    times = "" if into == "lines" else ", before compression and for each replica"
    told = f"{basis.items:,} {into}, more than {_sized(basis.size_bytes)}{times}"
    source = f"one item is {each} in typed JSON, which is larger than DynamoDB's count: each value carries its type"
    yield Figure("written", told, source, basis.items, unit=into)


def _needed(config: Config, basis: Basis, units: Figure) -> float | None:
    """Write units per second at the configured rate, where there is one."""
    rate = config.backfill.items_per_second
    if rate is None or not basis.items or units.value_max is None:
        return None
    return rate * units.value_max / basis.items


def _write_units(target: DynamoDbOptions, basis: Basis) -> Figure:
    """Each item is rounded up to whole units: between no rounding at all and one unit for each item."""
    if basis.items is None or basis.size_bytes is None:
        return _unknown("write units", basis.source)
    if target.mode == "ordered":
        return _batch_units(basis.items, basis.size_bytes)
    stored = basis.size_bytes + basis.items * (len(target.version_attribute.encode()) + VERSION_BYTES)
    whole = stored / WRITE_UNIT_BYTES
    low, high = max(float(basis.items), whole), whole + basis.items
    source = (
        "one conditional put for each item, 1 unit for each KB of it, rounded up, its hidden version included; "
        "what is loaded twice costs twice. In the tail an item that appears or disappears is a transaction over two "
        "tables: 2 units for each KB"
    )
    return Figure("write units", f"{low:,.0f} to {high:,.0f}", source, low, high, "write units")


def _batch_units(items: int, size_bytes: int) -> Figure:
    whole = size_bytes / WRITE_UNIT_BYTES
    low, high = max(float(items), whole), whole + items
    source = "batch writes, 1 unit for each KB of an item, rounded up; a deletion of the tail costs what it deletes"
    return Figure("write units", f"{low:,.0f} to {high:,.0f}", source, low, high, "write units")


def _time(config: Config, basis: Basis) -> Figure:
    """Of the load: the stream is followed meanwhile."""
    if basis.items is None:
        return _unknown("load", "needs items")
    rate = config.backfill.items_per_second
    if rate is not None:
        seconds = basis.items / rate
        told = f"{duration(seconds)} at {rate:,g} items/s"
        late = ordered.too_long(basis.items, rate) if config.tails and ordered.is_ordered(config) else None
        told = told if late is None else f"{told}: too long. {late}"
        return Figure(
            "load", told, "items / backfill.items_per_second, if the target takes them", seconds, unit="seconds"
        )
    needed = basis.items / DAY_SECONDS
    told = f"as fast as the target takes it; within 24 hours that is {_rate(needed)} items/s or more"
    if config.tails and ordered.is_ordered(config):
        told += " (needed: target.mode is ordered, so the tail waits for the load, and the stream holds 24 hours)"
    if isinstance(config.target, DynamoDbOptions):
        units = _write_units(config.target, basis)
        told += f", {_rate((units.value_max or 0) / DAY_SECONDS)} write units per second at most"
    return Figure("load", told, "backfill.items_per_second is not set", needed, unit="items/s for 24 h")


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:,.2g}"  # noqa: PLR2004


def _tail(config: Config, basis: Basis) -> Iterator[Figure]:
    if basis.shards is None:
        yield _unknown("stream", "its shards are not known")
        return
    tail = config.tail
    calls = basis.shards * 1000 / tail.idle_millis * 3600
    told = f"up to {calls:,.0f} read requests an hour while nothing happens, at {STREAM_PRICE}"
    source = f"{basis.shards:,} open shard(s), tail.idle_millis = {tail.idle_millis:,}; more while much is written"
    yield Figure("stream", told, source, calls, unit="requests/hour")
    if tail.proof != "heartbeat":
        return
    beats = basis.shards / tail.heartbeat_seconds
    told = f"{_rate(beats)} write unit(s) per second on the source"
    source = f"one small item for each open shard, every {tail.heartbeat_seconds:g} s (tail.heartbeat_seconds)"
    yield Figure("heartbeats", told, source, beats, unit="write units/s")


def gather(known: Parts) -> Basis:
    """What can be known now: from manifests where there is an export, else from the table. Reads only."""
    table = _described(known)
    shards = _open_shards(known)
    found = _counted(known, table)
    return msgspec.structs.replace(found, table=table, shards=shards, target=warm.target_table(known.config))


def _counted(known: Parts, table: Mapping[str, Any] | None) -> Basis:
    backfill = known.config.backfill
    if known.config.loads and backfill.from_ == "files":
        return _of_files(known)
    if known.config.loads and backfill.from_ == "s3-export" and backfill.manifest is not None:
        return _of_manifests(known, [backfill.manifest, *backfill.windows])
    asked = known.config.loads and backfill.from_ == "s3-export" and backfill.export_arn is None
    if table is None:
        return Basis(source="the source table cannot be described", to_be_exported=asked)
    return Basis(table.get("ItemCount"), table.get("TableSizeBytes"), LAGS, to_be_exported=asked)


def _of_manifests(known: Parts, manifests: list[str]) -> Basis:
    try:
        read = [read_summary(known.s3, manifest) for manifest in manifests]
    except (ExportUnusable, ClientError, BotoCoreError) as error:
        return Basis(source=f"the manifest cannot be read: {error}")
    items, billed = sum(found.item_count for found in read), sum(found.billed_size_bytes for found in read)
    return Basis(items, billed or None, "manifest-summary.json" if len(read) == 1 else f"{len(read)} manifests")


def _of_files(known: Parts) -> Basis:
    try:
        parts = plan(known).parts
    except (CheckFailed, ClientError, BotoCoreError) as error:
        return Basis(source=f"the files cannot be listed: {error}")
    items = sum(part.items for part in parts) if parts and all(part.items for part in parts) else None
    sized = sum(part.size_bytes for part in parts) if all(part.size_bytes for part in parts) else None
    return Basis(
        items, sized, f"{len(parts):,} file(s) as they are stored; how many items they hold only reading tells"
    )


def _described(known: Parts) -> Mapping[str, Any] | None:
    try:
        table: Mapping[str, Any] = known.dynamodb.describe_table(TableName=known.config.source.table)["Table"]
    except (ClientError, BotoCoreError):
        return None  # the check of the source says why
    return table


def _open_shards(known: Parts) -> int | None:
    if not known.config.tails:
        return None
    try:
        return sum(not shard.closed for shard in known.facts.stream.shards.values())
    except CheckFailed:
        return None  # the check of the source says why

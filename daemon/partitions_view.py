"""What the largest partitions mean for the target: sentences for people, an object for machines."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from daemon.partitions import Partition, Summary
from daemon.progress_view import duration, size
from sinks.change import KeySchema, KeyValue

LISTED = 10
# The usual guidance for CQL, and compaction_large_partition_warning_threshold_mb of ScyllaDB (facts of its
# documentation; ScyllaDB was not run here). Nothing fails above them.
CQL_BYTES = 100 * 10**6
SCYLLA_BYTES = 1000 * 10**6
# AWS, "Burst and adaptive capacity": write units per second of one partition; a put of an item takes one or more.
WRITE_UNITS_PER_SECOND = 1000
# Below that a partition is no reason why a load takes long.
HOT_SECONDS = 60
KEY_WIDTH_MAX = 60

Target = Literal["cassandra", "dynamodb", "jsonl", "custom"]


class Read(msgspec.Struct, frozen=True):
    """How much of the parts was looked at."""

    parts: int
    of: int


def without_sort_key(keys: KeySchema) -> str:
    """Why there is nothing to count."""
    return f"the key is {keys}, without a sort key: each partition is one item, and none can be too wide"


def told(summary: Summary, keys: KeySchema, target: Target, read: Read) -> RenderableType:
    """A table of the largest, what the figures mean, and what is too wide for the target."""
    listed = summary.largest(LISTED)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(keys.partition.name, no_wrap=True)
    for name in ("items", "bytes of JSON", "writing takes") if target == "dynamodb" else ("items", "bytes of JSON"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in listed:
        least = "" if one.exact else "at least "
        writing = [f"at least {duration(_seconds(one))}"] if target == "dynamodb" else []
        counts = [f"{least}{one.items:,}", f"{least}{size(one.size_bytes)}", *writing]
        table.add_row(Text(_key(one.partition)), *counts)
    said = [_bounds(summary, listed), *_sample(read), *warnings(listed, target)]
    return Group(Text(_title(summary, keys, read), "bold"), table, *(Text(sentence) for sentence in said))


def as_object(summary: Summary, keys: KeySchema, target: Target, read: Read) -> dict[str, Any]:
    """The same for machines. Sizes are bytes of DynamoDB's JSON; items and bytes are lower bounds."""
    listed = summary.largest(LISTED)
    return {
        "key": keys.partition.name,
        "parts_read": read.parts,
        "parts": read.of,
        "items": summary.items,
        "json_bytes": summary.size_bytes,
        "unlisted_json_bytes_max": summary.unlisted_bytes_max(listed),
        "largest": [
            {
                "partition": _plain(one.partition),
                "items": one.items,
                "json_bytes": one.size_bytes,
                "missed_json_bytes_max": one.missed_bytes,
            }
            for one in listed
        ],
        "warnings": warnings(listed, target),
    }


def warnings(listed: Sequence[Partition], target: Target) -> list[str]:
    """What is too wide for this target."""
    if target == "dynamodb":
        return _hot(listed)
    return _wide(listed) if target == "cassandra" else []


def _title(summary: Summary, keys: KeySchema, read: Read) -> str:
    return (
        f"largest partitions by {keys.partition.name}, of {summary.items:,} items "
        f"({size(summary.size_bytes)} of JSON) in {read.parts:,} of {read.of:,} part(s)"
    )


def _bounds(summary: Summary, listed: Sequence[Partition]) -> str:
    if not summary.cut:
        return "Bytes are of DynamoDB's JSON, key included. The figures are exact for what was read."
    return (
        f"Bytes are of DynamoDB's JSON, key included. Up to {size(summary.cut)} may be missing of a figure that says "
        f"`at least`; a partition that is not listed has {size(summary.unlisted_bytes_max(listed))} at most."
    )


def _sample(read: Read) -> list[str]:
    if read.parts == read.of:
        return []
    return [
        f"It is a sample, {read.parts:,} of {read.of:,} part(s): all figures are at least, and larger partitions may "
        "lie in the others."
    ]


def _wide(listed: Sequence[Partition]) -> list[str]:
    wide = [one for one in listed if one.size_bytes > CQL_BYTES]
    if not wide:
        return []
    very = sum(one.size_bytes > SCYLLA_BYTES for one in wide)
    scylla = f", {very:,} of them above {SCYLLA_BYTES // 10**6:,} MB, where ScyllaDB warns" if very else ""
    return [
        f"WARNING: {_several(len(wide))} above {CQL_BYTES // 10**6} MB, the usual guidance for CQL{scylla}. Nothing "
        "refuses it; reads, repair and compaction suffer. To cut it is a change of the application's key: "
        'deploy/README.md, "Is a partition too wide?"'
    ]


def _hot(listed: Sequence[Partition]) -> list[str]:
    hot = [one for one in listed if _seconds(one) > HOT_SECONDS]
    if not hot:
        return []
    return [
        f"WARNING: {_several(len(hot))} so large that writing one takes more than a minute by itself: DynamoDB gives "
        f"one partition {WRITE_UNITS_PER_SECOND:,} write units a second, and an item takes one or more; the longest "
        f"takes at least {duration(max(map(_seconds, hot)))}"
    ]


def _several(count: int) -> str:
    whole = f"{count} or more" if count == LISTED else f"{count}"
    return f"{whole} partition{'s are' if count > 1 else ' is'}"


def _seconds(one: Partition) -> float:
    """At least: an item of more than 1 KB takes more than one write unit."""
    return one.items / WRITE_UNITS_PER_SECOND


def _key(partition: KeyValue) -> str:
    text = msgspec.json.encode(_plain(partition)).decode()
    return text if len(text) <= KEY_WIDTH_MAX else f"{text[: KEY_WIDTH_MAX - 1]}…"


def _plain(partition: KeyValue) -> Mapping[str, str]:
    """As DynamoDB writes a key: its type, its value."""
    if isinstance(partition, str):
        return {"S": partition}
    if isinstance(partition, bytes):
        return {"B": msgspec.to_builtins(partition)}
    return {"N": f"{partition:f}"}

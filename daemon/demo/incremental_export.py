"""Writes an incremental export to S3 in the shape that AWS writes it, out of a history of writes.

<prefix>/AWSDynamoDB/<export id>/…                       manifests and checksums as of a full export
<prefix>/AWSDynamoDB/data/<26 characters>.json.gz        the folder that all incremental exports share
"""

import random
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from daemon.demo.export import FILES, Line, Place, data_files, instant, new_place, origin, typed_json, write

View = Literal["NEW_IMAGE", "NEW_AND_OLD_IMAGES"]


class Write(NamedTuple):
    """What a key holds from this moment on; no item: it was deleted. The order of a history is that of its times."""

    at_micros: int
    keys: Line  # typed JSON, a dict or its bytes; so is the item
    item: Line | None


class Record(NamedTuple):
    """One line of a window: the last write to a key, what it held before the window and what it holds at its end."""

    at_micros: int
    keys: Line
    new: Line | None
    old: Line | None = None


def compacted(history: Iterable[Write], from_micros: int, to_micros: int) -> Iterator[Record]:
    """What AWS puts into the window [from, to): one record per key that changed.

    A key that held nothing before the window and holds nothing at its end has none.
    """
    before: dict[bytes, Line | None] = {}
    last: dict[bytes, Write] = {}
    for found in history:
        key = typed_json(found.keys)
        if found.at_micros < from_micros:
            before[key] = found.item
        elif found.at_micros < to_micros:
            last[key] = found
    for key, (at_micros, keys, item) in last.items():
        old = before.get(key)
        if item is not None or old is not None:
            yield Record(at_micros, keys, item, old)


def write_incremental_export(
    s3_client: Any,
    bucket: str,
    prefix: str,
    table_arn: str,
    records: Iterable[Record],
    *,
    from_time: float,
    to_time: float,
    view: View = "NEW_IMAGE",
    files: int = FILES,
    table_id: str = "11991185-e7ab-4da5-8bab-03f0db0b7bfd",
    seed: int | None = None,
    place: Place | None = None,
) -> str:
    """Export these records of the window [from_time, to_time), epoch seconds. The s3:// URL of manifest-summary.json.

    `s3_client` needs put_object only. The bucket must exist. `seed` decides names, and which record goes where;
    `place` is a new one by default.
    """
    start = datetime.now(UTC)
    # Exports share the folder of their data, so two of one millisecond and one seed would overwrite each other.
    chance = random.Random(uuid.uuid4().int if seed is None else seed)
    place = place or new_place(bucket, prefix, start, chance)
    return write(
        s3_client,
        place,
        f"{place.shared}/data",
        data_files((_line(record, view) for record in records), files, chance),
        {
            "version": "2023-08-01",
            **origin(place, table_arn, table_id, start),
            "exportFromTime": instant(datetime.fromtimestamp(from_time, UTC)),
            "exportToTime": instant(datetime.fromtimestamp(to_time, UTC)),
        },
        {"outputView": view, "exportType": "INCREMENTAL_EXPORT"},
    )


def _line(record: Record, view: View) -> bytes:
    fields: dict[str, Any] = {
        "Metadata": {"WriteTimestampMicros": {"N": str(record.at_micros)}},
        "Keys": msgspec.Raw(typed_json(record.keys)),
    }
    if view == "NEW_AND_OLD_IMAGES" and record.old is not None:
        fields["OldImage"] = msgspec.Raw(typed_json(record.old))
    if record.new is not None:
        fields["NewImage"] = msgspec.Raw(typed_json(record.new))
    return msgspec.json.encode(fields) + b"\n"

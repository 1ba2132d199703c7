"""Writes exports to S3 in the shape that AWS writes them: manifests, checksums, gzipped lines. Here: a full one.

    <prefix>/AWSDynamoDB/<export id>/_started
    <prefix>/AWSDynamoDB/<export id>/manifest-summary.json   and .md5
    <prefix>/AWSDynamoDB/<export id>/manifest-files.json     and .md5
    <prefix>/AWSDynamoDB/<export id>/data/<26 characters>.json.gz

Like AWS's, the export of a live table is no snapshot: what is written while it runs may be in it or not.
"""

import gzip
import hashlib
import io
import random
import uuid
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from daemon.demo.wire import Wire

FILES = 8
NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
NAME_LENGTH = 26
GZIP_LEVEL = 1  # AWS's time is not what the demo measures

Line = Mapping[str, Any] | msgspec.Raw


class DataFile:
    """One data file in the making; its lines go straight into the compressor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.size_bytes = 0
        self._compressed = io.BytesIO()
        self._lines = gzip.GzipFile(fileobj=self._compressed, mode="wb", compresslevel=GZIP_LEVEL, mtime=0)

    def add(self, line: bytes) -> None:
        """One line more, its newline included."""
        self._lines.write(line)
        self.count += 1
        self.size_bytes += len(line)

    def content(self) -> bytes:
        """The compressed file, ended."""
        self._lines.close()
        return self._compressed.getvalue()


class Place(NamedTuple):
    """Where an export goes, and what it is called."""

    bucket: str
    prefix: str
    export_id: str

    @property
    def shared(self) -> str:
        """The folder of all exports with this prefix."""
        return "/".join(part for part in (self.prefix, "AWSDynamoDB") if part)

    @property
    def folder(self) -> str:
        """The folder of this export alone."""
        return f"{self.shared}/{self.export_id}"


def export_table(wire: Wire, s3_client: Any, table: Mapping[str, Any], bucket: str, prefix: str) -> str:
    """Export a live table by scanning it. `table`: as DescribeTable has it. The s3:// URL of the summary."""
    begin = datetime.now(UTC)
    return write_export(
        s3_client,
        bucket,
        prefix,
        table["TableArn"],
        wire.scan(table["TableName"]),
        export_time=begin,
        table_id=table.get("TableId", str(uuid.uuid4())),
    )


def write_export(
    s3_client: Any,
    bucket: str,
    prefix: str,
    table_arn: str,
    items: Iterable[Line],
    *,
    files: int = FILES,
    export_time: datetime | None = None,
    table_id: str = "11991185-e7ab-4da5-8bab-03f0db0b7bfd",
    seed: int = 0,
    place: Place | None = None,
) -> str:
    """Export these items, each a dict in typed JSON or its bytes. The s3:// URL of manifest-summary.json.

    `s3_client` needs put_object only. The bucket must exist. The last file is empty, as an empty
    partition's is; the others are uneven. `seed` decides which item goes where; `place` is a new one by default.
    """
    start = datetime.now(UTC)
    chance = random.Random(seed)
    place = place or new_place(bucket, prefix, start, chance)
    lines = (b'{"Item":' + typed_json(item) + b"}\n" for item in items)
    return write(
        s3_client,
        place,
        f"{place.folder}/data",
        data_files(lines, files, chance),
        {
            "version": "2020-06-30",
            **origin(place, table_arn, table_id, start),
            "exportTime": instant(export_time or start),
        },
        {"exportType": "FULL_EXPORT"},
    )


def write(
    s3_client: Any,
    place: Place,
    data_folder: str,
    data: Sequence[DataFile],
    first: Mapping[str, Any],
    last: Mapping[str, Any],
) -> str:
    """Put the files and their manifests; `first` and `last` are what the summary begins and ends with. Its URL."""
    _put(s3_client, place, f"{place.folder}/_started", b"")
    entries = [_put_data(s3_client, place, data_folder, file) for file in data]
    manifest = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    _put_with_checksum(s3_client, place, "manifest-files", manifest)
    summary = {
        **first,
        "s3Bucket": place.bucket,
        "s3Prefix": place.prefix or None,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{place.folder}/manifest-files.json",
        "billedSizeBytes": sum(file.size_bytes for file in data),
        "itemCount": sum(file.count for file in data),
        "outputFormat": "DYNAMODB_JSON",
        **last,
    }
    _put_with_checksum(s3_client, place, "manifest-summary", msgspec.json.encode(summary) + b"\n")
    return f"s3://{place.bucket}/{place.folder}/manifest-summary.json"


def new_place(bucket: str, prefix: str, start: datetime, chance: random.Random) -> Place:
    """A folder of its own for an export that starts now."""
    export_id = f"0{int(start.timestamp() * 1000)}-{chance.randbytes(4).hex()}"
    return Place(bucket, prefix.strip("/"), export_id)


def origin(place: Place, table_arn: str, table_id: str, start: datetime) -> dict[str, Any]:
    """What both kinds of summary say of where they come from."""
    return {
        "exportArn": f"{table_arn}/export/{place.export_id}",
        "startTime": instant(start),
        "endTime": instant(datetime.now(UTC)),
        "tableArn": table_arn,
        "tableId": table_id,
    }


def data_files(lines: Iterable[bytes], files: int, chance: random.Random) -> list[DataFile]:
    """The lines, dealt unevenly; the last file stays empty."""
    data = [DataFile("".join(chance.choices(NAME_ALPHABET, k=NAME_LENGTH))) for _ in range(files)]
    filled = data[:-1] or data
    weights = list(range(1, len(filled) + 1))
    for line in lines:
        chance.choices(filled, weights)[0].add(line)
    return data


def typed_json(item: Line) -> bytes:
    """The bytes of an item that is a dict in typed JSON, or its own bytes."""
    return bytes(item) if isinstance(item, msgspec.Raw) else msgspec.json.encode(item)


def _put_data(s3_client: Any, place: Place, data_folder: str, file: DataFile) -> dict[str, Any]:
    content = file.content()
    key = _put(s3_client, place, f"{data_folder}/{file.name}.json.gz", content)
    return {
        "itemCount": file.count,
        "md5Checksum": _md5(content),  # of the compressed bytes
        # AWS uploads in parts, so its etag is no MD5 of the content.
        "etag": f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}-1",
        "dataFileS3Key": key,
    }


def _put_with_checksum(s3_client: Any, place: Place, name: str, content: bytes) -> None:
    _put(s3_client, place, f"{place.folder}/{name}.json", content)
    _put(s3_client, place, f"{place.folder}/{name}.md5", _md5(content).encode())


def _put(s3_client: Any, place: Place, key: str, content: bytes) -> str:
    s3_client.put_object(Bucket=place.bucket, Key=key, Body=content)
    return key


def _md5(content: bytes) -> str:
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def instant(moment: datetime) -> str:
    """A moment as the manifests have it: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

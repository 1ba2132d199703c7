"""An export in S3: its manifest, and whether it can be joined with the stream without a hole.

Shapes as real exports have them (facts/dynamodb §1; the documentation's own examples differ in places):
manifest-summary.json is one JSON document, manifest-files.json is JSON Lines, `.md5` files hold base64.
"""

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import md5
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import ClientError

from daemon.control import Kind, Part
from daemon.source.stream import MICROS

# Below the export's time by this much lies the one version of all its rows: above every change that is
# surely in the export, below every change that may be missing from it. The stream's whole seconds, the
# export's minute of tolerance and clock differences fit in several times (facts/cutover §4.5).
OVERLAP_SECONDS = 300
# A stream remembers 24 hours, and whoever is 23 behind is taken to have lost something (daemon/gap.py): three are kept
# for catching up, or the move would begin with an alarm.
REACH_SECONDS = 20 * 3600
FORMATS = ("DYNAMODB_JSON", "ION")
# A manifest may list thousands of files. boto3's clients keep ten connections.
ASKED_AT_ONCE = 8


class ExportUnusable(Exception):
    """The export cannot be taken. The message names the object, what was found and the next step."""


# A time without its zone would be taken for the local one of this machine.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    """manifest-summary.json of either kind of export; fields that are not needed are left out."""

    export_arn: str
    table_arn: str
    export_time: Instant | None = None  # full exports only
    export_from_time: Instant | None = None  # incremental exports only, and so the next two
    export_to_time: Instant | None = None
    output_view: str | None = None
    manifest_files_s3_key: str = msgspec.field(name="manifestFilesS3Key", default="")
    item_count: int = 0
    billed_size_bytes: int = 0
    output_format: str = "DYNAMODB_JSON"
    export_type: str = "FULL_EXPORT"  # missing in manifests of 2024 and before: full


class _File(msgspec.Struct, frozen=True):
    items: int = msgspec.field(name="itemCount")
    md5: str = msgspec.field(name="md5Checksum")
    key: str = msgspec.field(name="dataFileS3Key")


def version_of(taken_at: float) -> int:
    """The one version, in microseconds, of rows that were taken at this instant (epoch seconds)."""
    return int(taken_at - OVERLAP_SECONDS) * MICROS


class Export(msgspec.Struct, frozen=True):
    """A full export: which table as of when, and its files."""

    manifest: str  # s3:// URL of the summary
    table_arn: str
    exported_at: float  # epoch seconds, good to a minute
    items: int
    parts: list[Part]

    @property
    def version(self) -> int:
        """The one version of all its rows, in microseconds."""
        return version_of(self.exported_at)


def split_url(url: str) -> tuple[str, str]:
    """`s3://bucket/key` -> (bucket, key)."""
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")


def read_export(s3: Any, manifest: str) -> Export:
    """Read and check the manifest. Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away."""
    summary = read_summary(s3, manifest)
    if summary.export_type != "FULL_EXPORT" or summary.export_time is None:
        raise ExportUnusable(f"{manifest} is of a {summary.export_type}: a backfill needs a full export")
    parts = read_parts(s3, manifest, summary, "full")
    return Export(manifest, summary.table_arn, summary.export_time.timestamp(), summary.item_count, parts)


def read_summary(s3: Any, manifest: str) -> Summary:
    """manifest-summary.json of either kind, its checksum and format checked. Raises as read_export does."""
    bucket, key = split_url(manifest)
    try:
        summary = msgspec.json.decode(_checked(s3, bucket, key), type=Summary)
    except msgspec.MsgspecError as error:
        raise ExportUnusable(f"{manifest} is not the manifest-summary.json of an export: {error}") from error
    if summary.output_format not in FORMATS:
        raise ExportUnusable(
            f"{manifest} is in {summary.output_format}, known are {' and '.join(FORMATS)}: export again in one of them"
        )
    return summary


def read_parts(s3: Any, manifest: str, summary: Summary, kind: Kind) -> list[Part]:
    """The files of manifest-files.json that hold items; each exists, and their counts add up to the summary's.

    Raises as read_export does.
    """
    bucket, key = split_url(manifest)
    folder = key.rsplit("/", 1)[0]
    listing, _ = _sized(s3, bucket, summary.manifest_files_s3_key, f"{folder}/manifest-files.json")
    files = [file for file in _files(_checked(s3, bucket, listing), manifest) if file.items]
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        try:
            sizes = list(pool.map(lambda file: _sized(s3, bucket, file.key, *_moved(file.key, folder, kind)), files))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # one answer is enough to know
            raise
    parts = [
        Part(f"s3://{bucket}/{key}", file.md5, file.items, kind=kind, format=summary.output_format, size_bytes=size)
        for (key, size), file in zip(sizes, files, strict=True)
    ]
    listed = sum(part.items for part in parts)
    if listed != summary.item_count:
        raise ExportUnusable(
            f"{manifest} says {summary.item_count} items, its files add up to {listed}: "
            "the export is incomplete or was altered; copy it again or take another"
        )
    return parts


def _moved(key: str, folder: str, kind: Kind) -> list[str]:
    """Where a data file lies when its export was copied with its folders; the most likely place first."""
    name = key.rsplit("/", 1)[-1]
    beside = f"{folder}/data/{name}"
    if kind == "full":
        return [beside]
    # Incremental exports share one folder of data, next to the folders of their manifests.
    shared = "/".join([*folder.split("/")[:-1], "data", name])
    return [shared, beside]


def _files(lines: bytes, manifest: str) -> Iterator[_File]:
    seen: set[str] = set()
    # Never splitlines(): it also splits inside strings, on U+2028 and others.
    for line in lines.split(b"\n"):
        if not line.strip():
            continue
        try:
            file = msgspec.json.decode(line, type=_File)
        except msgspec.MsgspecError as error:
            raise ExportUnusable(f"manifest-files.json of {manifest} is damaged: {error}") from error
        if file.key in seen:
            raise ExportUnusable(f"manifest-files.json of {manifest} lists {file.key} twice")
        seen.add(file.key)
        yield file


def _sized(s3: Any, bucket: str, key: str, *moved: str) -> tuple[str, int]:
    """The key as the manifest has it, or near the manifest when the export was copied elsewhere; its size in bytes."""
    unseen = "is missing"
    for candidate in dict.fromkeys((key, *moved)):
        size = _size(s3, bucket, candidate) if candidate else None
        if isinstance(size, int):
            return candidate, size
        unseen = size or unseen
    raise ExportUnusable(
        f"s3://{bucket}/{key} {unseen}, and so is s3://{bucket}/{moved[0]}: the export is incomplete; "
        "copy it again with its folder, or take another"
    )


def _size(s3: Any, bucket: str, key: str) -> int | str | None:
    """In bytes, as stored; None when there is no such object, a word when nobody would tell."""
    try:
        return int(s3.head_object(Bucket=bucket, Key=key)["ContentLength"])
    except ClientError as error:
        match error.response["Error"]["Code"]:
            case "404" | "NoSuchKey" | "NotFound":
                return None
            case "403" | "AccessDenied" | "Forbidden":
                # S3's documentation of HeadObject: to who may not list the bucket, a missing object is forbidden too.
                return "is missing, or forbidden (grant s3:GetObject; with s3:ListBucket S3 tells the two apart)"
        raise


def _checked(s3: Any, bucket: str, key: str) -> bytes:
    """The object, compared with the `.md5` beside it. Documents of a few MB at most."""
    body = _object(s3, bucket, key)
    wanted = _object(s3, bucket, key.removesuffix(".json") + ".md5").strip().decode()
    found = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    if found != wanted:
        raise ExportUnusable(
            f"s3://{bucket}/{key} has MD5 {found}, its .md5 file says {wanted}: it was altered or cut short; "
            "copy it again"
        )
    return body


def _object(s3: Any, bucket: str, key: str) -> bytes:
    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "404"):
            raise ExportUnusable(
                f"s3://{bucket}/{key} does not exist: check its address, and that the export is COMPLETED"
            ) from error
        raise


def hole(exported_at: float, stream_created_at: float, now: float, margin_seconds: float) -> str | None:
    """Why changes would be lost between export and stream; None when they join. All in epoch seconds.

    Everything that the export may have missed must still be in the stream: the export's time is good to
    a minute, so the stream has to reach back beyond it by a margin.
    """
    reaches_to = max(stream_created_at, now - REACH_SECONDS)
    missing_seconds = reaches_to - (exported_at - margin_seconds)
    if missing_seconds <= 0:
        return None
    return (
        f"the export is as of {iso(exported_at)}, the stream reaches back to {iso(reaches_to)}: changes of "
        f"{missing_seconds:.0f} s would be in neither (wanted: {margin_seconds:.0f} s of overlap). "
        "Take an export of a later time"
    )


def iso(epoch_seconds: float) -> str:
    """Epoch seconds as an operator reads them: local time with its offset."""
    return datetime.fromtimestamp(epoch_seconds).astimezone().isoformat(timespec="seconds")

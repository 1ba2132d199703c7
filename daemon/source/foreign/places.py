"""Where files of older tools lie, in S3 or in a folder: which there are, and one of them, surely the same as then."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from daemon.source.export import ExportUnusable, split_url

IN_S3 = "s3://"
# They answer GetObject with an error until they are restored.
ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")


class Found(NamedTuple):
    """A file: its s3:// URL or path, what it is recognised by, and its size in bytes."""

    name: str
    identity: str
    size_bytes: int


def listed(s3: Any, location: str) -> list[Found]:
    """The file at the location, or all files below it, in the order of their names.

    Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away.
    """
    found = _in_s3(s3, location) if location.startswith(IN_S3) else _in_folder(Path(location))
    if not found:
        raise ExportUnusable(
            f"{location} holds no file: check backfill.files.location; a folder is given by its name, a file by its own"
        )
    return sorted(found)


def _in_s3(s3: Any, location: str) -> list[Found]:
    """The very object, where there is one, else what lies below it as below a folder."""
    bucket, key = split_url(location)
    try:
        one = [found for found in _objects(s3, bucket, key) if found.name == f"{IN_S3}{bucket}/{key}"]
        below = f"{key.rstrip('/')}/" if key else ""
        return one or list(_objects(s3, bucket, below))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "404"):
            raise ExportUnusable(f"{location}: there is no bucket {bucket!r}; check backfill.files.location") from error
        raise


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[Found]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        name = f"{IN_S3}{bucket}/{entry['Key']}"
        if entry.get("StorageClass") in ARCHIVED:
            raise ExportUnusable(
                f"{name} is archived ({entry['StorageClass']}): restore it first, `aws s3api restore-object`"
            )
        yield Found(name, entry["ETag"], entry["Size"])


def _in_folder(location: Path) -> list[Found]:
    try:
        if location.is_file():
            return [_found(location)]
        folders = os.walk(location, onerror=_raised)
        return [_found(Path(folder, name)) for folder, _, names in folders for name in names]
    except OSError as error:
        raise ExportUnusable(f"{location} cannot be read ({error.strerror}): check backfill.files.location") from error


def _raised(error: OSError) -> None:
    raise error


def _found(path: Path) -> Found:
    status = path.stat()
    return Found(str(path), _identity(status), status.st_size)


def _identity(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


@contextmanager
def opened(s3: Any, found: Found) -> Iterator[Any]:
    """The bytes of the file, as it was when it was listed. Raises as `listed` does."""
    if found.name.startswith(IN_S3):
        with closing(_body(s3, found)) as body:
            yield body
        return
    try:
        with Path(found.name).open("rb") as body:
            _same(found, body)
            yield body
            _same(found, body)  # it may have been written to meanwhile
    except FileNotFoundError as error:
        raise _missing(found) from error


def _body(s3: Any, found: Found) -> Any:
    bucket, key = split_url(found.name)
    try:
        return s3.get_object(Bucket=bucket, Key=key, IfMatch=found.identity)["Body"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise _missing(found) from error
        if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
            raise _replaced(found) from error
        raise


def _same(found: Found, body: Any) -> None:
    if _identity(os.fstat(body.fileno())) != found.identity:
        raise _replaced(found)


def _missing(found: Found) -> ExportUnusable:
    return ExportUnusable(
        f"{found.name} is missing, it was there when the move began: put it back; the other files are kept, and this "
        "one is tried again"
    )


def _replaced(found: Found) -> ExportUnusable:
    return ExportUnusable(
        f"{found.name} is not the file that it was when the move began ({found.identity}): put that one back, or begin "
        "again with another `migration` name and an empty target"
    )

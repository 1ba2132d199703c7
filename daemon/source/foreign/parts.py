"""Files of older tools -> the parts of a backfill."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from daemon.control import Part
from daemon.sections import Files
from daemon.source.export import ExportUnusable
from daemon.source.foreign.csv_files import CsvTable, csv_table
from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.detect import Head, detected, head_of, items_in
from daemon.source.foreign.manifest import base_name, chosen
from daemon.source.foreign.places import Found, listed, opened
from daemon.source.foreign.table_definition import Unsuitable
from sinks.change import KeySchema

LOOKS_AT_ONCE = 16
# DMS's files of changes: as a source names them, and as a target does.
_CHANGES = re.compile(r"^(CDC.*|\d{8}-\d{6,})\.csv", re.IGNORECASE)


def files_parts(s3: Any, files: Files, keys: KeySchema) -> list[Part]:
    """A part for each file, without a version. Only the begin of each is read.

    Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away.
    """
    data = chosen(s3, files.location, listed(s3, files.location))
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        looked = list(pool.map(lambda found: _looked(s3, files, found), data))
    parts = [part for part in looked if part is not None]
    if any(part.format == "csv" for part in parts):
        parts = _csv_parts(files, keys, parts)
    if not parts:
        raise ExportUnusable(f"{files.location} holds no item: check backfill.files.location")
    return parts


def _looked(s3: Any, files: Files, found: Found) -> Part | None:
    try:
        with opened(s3, found) as body:
            head = head_of(body)
        return _part(files, found, head) if head.plain.strip() else None
    except DamagedFile as error:
        raise ExportUnusable(f"{found.name} {error}") from error
    except (ClientError, BotoCoreError):
        raise  # some of botocore's errors are OSErrors as well: S3 is away
    except OSError as error:
        raise ExportUnusable(
            f"{found.name} cannot be read ({error.strerror}): check the rights of this process"
        ) from error


def _part(files: Files, found: Found, head: Head) -> Part:
    kind = detected(found.name, head) if files.format == "auto" else files.format
    return Part(
        name=found.name,
        md5=found.identity,
        items=items_in(kind, head, found.size_bytes),
        kind="files",
        format=kind,
        counted=False,
        size_bytes=found.size_bytes,
    )


def _csv_parts(files: Files, keys: KeySchema, parts: Sequence[Part]) -> list[Part]:
    """With the mark of the table definition; without files of other tables."""
    try:
        table = csv_table(files, keys)
    except Unsuitable as error:
        raise ExportUnusable(str(error)) from error
    others = [part for part in parts if part.format != "csv"]
    rows = _of_table(table, [part for part in parts if part.format == "csv"])
    changes = [part.name for part in rows if _CHANGES.match(base_name(part.name))]
    if changes:
        raise ExportUnusable(
            f"{changes[0]} is one of {len(changes)} files of changes (CDC), which are not loaded: take them out of the "
            "folder; what changed since the full load comes from the table's stream, with files.as_of before it"
        )
    return [*others, *(msgspec.structs.replace(part, format=f"csv {table.mark}") for part in rows)]


def _of_table(table: CsvTable, parts: Sequence[Part]) -> list[Part]:
    """Those below the table's path; all, where the path is not kept."""
    path = f"/{table.table.table_path.strip('/')}/"
    return [part for part in parts if path in part.name] or list(parts)

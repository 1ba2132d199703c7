"""One file of an older tool -> pages of rows: memory is bounded by the page, not by the file.

A position is the number of items before it. Nothing tells before the end whether a file was cut short, for these
tools wrote no checksums: what was read until then is right, and the part is not done.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from daemon.control import Part
from daemon.sections import Files
from daemon.source.export import ExportUnusable
from daemon.source.foreign import documents
from daemon.source.foreign.csv_files import csv_rows, csv_table
from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.lines import filled, lines
from daemon.source.foreign.places import Found, opened
from daemon.source.foreign.table_definition import Unsuitable
from daemon.source.foreign.typed import any_case, exact_type, item_reader
from daemon.source.foreign.unpacked import unpacked
from daemon.source.page import Page, Row
from sinks.attributes import UnreadableItem
from sinks.change import KeySchema

PAGE_BYTES = 256 * 1024
NEXT_STEP = (
    "The other files are kept. Mend the file, and begin again with another `migration` name and an empty target, "
    "for a move reads only the files that it began with"
)


class _Reader(NamedTuple):
    """How a format is read: bytes into numbered records, a record into a row, and how large it was."""

    records: Callable[[Iterator[bytes]], Iterator[tuple[int, Any]]]
    row: Callable[[Any], Row]
    size: Callable[[Any], int] = len


def pages(s3: Any, keys: KeySchema, files: Files | None, part: Part) -> Iterator[Page]:
    """From the part's position on. Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away."""
    reader = _reader(keys, files, part)
    try:
        with opened(s3, Found(part.name, part.md5, part.size_bytes)) as body:
            yield from _pages(part, reader, reader.records(unpacked(body)))
    except (ClientError, BotoCoreError):
        raise  # botocore's ReadTimeoutError is an OSError as well: S3 is away, the file is as good as it was
    except DamagedFile as error:
        raise ExportUnusable(f"{part.name}, {error}. {NEXT_STEP}") from error
    except OSError as error:
        raise ExportUnusable(f"{part.name} cannot be read ({error}): it is tried again") from error


def _pages(part: Part, reader: _Reader, records: Iterator[tuple[int, Any]]) -> Iterator[Page]:
    position = int(part.position or 0)
    for _ in range(position):
        next(records, None)
    rows: list[Row] = []
    size = 0
    for line, record in records:
        rows.append(_row(part, reader, line, record))
        size += reader.size(record)
        if size >= PAGE_BYTES:
            position += len(rows)
            yield Page(rows, str(position), size)
            rows, size = [], 0
    if rows:
        yield Page(rows, str(position + len(rows)), size)


def _row(part: Part, reader: _Reader, line: int, record: Any) -> Row:
    try:
        return reader.row(record)
    except UnreadableItem as error:
        raise ExportUnusable(f"{part.name}, line {line}: {error}. {NEXT_STEP}") from error


def _reader(keys: KeySchema, files: Files | None, part: Part) -> _Reader:
    kind, _, mark = part.format.partition(" ")
    if kind == "csv" and files is not None:
        return _csv_reader(keys, files, part, mark)
    if kind == "scan-json":
        return _Reader(documents.items, item_reader(keys, exact_type))
    if kind in ("emr", "items"):
        types = any_case if kind == "emr" else exact_type
        return _Reader(lambda blocks: filled(lines(blocks)), item_reader(keys, types))
    raise ExportUnusable(
        f"{part.name} is of the format {part.format!r}, known are emr, items, scan-json and csv with backfill.files: "
        "put the configuration back that the move began with"
    )


def _csv_reader(keys: KeySchema, files: Files, part: Part, mark: str) -> _Reader:
    try:
        table = csv_table(files, keys)
    except Unsuitable as error:
        raise ExportUnusable(str(error)) from error
    if table.mark != mark:
        raise ExportUnusable(
            f"{part.name}: files.table_definition, files.table_mappings or files.csv changed since the move began, and "
            "files that are loaded already have the old form: put them back, or begin again with another `migration` "
            "name and an empty target"
        )
    return _Reader(
        lambda blocks: csv_rows(blocks, files.csv),
        table.mapping.row,
        lambda fields: sum(map(len, fields)) + len(fields),
    )

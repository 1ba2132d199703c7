"""CSV as DMS reads it: plain bytes -> rows of text, and the table that they are of.

RFC 4180: a field in quotes may hold delimiters and newlines, so a row is no line. Without it, a delimiter always ends
a field, and quotes are text (AWS DMS user guide, "Using Amazon S3 as a source": Rfc4180).
"""

import csv
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from daemon.sections import Csv, Files
from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.lines import LINE_BYTES_MAX, Line, filled, lines
from daemon.source.foreign.row_mapping import RowMapping
from daemon.source.foreign.table_definition import Table, Unsuitable, read_definition
from daemon.source.foreign.table_mappings import mapping_of, read_mappings, selected
from sinks.change import KeySchema

FIELD_CHARACTERS_MAX = 1024 * 1024
NumberedRow = tuple[int, list[str]]


class CsvTable(NamedTuple):
    """The one table that the files hold."""

    table: Table
    mapping: RowMapping
    mark: str  # of definition, mappings and options: whether they are still the same


def csv_table(files: Files, keys: KeySchema) -> CsvTable:
    """The table that definition and mappings speak of. Raises Unsuitable."""
    if files.table_definition is None:
        raise Unsuitable(
            "CSV has no types: give files.table_definition, DMS's external table definition, and where DMS had table "
            "mappings files.table_mappings"
        )
    tables, rules = read_definition(files.table_definition), read_mappings(files.table_mappings)
    chosen = selected(rules, tables)
    if len(chosen) != 1:
        names = ", ".join(f"{table.table_owner}.{table.table_name}" for table in chosen)
        raise Unsuitable(
            f"{files.table_mappings or files.table_definition} selects {len(chosen)} tables ({names or 'none'}): "
            "a move is of one, select that one"
        )
    try:
        mapping = RowMapping(chosen[0], mapping_of(rules, chosen[0]), keys, files.csv.null_value)
    except Unsuitable as error:
        raise Unsuitable(f"{files.table_mappings or files.table_definition}: {error}") from error
    return CsvTable(chosen[0], mapping, _mark(files))


def _mark(files: Files) -> str:
    told = sha256(msgspec.json.encode(vars(files.csv)))
    for path in (files.table_definition, files.table_mappings):
        told.update(path.read_bytes() if path else b"")
    return told.hexdigest()[:16]


def csv_rows(blocks: Iterator[bytes], options: Csv) -> Iterator[NumberedRow]:
    """Each row with the line on which it ends. Raises DamagedFile."""
    rows = _rows(blocks, options)
    for _ in range(options.ignore_header_rows):
        next(rows, None)
    return rows


def _rows(blocks: Iterator[bytes], options: Csv) -> Iterator[NumberedRow]:
    delimiter = options.row_delimiter.encode()
    if not options.rfc4180:
        numbered = filled(lines(blocks, delimiter))
        return ((number, _text(number, line).split(options.delimiter)) for number, line in numbered)
    if options.row_delimiter in ("\n", "\r\n"):
        return _quoted(lines(blocks), options)
    return _quoted(_whole(lines(blocks, delimiter), delimiter), options)


def _whole(numbered: Iterator[Line], delimiter: bytes) -> Iterator[Line]:
    """Pieces between row delimiters, joined where a quote was still open: a quote inside of quotes is doubled."""
    held: list[bytes] = []
    quotes = size = number = 0
    for number, piece in numbered:
        held.append(piece)
        quotes, size = quotes + piece.count(b'"'), size + len(piece)
        if quotes % 2 == 0:
            yield number, delimiter.join(held)
            held, size = [], 0
        elif size > LINE_BYTES_MAX:
            raise DamagedFile(
                f"row {number}: a quote stays open for {size} bytes: mend it, or set csv.rfc4180 to false"
            )
    if held:
        yield number, delimiter.join(held)


def _quoted(numbered: Iterator[Line], options: Csv) -> Iterator[NumberedRow]:
    csv.field_size_limit(FIELD_CHARACTERS_MAX)
    at = 0

    def text() -> Iterator[str]:
        nonlocal at
        for number, line in numbered:
            at = number
            yield _text(number, line) + "\n"

    reader = csv.reader(text(), delimiter=options.delimiter, strict=True)
    while True:
        try:
            row: Sequence[str] | None = next(reader, None)
        except csv.Error as error:
            raise DamagedFile(
                f"line {at}: not CSV of RFC 4180 ({error}): mend the line, or set csv.rfc4180 to false "
                "where quotes are text"
            ) from error
        if row is None:
            return
        if row:
            yield at, list(row)


def _text(number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DamagedFile(
            f"line {number} is not UTF-8 ({error.reason} at byte {error.start}): convert the file"
        ) from error

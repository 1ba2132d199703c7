"""DMS's external table definition: what the columns of a CSV file are.

AWS DMS user guide, "Using Amazon S3 as a source": figures and booleans are strings there.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec

from daemon.source.foreign.numbers import number
from sinks.attributes import UnreadableItem, Value

T = TypeVar("T")


class Unsuitable(ValueError):
    """A table definition or a table mapping cannot be followed. The message names the file and the next step."""


class Column(msgspec.Struct, frozen=True, rename="pascal"):
    """One column. `column_nullable` is only trusted where it is written: the guide's own example relies on that."""

    column_name: str
    column_type: str
    column_nullable: str | bool = "true"

    @property
    def nullable(self) -> bool:
        """False where it is said that NULL never stands here."""
        return str(self.column_nullable).lower() != "false"


class Table(msgspec.Struct, frozen=True, rename="pascal"):
    """One table: its columns in the order of the file."""

    table_name: str
    table_path: str
    table_owner: str
    table_columns: list[Column]
    table_columns_total: str | int | None = None


class _Definition(msgspec.Struct, frozen=True, rename="pascal"):
    tables: list[Table]


def _boolean(text: str) -> bool:
    value = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(text.strip().lower())
    if value is None:
        raise UnreadableItem(f"{text!r:.60} is no boolean: true or false, t or f, 1 or 0 was expected")
    return value


def _integer(text: str) -> Decimal:
    value = Decimal(number(text.strip()))
    if value != value.to_integral_value():
        raise UnreadableItem(f"{text!r:.60} is no whole number")
    return value


def _number(text: str) -> Decimal:
    return Decimal(number(text.strip()))


# Same guide, "Using an Amazon DynamoDB database as a target", table of data types; TIME is not in it and goes with
# DATE. A date stays the text that the file has.
_INTEGERS = ("INT1", "INT2", "INT4", "INT8", "UINT1", "UINT2", "UINT4", "UINT8")
_TEXTS = ("STRING", "WSTRING", "CLOB", "NCLOB", "DATE", "TIME", "DATETIME")
READERS: dict[str, tuple[str, Callable[[str], Value]]] = {
    **dict.fromkeys(_INTEGERS, ("N", _integer)),
    **dict.fromkeys(("NUMERIC", "REAL4", "REAL8"), ("N", _number)),
    **dict.fromkeys(_TEXTS, ("S", str)),
    "BOOLEAN": ("BOOL", _boolean),
}
# They can be in a file, but DMS writes no LOB to DynamoDB unless it is a CLOB (same page, "Limitations").
NOT_FOR_DYNAMODB = ("BYTE", "BYTES", "BLOB")


def read_definition(path: Path) -> list[Table]:
    """The tables of the file. Raises Unsuitable."""
    tables = read_json(path, _Definition, 'DMS\'s external table definition, {"TableCount":…,"Tables":[…]}').tables
    if not tables:
        raise Unsuitable(f"{path} defines no table: give the definition that DMS had")
    for table in tables:
        _check(path, table)
    return tables


def read_json(path: Path, kind: type[T], what: str) -> T:
    """A document of a person's. Raises Unsuitable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise Unsuitable(f"{path} cannot be read ({error.strerror}): {what} was expected there") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unsuitable(f"{path} is not {what}: {error}") from error


def _check(path: Path, table: Table) -> None:
    place = f"{path}, table {table.table_name!r}"
    if table.table_columns_total not in (None, len(table.table_columns), str(len(table.table_columns))):
        raise Unsuitable(
            f"{place}: TableColumnsTotal is {table.table_columns_total}, but {len(table.table_columns)} columns are "
            "defined: one of the two is wrong"
        )
    names = [column.column_name for column in table.table_columns]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice or not names:
        raise Unsuitable(f"{place}: the columns must have different names, found {', '.join(twice) or 'no column'}")
    for column in table.table_columns:
        if column.column_type not in READERS and column.column_type not in NOT_FOR_DYNAMODB:
            raise Unsuitable(
                f"{place}: column {column.column_name!r} has the type {column.column_type!r}; known are "
                f"{', '.join((*READERS, *NOT_FOR_DYNAMODB))}"
            )

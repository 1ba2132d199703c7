"""What the comparison reads: a DynamoDB table, or a table in Cassandra. Each with its own plain client."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from daemon.demo.compare import Item, Side
from daemon.demo.dataset import PARTITION, SORT
from daemon.demo.wire import Wire
from daemon.verify.canonical import NotAnItem

PAGE_ROWS = 1000
VERSION_ATTRIBUTE = "moveout:version"  # the service adds it to every item of a DynamoDB target

_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class DynamoDbSide:
    """A DynamoDB table. `hidden`: attributes that the service added and the comparison leaves out.

    `written`: keys that the application has written to the table itself, without them.
    """

    def __init__(
        self, wire: Wire, table: str, hidden: tuple[str, ...] = (), written: Mapping[Any, Any] | None = None
    ) -> None:
        self._wire = wire
        self._table = table
        self._hidden = hidden
        self._written = written or {}

    def items(self) -> Iterator[Item]:
        """Every item, read consistently."""
        for raw in self._wire.scan(self._table):
            yield self._shown(_decode(raw))

    def get(self, key: Item) -> Item | None:
        """One item by its key."""
        request = {"TableName": self._table, "Key": key, "ConsistentRead": True}
        found = msgspec.json.decode(self._wire.call("GetItem", request)).get("Item")
        return None if found is None else self._shown(found)

    def _shown(self, item: dict[str, Any]) -> Item:
        own = self._written and plain_key(item) in self._written
        for name in self._hidden:
            # A row without it was not written by the service: it must not pass as a moved one.
            if item.pop(name, None) is None and not own:
                raise NotAnItem(f"{self._table}: expected the attribute {name!r} in every item, found {sorted(item)}")
        return item


class Overlaid:
    """A side with what the application has written behind the switch: the state that the target must have."""

    def __init__(self, side: Side, written: Mapping[Any, Item | None]) -> None:
        """`written`: plain key -> the whole item, None where it was deleted."""
        self._side = side
        self._written = written

    def items(self) -> Iterator[Item]:
        """Every item, once."""
        yield from (item for item in self._side.items() if plain_key(item) not in self._written)
        yield from (item for item in self._written.values() if item is not None)

    def get(self, key: Item) -> Item | None:
        """One item by its key."""
        plain = plain_key(key)
        return self._written[plain] if plain in self._written else self._side.get(key)


def plain_key(item: Item) -> tuple[str, ...]:
    """The key of an item of the demo's table, both halves text."""
    return tuple(item[name]["S"] for name in (PARTITION, SORT))


def written_by(lines: Iterable[str]) -> dict[tuple[str, ...], Item | None]:
    """What the application's journal of writes to the target says that each key holds."""
    changes = map(json.loads, lines)
    return {plain_key(key): None if attributes is None else {**key, **attributes} for key, attributes in changes}


class CassandraSide:
    """A table of layout `document`: key columns, `attrs` in DynamoDB's typed JSON, `version`."""

    def __init__(self, session: Any, keyspace: str, table: str, key_names: tuple[str, ...]) -> None:
        """`session`: cassandra-driver's."""
        self._session = session
        self._key_names = key_names
        columns = ", ".join(map(_quoted, key_names))
        self._select = f"SELECT {columns}, attrs, version FROM {_quoted(keyspace)}.{_quoted(table)}"  # noqa: S608

    def items(self) -> Iterator[Item]:
        """Every row, page by page."""
        from cassandra.query import SimpleStatement

        for row in self._session.execute(SimpleStatement(self._select, fetch_size=PAGE_ROWS)):
            yield self._item(row)

    def get(self, key: Item) -> Item | None:
        """One row by its key."""
        where = " AND ".join(f"{_quoted(name)} = ?" for name in self._key_names)
        statement = self._session.prepare(f"{self._select} WHERE {where}")
        row = self._session.execute(statement, [_column(key[name]) for name in self._key_names]).one()
        return None if row is None else self._item(row)

    def _item(self, row: Any) -> Item:
        *key, attrs, version = row  # by place: the driver renames columns that are no Python names
        if attrs is None or version is None:
            raise NotAnItem(f"row {key}: expected attrs and version, found attrs={attrs!r:.40} version={version}")
        item: dict[str, Any] = _decode(attrs)
        doubled = item.keys() & set(self._key_names)
        if doubled:
            raise NotAnItem(f"row {key}: expected the key in its columns only, found {sorted(doubled)} in attrs")
        return item | {name: _typed(value) for name, value in zip(self._key_names, key, strict=True)}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _typed(value: str | Decimal | bytes) -> Mapping[str, str]:
    if isinstance(value, Decimal):
        return {"N": format(value, "f")}
    return {"B": b64encode(value).decode()} if isinstance(value, bytes) else {"S": value}


def _column(value: Mapping[str, str]) -> str | Decimal | bytes:
    ((kind, raw),) = value.items()
    if kind == "N":
        return Decimal(raw)
    return b64decode(raw) if kind == "B" else raw

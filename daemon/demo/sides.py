"""What the comparison reads: a DynamoDB table, or a table in Cassandra. Each with its own plain client."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from daemon.demo.compare import Item
from daemon.demo.wire import Wire
from daemon.verify.canonical import NotAnItem

PAGE_ROWS = 1000
VERSION_ATTRIBUTE = "moveout:version"  # the service adds it to every item of a DynamoDB target

_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class DynamoDbSide:
    """A DynamoDB table. `hidden`: attributes that the service added and the comparison leaves out."""

    def __init__(self, wire: Wire, table: str, hidden: tuple[str, ...] = ()) -> None:
        self._wire = wire
        self._table = table
        self._hidden = hidden

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
        for name in self._hidden:
            # A row without it was not written by the service: it must not pass as a moved one.
            if item.pop(name, None) is None:
                raise NotAnItem(f"{self._table}: expected the attribute {name!r} in every item, found {sorted(item)}")
        return item


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

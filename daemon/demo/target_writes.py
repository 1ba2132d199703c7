"""What the demo's application writes once it writes to the target, each target by its own plain client."""

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import msgspec

from daemon.demo.dataset import PARTITION, SORT, Item, key_of, order
from daemon.demo.specimens import key
from daemon.demo.wire import Wire


class TargetWrite(NamedTuple):
    """A key and what it is to hold; None: it is deleted."""

    kind: str
    key: Item
    attributes: Item | None


def target_writes(seed: int, items: int) -> Iterator[TargetWrite]:
    """Endless: new orders, and orders that the move has brought over replaced or deleted. No key twice."""
    chance = random.Random(f"after {seed}")
    moved = chance.sample(range(items), items)
    number = 0
    while True:
        number += 1
        if not moved or chance.random() < 1 / 2:
            yield TargetWrite("insert", key(f"customer-after-{seed}", f"{number:09d}"), order(chance))
        elif chance.random() < 1 / 2:
            yield TargetWrite("overwrite", key_of(seed, moved.pop()), order(chance))
        else:
            yield TargetWrite("delete", key_of(seed, moved.pop()), None)


class Target(Protocol):
    """The application's own access to the target."""

    def write(self, change: TargetWrite, micros: int) -> None:
        """Store or delete; `micros`, the application's clock, is the version where the table has such a column."""


class CassandraTarget:
    """A table of layout `document`."""

    def __init__(self, session: Any, keyspace: str, table: str) -> None:
        """`session`: cassandra-driver's."""
        name, where = f'"{keyspace}"."{table}"', f'"{PARTITION}" = ? AND "{SORT}" = ?'
        self._session = session
        columns = f'"{PARTITION}", "{SORT}", attrs, version'
        self._insert = session.prepare(f"INSERT INTO {name} ({columns}) VALUES (?, ?, ?, ?)")  # noqa: S608
        self._delete = session.prepare(f"DELETE FROM {name} WHERE {where}")  # noqa: S608

    def write(self, change: TargetWrite, micros: int) -> None:
        """At the driver's own timestamps, as any application writes."""
        place = [_column(change.key[PARTITION]), _column(change.key[SORT])]
        if change.attributes is None:
            self._session.execute(self._delete, place)
        else:
            self._session.execute(self._insert, [*place, msgspec.json.encode(change.attributes).decode(), micros])


class DynamoDbTarget:
    """A DynamoDB table. Nothing of the move is known here: the hidden attribute is not written."""

    def __init__(self, wire: Wire, table: str) -> None:
        self._wire = wire
        self._table = table

    def write(self, change: TargetWrite, micros: int) -> None:
        """PutItem or DeleteItem."""
        del micros
        if change.attributes is None:
            self._wire.call("DeleteItem", {"TableName": self._table, "Key": change.key})
        else:
            self._wire.call("PutItem", {"TableName": self._table, "Item": {**change.key, **change.attributes}})


def connected(place: Mapping[str, Any], wire: Wire) -> Target:
    """The target as configuration describes it to the application: kind, and where."""
    if place["kind"] == "dynamodb":
        return DynamoDbTarget(wire, place["table"])
    from cassandra.cluster import Cluster

    session = Cluster([place["host"]], port=place["port"], protocol_version=5).connect()
    return CassandraTarget(session, place["keyspace"], place["table"])


def _column(value: Any) -> str | Decimal:
    ((kind, raw),) = value.items()
    return Decimal(raw) if kind == "N" else str(raw)

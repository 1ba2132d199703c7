"""How an item lies in the table: its statements, the cells of a change, and a row back into an item.

A layout knows neither connections nor drivers; a transport (transport.py) knows nothing of items.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from sinks.attributes import Value, encode_value, without
from sinks.cassandra import schema
from sinks.cassandra.cells import Cell, bigint, count_of, length_of, packed, unpacked
from sinks.cassandra.key_columns import KeyColumns
from sinks.cassandra.options import CassandraOptions
from sinks.change import Change, Item, Key, KeySchema
from sinks.key_texts import remover_of_one, remover_of_two
from sinks.sink import Stored

# `version` and the timestamp, which are the same number: two values of the wire, each with its length.
_versions = struct.Struct(">iqiq").pack


class Step(msgspec.Struct, frozen=True, gc=False):
    """One statement with its values: `statement` is the place in `Layout.statements`, `values` are in its order.

    They are packed by whoever makes them (cells.packed): that is what travels, and what a row costs.
    """

    statement: int
    values: bytes

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The values one by one."""
        return unpacked(self.values)


class Mutation(msgspec.Struct, frozen=True, gc=False):
    """What one change does, atomically. `partition` is the cell of the partition key: it decides which node.

    One step is an EXECUTE; several are an UNLOGGED BATCH, which within one partition is one mutation
    (daemon/README.md, "One rule of order").
    """

    partition: bytes
    steps: tuple[Step, ...]


def step(statement: int, cells: Sequence[Cell]) -> Step:
    """A Step of these cells."""
    return Step(statement, packed(cells))


class Layout(Protocol):
    """One way to lay items out in a table."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Name -> CQL type of every column that is no key."""

    @property
    def statements(self) -> Sequence[str]:
        """To prepare; steps name them by their place."""

    @property
    def select(self) -> str:
        """Values: `keys.cells`. Answers what `stored` takes."""

    @property
    def keys(self) -> KeyColumns:
        """The key columns."""

    def mutation(self, change: Change) -> Mutation:
        """What this change does to its row. Raises UNBINDABLE when it can never be stored."""

    def stored(self, key: Key, row: Sequence[Any]) -> Stored:
        """The version and the whole item of a row that `select` answered."""


class DocumentLayout:
    """Typed key columns, `attrs` (all other attributes as DynamoDB's typed JSON), `version`.

    A put is one INSERT of every column at one timestamp, so rows never mix and no tombstone is written.
    """

    INSERT, DELETE = 0, 1

    def __init__(self, options: CassandraOptions, keys: KeySchema) -> None:
        self._keys = keys
        self.keys = KeyColumns(options, keys)
        self.columns: Mapping[str, str] = schema.value_columns(options)
        self.statements: Sequence[str] = (
            schema.insert_statement(options, keys),
            schema.delete_statement(options, keys),
        )
        self._count = count_of(len(self.keys.names) + 3)
        self._partition = self.keys.encoders[0]
        self._sort = self.keys.encoders[1] if keys.sort else None
        self._attrs = _remover(keys, self.keys)
        self.select = schema.select_statement(options, keys)

    def mutation(self, change: Change) -> Mutation:
        """One INSERT, or one DELETE, at the change's version."""
        key, item = change.key, change.item
        partition = self._partition(key.partition)
        if item is None:
            return Mutation(partition, (step(self.DELETE, (bigint(change.version), *self.keys.cells(key))),))
        # cells.packed by hand: this runs for every row of a backfill.
        count, of = self._count, length_of
        tail = _versions(8, change.version, 8, change.version)
        if self._sort is None:
            attrs = self._attrs(item.json, partition)
            values = b"".join((count, of(len(partition)), partition, of(len(attrs)), attrs, tail))
        else:
            sort = self._sort(key.sort)
            attrs = self._attrs(item.json, partition, sort)
            values = b"".join((count, of(len(partition)), partition, of(len(sort)), sort, of(len(attrs)), attrs, tail))
        return Mutation(partition, (Step(self.INSERT, values),))

    def stored(self, key: Key, row: Sequence[Any]) -> Stored:
        """`row` is attrs and version."""
        attrs, version = row
        return Stored(version, Item(joined(key_attributes(self._keys, key), attrs)))


def _remover(keys: KeySchema, columns: KeyColumns) -> Callable[..., bytes]:
    """A function of an item and the cells of its key: all its other attributes."""
    names = keys.names
    if {part.type for part in (keys.partition, keys.sort) if part} != {"S"} or {*columns.types} != {"text"}:
        return lambda json, *_: without(json, names)
    if keys.sort is None:
        return remover_of_one(keys.partition.name)
    return remover_of_two(keys.partition.name, keys.sort.name)


def key_attributes(keys: KeySchema, key: Key) -> list[tuple[str, Value]]:
    """The key as attributes: name and value."""
    parts: list[tuple[str, Value]] = [(keys.partition.name, key.partition)]
    if keys.sort is not None and key.sort is not None:
        parts.append((keys.sort.name, key.sort))
    return parts


def joined(parts: Sequence[tuple[str, Value]], attrs: str) -> bytes:
    """The item again: its key in front of the attributes' own bytes."""
    head = msgspec.json.encode({name: encode_value(value) for name, value in parts})
    return head if attrs == "{}" else head[:-1] + b"," + attrs.encode()[1:]

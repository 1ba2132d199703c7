"""Layout `columns`: chosen attributes in typed columns, all others in `attrs`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sinks.attributes import Value, decode_member, members
from sinks.cassandra import schema
from sinks.cassandra.cells import UNSET, Cell, bigint
from sinks.cassandra.key_columns import KeyColumns
from sinks.cassandra.layout import Mutation, joined, key_attributes, step
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.values import Codec, Unfit, codec
from sinks.change import Change, Item, Key, KeySchema
from sinks.sink import Stored


class _Column(NamedTuple):
    attribute: str
    codec: Codec
    spills: bool


class ColumnsLayout:
    """A put is one batch {row DELETE at T-1, INSERT at T}: what the item no longer has is gone.

    An attribute that is absent leaves its column UNSET, since the DELETE has taken what was there: null would write a
    tombstone per column, and would win over a value of the same T for ever (daemon/README.md, "One rule of order"). A
    NULL of DynamoDB, and what a type cannot give back exactly, stays in `attrs`: so null in a column only ever means
    "look into attrs", and the item that is read back is the item that came.
    """

    INSERT, DELETE = 0, 1

    def __init__(self, options: CassandraOptions, keys: KeySchema) -> None:
        self._schema = keys
        self.keys = KeyColumns(options, keys)
        self.columns: Mapping[str, str] = schema.value_columns(options)
        self._typed = [
            _Column(name, codec(typed.type, typed.form), typed.otherwise == "spill")
            for name, typed in options.columns.items()
        ]
        self.statements: Sequence[str] = (
            schema.insert_statement(options, keys),
            schema.delete_statement(options, keys),
        )
        self.select = schema.select_statement(options, keys)

    def mutation(self, change: Change) -> Mutation:
        """One batch, or one DELETE at the change's version. Raises Unfit, UnreadableItem."""
        key = self.keys.cells(change.key)
        if change.item is None:
            return Mutation(key[0], (step(self.DELETE, (bigint(change.version), *key)),))
        rest = members(change.item.json)
        for name in self._schema.names:
            rest.pop(name, None)
        cells = [self._cell(column, rest) for column in self._typed]
        version = bigint(change.version)
        before = step(self.DELETE, (bigint(change.version - 1), *key))
        return Mutation(
            key[0], (before, step(self.INSERT, (*key, *cells, msgspec.json.encode(rest), version, version)))
        )

    def stored(self, key: Key, row: Sequence[Any]) -> Stored:
        """`row` is attrs, version and the typed columns."""
        attrs, version, *found = row
        parts: list[tuple[str, Value]] = key_attributes(self._schema, key)
        # A row of one version that was written under two configurations may have an attribute in both places.
        spilled = members(attrs.encode())
        for column, value in zip(self._typed, found, strict=True):
            if value is not None and column.attribute not in spilled:
                parts.append((column.attribute, column.codec.decode(value)))
        return Stored(version, Item(joined(parts, attrs)))

    def _cell(self, column: _Column, rest: dict[str, msgspec.Raw]) -> Cell:
        """The column's cell, its attribute taken out of `rest`, or UNSET where it stays there."""
        raw = rest.get(column.attribute)
        if raw is None:
            return UNSET
        value = decode_member(raw)
        if value is None:
            return UNSET
        try:
            cell = column.codec.encode(value)
        except Unfit as error:
            if column.spills:
                return UNSET
            raise Unfit(f"attribute {column.attribute!r}: {error}, and target.columns says dead-letter") from error
        del rest[column.attribute]
        return cell

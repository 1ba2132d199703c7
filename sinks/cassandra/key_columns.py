"""Keys as CQL columns: which types keep a key's identity and its order, and the cells of a key.

A key decides which row is meant, so nothing is changed and nothing spills: a key that its type cannot give back is
Unfit, and its change is rejected.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sinks.cassandra.cells import ENCODERS
from sinks.cassandra.options import CassandraOptions, KeyColumn
from sinks.cassandra.values import TEXT_FORMS, Codec, Unfit, codec, number_as_text
from sinks.change import Key, KeyAttribute, KeySchema, KeyType
from sinks.sink import SinkMisconfigured

# N as decimal: exact, and ordered by value as a clustering column. The keys are canonical, because CQL
# tells 1 from 1.0 in a partition key (facts: `decimal` compares by its bytes there).
DEFAULT_TYPES: dict[KeyType, str] = {"S": "text", "N": "decimal", "B": "blob"}
TYPES: dict[KeyType, tuple[str, ...]] = {
    "S": ("text", "ascii", "uuid", "timestamp"),
    "N": ("decimal", "varint", "bigint", "int", "timestamp", "text"),
    "B": ("blob",),
}
_DEFAULT = KeyColumn()


class KeyColumns:
    """The key columns of one table: `names`, `types` in the order of the primary key. Raises SinkMisconfigured."""

    def __init__(self, options: CassandraOptions, keys: KeySchema) -> None:
        unknown = options.keys.keys() - keys.names
        if unknown:
            raise SinkMisconfigured(
                f"target.keys names {', '.join(sorted(unknown))}; the key of the source is {keys}. "
                "Other attributes get columns under target.columns, with layout: columns"
            )
        parts = [keys.partition] + ([keys.sort] if keys.sort else [])
        self.names: tuple[str, ...] = tuple(_of(options, part).column or part.name for part in parts)
        self.codecs: tuple[Codec, ...] = tuple(_codec(_of(options, part), part, part is keys.sort) for part in parts)
        self.types: tuple[str, ...] = tuple(known.name for known in self.codecs)
        self.encoders = tuple(map(_encoder, self.codecs, parts))

    def cells(self, key: Key) -> tuple[bytes, ...]:
        """The values of the key columns. Raises UNBINDABLE (errors.py) for a key that its type cannot give back."""
        if len(self.encoders) == 1:
            return (self.encoders[0](key.partition),)
        return (self.encoders[0](key.partition), self.encoders[1](key.sort))

    def key(self, row: Sequence[Any]) -> Key:
        """The key of a row that begins with the key columns, as the driver reads them."""
        parts: list[Any] = [known.decode(value) for known, value in zip(self.codecs, row, strict=False)]
        return Key(*parts)


def _of(options: CassandraOptions, part: KeyAttribute) -> KeyColumn:
    return options.keys.get(part.name, _DEFAULT)


def _encoder(known: Codec, part: KeyAttribute) -> Callable[[Any], bytes]:
    if known.name == DEFAULT_TYPES[part.type]:
        return ENCODERS[known.name]  # every value fits: nothing to look at on the hot path

    def named(value: Any) -> bytes:
        try:
            return known.encode(value)
        except Unfit as error:
            raise Unfit(f"key attribute {part.name!r}: {error}. A key is never changed") from error

    return named


def _codec(column: KeyColumn, part: KeyAttribute, is_sort: bool) -> Codec:  # noqa: FBT001
    made = codec(column.type or DEFAULT_TYPES[part.type], column.form)
    if made.name not in TYPES[part.type]:
        raise SinkMisconfigured(
            f"target.keys.{part.name}: a key of type {part.type} cannot be {made.name}; "
            f"it can be {', '.join(TYPES[part.type])}"
        )
    if is_sort:
        _check_order(made, column, part)
    if made.name == "text" and part.type == "N":
        return number_as_text()
    if made.name == "timestamp" and (column.form in TEXT_FORMS or column.form is None) != (part.type == "S"):
        raise SinkMisconfigured(
            f"target.keys.{part.name}: a timestamp of type {part.type} needs form: "
            + (" or ".join(TEXT_FORMS) if part.type == "S" else "seconds or milliseconds")
        )
    return made


def _check_order(made: Codec, column: KeyColumn, part: KeyAttribute) -> None:
    """Queries by a range of the sort key must answer what they answered in DynamoDB."""
    why = {
        ("uuid", "S"): "CQL orders UUIDs by their version and time, DynamoDB by their text",
        ("text", "N"): "text orders 10 before 9",
    }.get((made.name, part.type))
    if made.name == "timestamp" and part.type == "S" and column.form != "iso-milliseconds":
        why = (
            "texts of different lengths (…00Z, …00.500Z) have another order than their times; iso-milliseconds has not"
        )
    if why is not None:
        raise SinkMisconfigured(f"target.keys.{part.name}: {made.name} would change the order of the sort key: {why}")

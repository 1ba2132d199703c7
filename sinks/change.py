"""The one value that flows: this key holds this item, as of this version."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from sinks.attributes import Value, decode_item

KeyValue = str | Decimal | bytes
KeyType = Literal["S", "N", "B"]


class KeyAttribute(msgspec.Struct, frozen=True, gc=False):
    """One attribute of a primary key: its name and DynamoDB type."""

    name: str
    type: KeyType


class KeySchema(msgspec.Struct, frozen=True, gc=False):
    """The primary key of a table: a partition key, and a sort key where the table has one."""

    partition: KeyAttribute
    sort: KeyAttribute | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the key attributes."""
        return frozenset({self.partition.name} | ({self.sort.name} if self.sort else set()))

    def __str__(self) -> str:
        """As an operator writes it: `customer (S), order (S)`."""
        parts = [self.partition] + ([self.sort] if self.sort else [])
        return ", ".join(f"{part.name} ({part.type})" for part in parts)


class Key(msgspec.Struct, frozen=True, gc=False):
    """The primary key of one item. Numbers are canonical Decimals (sinks.attributes.canonical)."""

    partition: KeyValue
    sort: KeyValue | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """A whole item, key included, as the bytes of DynamoDB's typed JSON: `{"id":{"S":"x"},…}`.

    Bytes are passed on untouched: decoding costs six times what passing them on costs.
    """

    json: bytes

    def attributes(self) -> dict[str, Value]:
        """The attributes as exact Python values. Raises UnreadableItem."""
        return decode_item(self.json)


class Change(msgspec.Struct, frozen=True, gc=False):
    """This key holds this item as of this version; no item: the key was deleted.

    `version` is in microseconds, unique and rising along each key's history.
    """

    key: Key
    version: int
    item: Item | None


def newest(changes: Iterable[Change]) -> list[Change]:
    """The change with the highest version of each key, in the order in which the keys first appear.

    What a sink would overwrite a moment later need not be written: one rule of order, applied early.
    """
    latest: dict[Key, Change] = {}
    for change in changes:
        known = latest.get(change.key)
        if known is None or known.version < change.version:
            latest[change.key] = change
    return list(latest.values())

"""Reads a key, and nothing else, out of an item in DynamoDB's typed JSON."""

from collections.abc import Callable
from typing import Any

import msgspec

from sinks.attributes import UnreadableItem, canonical
from sinks.change import Key, KeySchema, KeyValue

# "S" is text, "N" is text too (38 digits fit no float), "B" is base64 that msgspec decodes in C.
_VALUE_TYPES: dict[str, type] = {
    "S": msgspec.defstruct("_S", [("S", str)], gc=False),
    "N": msgspec.defstruct("_N", [("N", str)], gc=False),
    "B": msgspec.defstruct("_B", [("B", bytes)], gc=False),
}


def key_struct(keys: KeySchema) -> type:
    """A msgspec type that picks the key attributes out of an item and skips the rest."""
    fields: list[Any] = [("partition", _VALUE_TYPES[keys.partition.type], msgspec.field(name=keys.partition.name))]
    if keys.sort is not None:
        fields.append(("sort", _VALUE_TYPES[keys.sort.type], msgspec.field(name=keys.sort.name)))
    return msgspec.defstruct("KeyOfItem", fields, gc=False)


def _value_of(kind: str) -> Callable[[Any], KeyValue]:
    if kind == "N":
        return lambda value: canonical(value.N)
    return lambda value: getattr(value, kind)


def key_of(keys: KeySchema) -> Callable[[Any], Key]:
    """Turns a key_struct into a Key."""
    partition = _value_of(keys.partition.type)
    if keys.sort is None:
        return lambda found: Key(partition(found.partition))
    sort = _value_of(keys.sort.type)
    return lambda found: Key(partition(found.partition), sort(found.sort))


def key_reader(keys: KeySchema) -> Callable[[bytes], Key]:
    """A function from an item's bytes to its Key; it raises UnreadableItem when a key attribute is not there."""
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(key_struct(keys)).decode
    to_key = key_of(keys)

    def read(json: bytes) -> Key:
        try:
            return to_key(decode(json))
        except msgspec.MsgspecError as error:
            raise UnreadableItem(f"no key {keys} in {json[:80]!r}…: {error}") from error

    return read

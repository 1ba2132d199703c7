"""Reads a key, and nothing else, out of an item in DynamoDB's typed JSON."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from sinks.attributes import UnreadableItem, canonical
from sinks.change import Key, KeySchema, KeyValue

# "S" is text, "N" is text too (38 digits fit no float), "B" is base64 that msgspec decodes in C.
_VALUE_TYPES: dict[str, type] = {
    kind: msgspec.defstruct(f"_{kind}", [("value", python, msgspec.field(name=kind))], gc=False)
    for kind, python in (("S", str), ("N", str), ("B", bytes))
}


def key_struct(keys: KeySchema) -> type:
    """A msgspec type that picks the key attributes out of an item and skips the rest."""
    fields: list[Any] = [("partition", _VALUE_TYPES[keys.partition.type], msgspec.field(name=keys.partition.name))]
    if keys.sort is not None:
        fields.append(("sort", _VALUE_TYPES[keys.sort.type], msgspec.field(name=keys.sort.name)))
    return msgspec.defstruct("KeyOfItem", fields, gc=False)


def key_of(keys: KeySchema) -> Callable[[Any], Key]:
    """Turns a key_struct into a Key. One function for each shape: it is called for every item."""
    if "N" not in (keys.partition.type, keys.sort and keys.sort.type):
        if keys.sort is None:
            return lambda found: Key(found.partition.value)
        return lambda found: Key(found.partition.value, found.sort.value)
    partition = _value_of(keys.partition.type)
    if keys.sort is None:
        return lambda found: Key(partition(found.partition))
    sort = _value_of(keys.sort.type)
    return lambda found: Key(partition(found.partition), sort(found.sort))


def keys_of(keys: KeySchema) -> Callable[[Iterable[Any]], list[Key]]:
    """As key_of, for many at once: where there is nothing to convert, without a call for each."""
    if "N" in (keys.partition.type, keys.sort and keys.sort.type):
        to_key = key_of(keys)
        return lambda found: list(map(to_key, found))
    if keys.sort is None:
        return lambda found: [Key(one.partition.value) for one in found]
    return lambda found: [Key(one.partition.value, one.sort.value) for one in found]


def item_decoder(keys: KeySchema) -> Callable[[bytes], Any]:
    """A function from an item's bytes to its key_struct; it raises msgspec.MsgspecError."""
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(key_struct(keys)).decode
    return decode


def _value_of(kind: str) -> Callable[[Any], KeyValue]:
    if kind == "N":
        return lambda found: canonical(found.value)
    return lambda found: found.value


def key_reader(keys: KeySchema) -> Callable[[bytes], Key]:
    """A function from an item's bytes to its Key; it raises UnreadableItem when a key attribute is not there."""
    decode, to_key = item_decoder(keys), key_of(keys)

    def read(json: bytes) -> Key:
        try:
            return to_key(decode(json))
        except msgspec.MsgspecError as error:
            raise UnreadableItem(f"no key {keys} in {json[:80]!r}…: {error}") from error

    return read

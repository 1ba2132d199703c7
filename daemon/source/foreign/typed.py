"""An item in the typed JSON of any tool -> DynamoDB's own: types in upper case, every value looked at.

The EMR connector lower-cases the first letter of a type (`sS`, `bOOL`), and what it calls NULL depends on the SDK
that wrote it (`nULL`, `nULLValue`). Names of attributes are never touched, `s` and `nULL` among them.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import msgspec

from daemon.source.foreign.numbers import number
from daemon.source.keys import key_reader
from daemon.source.page import Row
from sinks.attributes import UnreadableItem
from sinks.change import Item, KeySchema

TYPES = frozenset({"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"})
_ANY_CASE = {**{kind.lower(): kind for kind in TYPES}, "nullvalue": "NULL"}
_tree = msgspec.json.Decoder().decode
TypeOf = Callable[[str], str | None]


def exact_type(kind: str) -> str | None:
    """A type as DynamoDB itself writes it."""
    return kind if kind in TYPES else None


def any_case(kind: str) -> str | None:
    """A type as some tool has written it."""
    return _ANY_CASE.get(kind.lower())


def item_reader(keys: KeySchema, type_of: TypeOf) -> Callable[[bytes], Row]:
    """A function from the JSON of an item, with or without `{"Item":…}`, to a row; it raises UnreadableItem."""
    key_of = key_reader(keys)

    def read(json: bytes) -> Row:
        members = without_wrapper(parsed(json, keys), keys.partition.name)
        typed = {name: typed_value(value, type_of, name) for name, value in members.items()}
        normal = msgspec.json.encode(typed)
        return key_of(normal), Item(normal)

    return read


def parsed(json: bytes, keys: KeySchema) -> dict[str, Any]:
    """An item's line as attributes: JSON, or the broken JSON of Data Pipeline before its third version.

    That one has a byte 2 between attributes, a byte 3 between name and value, and no braces
    (emr-dynamodb-connector, DynamoDBItemWritable.fixMalformedJson). Raises UnreadableItem.
    """
    if b"\x03" in json and not json.lstrip().startswith(b"{"):
        return dict(_broken(attribute) for attribute in json.rstrip(b"\r\n").split(b"\x02"))
    if b"\x01" in json:
        raise UnreadableItem(
            "columns between \\x01, as Hive writes them with a column mapping: they have no types. "
            "Export the table without a column mapping"
        )
    tree = _decoded(json)
    if not isinstance(tree, dict):
        raise UnreadableItem(f"an item with the key {keys} was expected, found {json[:60]!r}")
    return tree


def _broken(attribute: bytes) -> tuple[str, Any]:
    name, between, value = attribute.partition(b"\x03")
    if not between:
        raise UnreadableItem(f"no \\x03 between name and value in {attribute[:60]!r}")
    try:
        return name.decode(), _decoded(value)
    except UnicodeDecodeError as error:
        raise UnreadableItem(f"the attribute name {name[:60]!r} is not UTF-8") from error


def _decoded(json: bytes) -> Any:
    try:
        return _tree(json)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableItem(f"not JSON ({error}): {json[:60]!r}") from error


def without_wrapper(members: dict[str, Any], partition: str) -> dict[str, Any]:
    """What `{"Item":…}` wraps. An item that has one attribute has its key, so it can be told from a wrapper."""
    inner = members.get("Item")
    if len(members) == 1 and isinstance(inner, dict) and isinstance(inner.get(partition), dict):
        return inner
    return members


def typed_value(value: Any, type_of: TypeOf, path: str) -> dict[str, Any]:
    """`{"sS":["a"]}` -> `{"SS":["a"]}`. Raises UnreadableItem, which names the attribute."""
    if not isinstance(value, dict) or len(value) != 1:
        raise UnreadableItem(
            f'attribute {path}: a value with its one type was expected, {{"S":"x"}}, found {value!r:.60}'
        )
    ((written, raw),) = value.items()
    kind = type_of(written)
    if kind is None:
        raise UnreadableItem(
            f"attribute {path}: {written!r:.20} is no type, expected is one of {', '.join(sorted(TYPES))}"
        )
    if kind == "M" and isinstance(raw, dict):
        return {"M": {name: typed_value(member, type_of, f"{path}.{name}") for name, member in raw.items()}}
    if kind == "L" and isinstance(raw, list):
        return {"L": [typed_value(member, type_of, f"{path}[{n}]") for n, member in enumerate(raw)]}
    try:
        return {kind: _plain_value(kind, raw)}
    except UnreadableItem as error:
        raise UnreadableItem(f"attribute {path}: {error}") from error


def _plain_value(kind: str, raw: Any) -> Any:
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return scalar(raw)
    member = _MEMBERS.get(kind)
    if member is not None and isinstance(raw, list) and raw:
        return list(map(member, raw))
    raise UnreadableItem(f"{raw!r:.60} does not fit the type {kind}")


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise UnreadableItem(f"text was expected, found {raw!r:.60}")
    return raw


def _binary(raw: Any) -> str:
    try:
        b64decode(_text(raw), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableItem(f"{raw!r:.60} is not base64") from error
    return str(raw)


def _boolean(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise UnreadableItem(f"true or false was expected, found {raw!r:.60}")
    return raw


def _null(raw: Any) -> bool:
    if raw is not True:
        raise UnreadableItem(f"a NULL says true, found {raw!r:.60}")
    return True


def _number(raw: Any) -> str:
    return number(_text(raw))


_MEMBERS: dict[str, Callable[[Any], Any]] = {"SS": _text, "NS": _number, "BS": _binary}
_SCALARS: dict[str, Callable[[Any], Any]] = {"S": _text, "N": _number, "B": _binary, "BOOL": _boolean, "NULL": _null}

"""DynamoDB's typed JSON <-> Python values, exact. The only place that knows the format.

| typed JSON              | Python             |
|-------------------------|--------------------|
| {"S": "x"}              | str                |
| {"N": "1.5"}            | Decimal, canonical |
| {"B": "aGk="}           | bytes              |
| {"BOOL": true}          | bool               |
| {"NULL": true}          | None               |
| {"M": {…}} / {"L": […]} | dict / list        |
| {"SS"|"NS"|"BS": […]}   | frozenset          |

Rules: AWS developer guide "Supported data types and naming rules". Numbers have up to 38 significant
digits but up to 126 plain ones (1E+125), which boto3's TypeDeserializer refuses.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Union

import msgspec

Value = Union[str, Decimal, bytes, bool, None, "dict[str, Value]", "list[Value]", "frozenset[Any]"]


class UnreadableItem(ValueError):
    """The bytes are not an item in DynamoDB's typed JSON."""


def canonical(number: str | Decimal) -> Decimal:
    """The number in plain form: no exponent, no trailing zeros of a fraction, no negative zero.

    Two spellings of one number must give one key: CQL compares decimal partition keys by their bytes
    (facts: CQL `decimal` is scale + unscaled value). Raises UnreadableItem for what is no number.
    """
    try:
        exact = Decimal(number)
    except InvalidOperation as error:
        raise UnreadableItem(f"{number!r} is not a number") from error
    if not exact.is_finite():
        raise UnreadableItem(f"{number!r} is not a finite number")
    if not exact:
        return Decimal(0)
    sign, digits, exponent = exact.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  finite, as checked above
    while exponent < 0 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    return Decimal((sign, digits + (0,) * max(exponent, 0), min(exponent, 0)))


def plain(number: Decimal) -> str:
    """The canonical number as DynamoDB writes it: plain digits, never an exponent."""
    return format(canonical(number), "f")


def _binary(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise UnreadableItem(f"a binary value is not base64: {error}") from error


_DECODERS: dict[str, Callable[[Any], Value]] = {
    "S": str,
    "N": canonical,
    "B": _binary,
    "BOOL": bool,
    "NULL": lambda _: None,
    "M": lambda members: {name: decode_value(member) for name, member in members.items()},
    "L": lambda members: [decode_value(member) for member in members],
    "SS": frozenset,
    "NS": lambda members: frozenset(map(canonical, members)),
    "BS": lambda members: frozenset(map(_binary, members)),
}


def decode_value(typed: Mapping[str, Any]) -> Value:
    """The Python value of `{"S": "x"}`. Raises UnreadableItem."""
    if len(typed) != 1:
        raise UnreadableItem(f"a value needs exactly one type, found {sorted(typed)}")
    ((kind, raw),) = typed.items()
    decode = _DECODERS.get(kind)
    if decode is None:
        raise UnreadableItem(f"{kind!r} is not a DynamoDB type; known are {', '.join(_DECODERS)}")
    try:
        return decode(raw)
    except (TypeError, AttributeError) as error:
        raise UnreadableItem(f"{raw!r:.60} does not fit the type {kind}") from error


_object = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def decode_item(json: bytes) -> dict[str, Value]:
    """The attributes of an item in typed JSON, as Python values. Raises UnreadableItem."""
    try:
        typed = _object(json)
    except msgspec.MsgspecError as error:
        raise UnreadableItem(f"not an item in DynamoDB's typed JSON: {error}") from error
    return {name: decode_value(value) for name, value in typed.items()}


def encode_value(value: Value) -> dict[str, Any]:
    """The typed JSON of a Python value; the inverse of decode_value. Raises TypeError for other types."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case Decimal():
            return {"N": plain(value)}
        case bytes():
            return {"B": b64encode(value).decode()}
        case dict():
            return {"M": {name: encode_value(member) for name, member in value.items()}}
        case list():
            return {"L": [encode_value(member) for member in value]}
        case frozenset():
            return _encode_set(value)
    raise TypeError(f"{type(value).__name__} has no DynamoDB type")


def _encode_set(members: frozenset[Any]) -> dict[str, Any]:
    kinds = {type(member) for member in members}
    if kinds == {str}:
        return {"SS": sorted(members)}
    if kinds == {Decimal}:
        return {"NS": [plain(member) for member in sorted(members)]}
    if kinds == {bytes}:
        return {"BS": [b64encode(member).decode() for member in sorted(members)]}
    raise TypeError(f"a DynamoDB set holds one type and is never empty, found {sorted(map(str, kinds))}")


def encode_item(attributes: Mapping[str, Value]) -> bytes:
    """The typed JSON of an item; the inverse of decode_item."""
    return msgspec.json.encode({name: encode_value(value) for name, value in attributes.items()})


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def without(json: bytes, names: frozenset[str]) -> bytes:
    """The item without the named attributes, all others as the same bytes. Raises UnreadableItem."""
    left = members(json)
    for name in names:
        left.pop(name, None)
    return msgspec.json.encode(left)


def members(json: bytes) -> dict[str, msgspec.Raw]:
    """Attribute name -> its typed JSON as the same bytes. Raises UnreadableItem."""
    try:
        return _members(json)
    except msgspec.MsgspecError as error:
        raise UnreadableItem(f"not an item in DynamoDB's typed JSON: {error}") from error


def reader(name: str) -> Callable[[bytes], Value]:
    """A function that reads one attribute of an item and skips the others; None where it is NULL or absent.

    It raises UnreadableItem.
    """
    one = msgspec.defstruct("One", [("value", dict[str, Any] | None, None)], rename={"value": name}, gc=False)
    decode = msgspec.json.Decoder(one).decode

    def read(json: bytes) -> Value:
        try:
            typed = decode(json).value  # type: ignore[attr-defined]
        except msgspec.MsgspecError as error:
            raise UnreadableItem(f"not an item in DynamoDB's typed JSON: {error}") from error
        return None if typed is None else decode_value(typed)

    return read


_typed = msgspec.json.Decoder(dict[str, Any]).decode


def decode_member(raw: msgspec.Raw) -> Value:
    """The Python value of one of `members`. Raises UnreadableItem."""
    try:
        return decode_value(_typed(raw))
    except msgspec.MsgspecError as error:
        raise UnreadableItem(f"not a value in DynamoDB's typed JSON: {error}") from error

"""One spelling per value: two items are equal exactly when their canonical bytes are.

Written apart from the engine and the sinks on purpose: a mistake there must not hide itself here. It imports nothing of
ours (tests/test_tidy.py); the demo's comparison at its end and the verification of a live move both rest on it.
Every value is tagged with its type and carries its length, so that no two values share a spelling.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any


class NotAnItem(ValueError):
    """What was read is not DynamoDB's typed JSON. The message says what was found."""


def canonical_item(item: Mapping[str, Any]) -> bytes:
    """The bytes of a whole item, attributes in order of their names. Raises NotAnItem."""
    return _map(item)


def spelled(item: Mapping[str, Any]) -> dict[str, bytes]:
    """The bytes of each attribute, by its name: absent and NULL are two things. Raises NotAnItem."""
    return {name: canonical_value(value) for name, value in item.items()}


def differing(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """The names of the attributes that two spelled items do not have in common, in their order."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def canonical_value(value: Mapping[str, Any]) -> bytes:
    """The bytes of one typed value, such as {"N": "1.50"}. Raises NotAnItem."""
    try:
        ((kind, raw),) = value.items()
        return kind.encode() + _frame(_CANONICAL[kind](raw))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        if isinstance(error, NotAnItem):
            raise
        raise NotAnItem(f"expected one typed value, found {value!r:.100}") from error


def number(text: str) -> bytes:
    """Sign, digits and exponent without trailing zeros: 1, 1.0 and 1E0 are one number, 0 and -0 too."""
    if not isinstance(text, str):
        raise NotAnItem(f"expected a number as text, found {text!r:.100}")
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):
        raise NotAnItem(f"expected a finite number, found {text!r:.100}")
    plain = "".join(map(str, digits)).lstrip("0")
    stripped = plain.rstrip("0")
    if not stripped:
        return b"0"
    return f"{'-' if sign else ''}{stripped}e{exponent + len(plain) - len(stripped)}".encode()


def _frame(content: bytes) -> bytes:
    return b"%d:%b" % (len(content), content)


def _frames(contents: Iterable[bytes]) -> bytes:
    return b"".join(map(_frame, contents))


def _binary(raw: str | bytes) -> bytes:
    return raw if isinstance(raw, bytes) else b64decode(raw, validate=True)


def _text(raw: str) -> bytes:
    return raw.encode()


def _boolean(raw: bool) -> bytes:  # noqa: FBT001  the value itself
    if not isinstance(raw, bool):
        raise NotAnItem(f"expected true or false, found {raw!r:.100}")
    return b"1" if raw else b"0"


def _null(raw: bool) -> bytes:  # noqa: FBT001
    if raw is not True:
        raise NotAnItem(f"expected NULL to be true, found {raw!r:.100}")
    return b""


def _map(members: Mapping[str, Any]) -> bytes:
    return b"".join(_frame(name.encode()) + canonical_value(members[name]) for name in sorted(members))


def _list(members: list[Any]) -> bytes:
    return b"".join(map(canonical_value, members))


def _set_of(canonical: Callable[[Any], bytes]) -> Callable[[list[Any]], bytes]:
    def spell(members: list[Any]) -> bytes:
        if not isinstance(members, list) or not members:
            raise NotAnItem(f"expected a set with members, found {members!r:.100}")
        # Duplicates stay: DynamoDB never returns any, so a target that does has changed the value.
        return _frames(sorted(map(canonical, members)))

    return spell


_CANONICAL: dict[str, Callable[[Any], bytes]] = {
    "S": _text,
    "N": number,
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "M": _map,
    "L": _list,
    "SS": _set_of(_text),
    "NS": _set_of(number),
    "BS": _set_of(_binary),
}

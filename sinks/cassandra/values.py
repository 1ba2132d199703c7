"""DynamoDB's values as CQL's types, and back: only what comes back exactly is let in.

| CQL type                      | takes                                                                 |
|-------------------------------|-----------------------------------------------------------------------|
| text, ascii                   | S                                                                     |
| uuid                          | S in the lower-case form of RFC 9562                                  |
| timestamp                     | S or N in one form (FORMS), milliseconds, years 1 to 9999             |
| decimal                       | N                                                                     |
| varint, bigint, int           | N without a fraction, within the type's range                         |
| double                        | N that the double's shortest decimal spelling gives back              |
| boolean, blob                 | BOOL, B                                                               |
| frozen<list<T>>               | L whose members all fit T; no NULL among them                         |
| frozen<set<T>>                | SS, NS or BS whose members all fit T                                  |
| frozen<map<text or ascii, T>> | M whose values all fit T                                              |

A collection is always frozen: one cell, so that it is written again without a tombstone or a second copy. What does
not fit is no error here but `Unfit`: whoever asked decides (CassandraOptions: `otherwise`).
"""

import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

from sinks.attributes import Value, canonical, plain
from sinks.cassandra.cells import bigint, decimal, varint

Form = Literal["iso", "iso-milliseconds", "seconds", "milliseconds"]
FORMS: tuple[Form, ...] = get_args(Form)
TEXT_FORMS = ("iso", "iso-milliseconds")
# Of a member of a set and a key of a map (CQL definition, "Limitations"; 65,535 bytes).
MEMBER_BYTES_MAX = 65_535

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)
_TICKS_MIN = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _TICK
_TICKS_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _TICK
_KINDS: dict[type, str] = {
    str: "S",
    Decimal: "N",
    bytes: "B",
    bool: "BOOL",
    type(None): "NULL",
    dict: "M",
    list: "L",
    frozenset: "a set",
}
_length = struct.Struct(">i").pack
_double = struct.Struct(">d").pack
_int = struct.Struct(">i").pack


class Unfit(ValueError):
    """This value would not come back exactly from a column of that type."""


class UnknownType(ValueError):
    """No column of ours can have this type."""


class Codec(NamedTuple):
    """One CQL type as our columns use it.

    `name` is the type as the node tells it, `holds` the Python type of the values that it takes. `encode` raises Unfit;
    `decode` takes what the CQL driver reads from the column.
    """

    name: str
    holds: type
    encode: Callable[[Any], bytes]
    decode: Callable[[Any], Value]


def codec(declared: str, form: Form | None = None) -> Codec:
    """The codec of a type as a person writes it: `text`, `list<text>`, `map<text, frozen<set<decimal>>>`.

    `form` is how a timestamp is written in DynamoDB. Raises UnknownType.
    """
    return _of_type(re.sub(r"\s", "", declared).lower(), form or "iso", declared)


def _of_type(text: str, form: Form, declared: str) -> Codec:
    if text.startswith("frozen<") and text.endswith(">"):
        text = text.removeprefix("frozen<")[:-1]
    if (collection := re.fullmatch(r"(list|set|map)<(.+)>", text)) is not None:
        return _collection(collection[1], collection[2], form, declared)
    if text == "timestamp":
        return _checked(*_timestamp(form))
    if text not in _SCALARS:
        raise UnknownType(
            f"{declared!r} is no type that moveout writes; known are {', '.join(_SCALARS)}, timestamp, "
            "list<…>, set<…>, map<text, …> of them"
        )
    return _SCALARS[text]


def _checked(type_: str, holds: type, encode: Callable[[Any], bytes], decode: Callable[[Any], Value]) -> Codec:
    def exact(value: Value) -> bytes:
        if type(value) is not holds:
            raise Unfit(f"{_KINDS[type(value)]} does not fit {type_}")
        return encode(value)

    return Codec(type_, holds, exact, decode)


def _same(value: Any) -> Value:
    found: Value = value
    return found


def _integer(number: Decimal) -> int:
    # Canonical: what has an exponent has a fraction.
    if number.as_tuple().exponent != 0:
        raise Unfit("a number with a fraction does not fit an integer type")
    return int(number)


def _within(bits: int, pack: Callable[[int], bytes], type_: str) -> Callable[[Decimal], bytes]:
    bound = 1 << (bits - 1)

    def encode(number: Decimal) -> bytes:
        whole = _integer(number)
        if not -bound <= whole < bound:
            raise Unfit(f"a number beyond {bits} bits does not fit {type_}")
        return pack(whole)

    return encode


def _as_double(number: Decimal) -> bytes:
    found = float(number)
    if _of_double(found) != number:
        raise Unfit("a number with more digits than a double gives back does not fit double")
    return _double(found)


def _of_double(found: float) -> Decimal:
    return canonical(repr(found))


def _of_integer(found: int) -> Decimal:
    return Decimal(found)


def _as_ascii(text: str) -> bytes:
    if not text.isascii():
        raise Unfit("text with other than ASCII characters does not fit ascii")
    return text.encode()


def _as_uuid(text: str) -> bytes:
    try:
        found = UUID(text)
    except ValueError as error:
        raise Unfit("text that is no UUID does not fit uuid") from error
    if str(found) != text:
        raise Unfit("a UUID in another spelling than lower-case 8-4-4-4-12 would not come back from uuid")
    return found.bytes


_SCALARS = {
    scalar.name: scalar
    for scalar in (
        _checked("text", str, str.encode, _same),
        _checked("ascii", str, _as_ascii, _same),
        _checked("uuid", str, _as_uuid, str),
        _checked("decimal", Decimal, decimal, canonical),
        _checked("varint", Decimal, lambda number: varint(_integer(number)), _of_integer),
        _checked("bigint", Decimal, _within(64, bigint, "bigint"), _of_integer),
        _checked("int", Decimal, _within(32, _int, "int"), _of_integer),
        _checked("double", Decimal, _as_double, _of_double),
        _checked("boolean", bool, lambda yes: b"\1" if yes else b"\0", _same),
        _checked("blob", bytes, bytes, bytes),
    )
}


def _timestamp(form: Form) -> tuple[str, type, Callable[[Any], bytes], Callable[[Any], Value]]:
    """The parts of the codec of a timestamp that DynamoDB holds in this form."""
    write = _WRITERS[form]

    def encode(value: Any) -> bytes:
        try:
            ticks = _ticks(value, form)
            exact = write(ticks) == value
        except (ValueError, TypeError, OverflowError) as error:
            raise Unfit(f"no time in the form {form!r} does not fit timestamp") from error
        if not exact:
            raise Unfit(f"a time in another spelling than the form {form!r} would not come back from timestamp")
        return bigint(ticks)

    # The driver's datetime went through a float of seconds: the nearest millisecond is the one that was stored.
    decode = lambda moment: write(round((moment.replace(tzinfo=UTC) - _EPOCH) / _TICK))  # noqa: E731
    return "timestamp", str if form in TEXT_FORMS else Decimal, encode, decode


def _ticks(value: Any, form: Form) -> int:
    """Milliseconds since 1970, rounded down. Raises ValueError for a time outside of years 1 to 9999."""
    if form in TEXT_FORMS:
        return (datetime.fromisoformat(value) - _EPOCH) // _TICK
    ticks = int(value) if form == "milliseconds" else int(value * 1000)
    if not _TICKS_MIN <= ticks <= _TICKS_MAX:
        raise ValueError(f"{ticks} ms is outside of years 1 to 9999")
    return ticks


def _iso(ticks: int) -> str:
    """2026-01-31T12:00:00Z, with three digits of a second where it has a fraction."""
    return _iso_milliseconds(ticks) if ticks % 1000 else _iso_milliseconds(ticks)[:-5] + "Z"


def _iso_milliseconds(ticks: int) -> str:
    """2026-01-31T12:00:00.000Z."""
    return (_EPOCH + ticks * _TICK).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_WRITERS: dict[Form, Callable[[int], Value]] = {
    "iso": _iso,
    "iso-milliseconds": _iso_milliseconds,
    "seconds": lambda ticks: canonical(Decimal(ticks).scaleb(-3)),
    "milliseconds": Decimal,
}


def _collection(kind: str, inner: str, form: Form, declared: str) -> Codec:
    match kind:
        case "list":
            return _list(_of_type(inner, form, declared))
        case "set":
            return _set(_of_type(inner, form, declared), declared)
    name, comma, values = inner.partition(",")
    if name not in ("text", "ascii") or not comma:
        raise UnknownType(
            f"{declared!r}: a map is map<text, …> or map<ascii, …>, as the names in DynamoDB's M are text"
        )
    return _map(_SCALARS[name], _of_type(values, form, declared))


def _list(member: Codec) -> Codec:
    def encode(values: list[Value]) -> bytes:
        return _packed([member.encode(value) for value in values], len(values))

    return _checked(f"frozen<list<{member.name}>>", list, encode, lambda found: [member.decode(one) for one in found])


def _set(member: Codec, declared: str) -> Codec:
    if member.holds not in (str, Decimal, bytes):
        raise UnknownType(f"{declared!r}: DynamoDB's sets hold text, numbers or bytes")

    def encode(values: frozenset[Value]) -> bytes:
        return _packed(sorted(_short(member.encode(value)) for value in values), len(values))

    decode = lambda found: frozenset(map(member.decode, found))  # noqa: E731
    return _checked(f"frozen<set<{member.name}>>", frozenset, encode, decode)


def _map(name: Codec, member: Codec) -> Codec:
    def encode(values: dict[str, Value]) -> bytes:
        pairs = sorted((_short(name.encode(key)), member.encode(value)) for key, value in values.items())
        return _packed([part for pair in pairs for part in pair], len(pairs))

    decode = lambda found: {key: member.decode(one) for key, one in found.items()}  # noqa: E731
    return _checked(f"frozen<map<{name.name}, {member.name}>>", dict, encode, decode)


def _short(member: bytes) -> bytes:
    if len(member) > MEMBER_BYTES_MAX:
        raise Unfit(f"a member of more than {MEMBER_BYTES_MAX} bytes does not fit a set or the names of a map")
    return member


def _packed(cells: list[bytes], count: int) -> bytes:
    """A collection as the protocol carries it (native_protocol_v4.spec, section 6): a count, then lengths and bytes."""
    return _length(count) + b"".join(part for cell in cells for part in (_length(len(cell)), cell))


def number_as_text() -> Codec:
    """N as `text` in canonical plain form: for a partition key, whose order means nothing."""
    return _checked("text", Decimal, lambda number: plain(number).encode(), canonical)

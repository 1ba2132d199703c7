"""Values as CQL's native protocol carries them (native_protocol_v4.spec, sections 3 and 6).

A cell is its bytes, None (null: the wire's length -1, which writes a tombstone), or UNSET (length -2: the column is
left as it is, and nothing is written).

Both ways to a node send these same bytes, so what is stored does not depend on the way that was configured.
"""

import enum
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any


class Unset(enum.Enum):
    """The type of UNSET, its only value."""

    UNSET = "not set"


UNSET = Unset.UNSET
Cell = bytes | Unset | None

# A value of the wire (section 3, [value]) begins with its length. Most are short: a look-up costs less than packing.
length_of = struct.Struct(">i").pack
SHORT_BYTES = 1024
LENGTHS = [length_of(length) for length in range(SHORT_BYTES)]
_NULL, _UNSET = length_of(-1), length_of(-2)
count_of = struct.Struct(">H").pack
_WHOLE = length_of(0)  # the scale of a whole number
bigint = struct.Struct(">q").pack


def varint(number: int) -> bytes:
    """Two's complement, as short as it goes."""
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, signed=True)


def decimal(number: Decimal) -> bytes:
    """Scale and unscaled value. A partition key is told apart by these bytes: give it canonical numbers."""
    text = str(number)
    if text.isdigit() and text.isascii():  # a whole number, as most are
        return _WHOLE + varint(int(text))
    sign, digits, exponent = number.as_tuple()
    unscaled = int("".join(map(str, digits)))
    assert isinstance(exponent, int)  # noqa: S101  a number of DynamoDB is finite
    return length_of(-exponent) + varint(-unscaled if sign else unscaled)


ENCODERS: dict[str, Callable[[Any], bytes]] = {"text": str.encode, "decimal": decimal, "blob": bytes, "bigint": bigint}


def packed(cells: Sequence[Cell]) -> bytes:
    """A statement's values as a request carries them: how many, then each one (section 4.1.4, `<n><value_1>...`)."""
    parts = [count_of(len(cells))]
    for cell in cells:
        if cell is None or cell is UNSET:
            parts.append(_NULL if cell is None else _UNSET)
        else:
            parts += (LENGTHS[len(cell)] if len(cell) < SHORT_BYTES else length_of(len(cell)), cell)
    return b"".join(parts)


def unpacked(values: bytes) -> tuple[Cell, ...]:
    """The inverse, for whoever wants to look."""
    cells: list[Cell] = []
    at = 2
    for _ in range(int.from_bytes(values[:2])):
        length = int.from_bytes(values[at : at + 4], signed=True)
        at += 4
        if length < 0:
            cells.append(None if length == -1 else UNSET)
        else:
            cells.append(values[at : at + length])
            at += length
    return tuple(cells)

"""Values as CQL's native protocol carries them (native_protocol_v4.spec, sections 3 and 6).

A cell is its bytes, None (null: the wire's length -1, which writes a tombstone), or UNSET (length -2: the column is
left as it is, and nothing is written).

Both ways to a node send these same bytes, so what is stored does not depend on the way that was configured.
"""

import enum
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any


class Unset(enum.Enum):
    """The type of UNSET, its only value."""

    UNSET = "not set"


UNSET = Unset.UNSET
Cell = bytes | Unset | None

_scale = struct.Struct(">i").pack
_WHOLE = _scale(0)
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
    return _scale(-exponent) + varint(-unscaled if sign else unscaled)


ENCODERS: dict[str, Callable[[Any], bytes]] = {"text": str.encode, "decimal": decimal, "blob": bytes, "bigint": bigint}

"""A number as DynamoDB would have written it."""

import re
from decimal import Decimal, InvalidOperation

from sinks.attributes import UnreadableItem, plain

DIGITS_MAX = 38
# Python's Decimal takes more, 1_000 for instance, or digits of other scripts.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")
# Nothing is to be done to these, and they are nearly all: at most 37 digits, no zeros to take off.
_PLAIN = re.compile(r"0|-?[1-9][0-9]{0,19}|-?(0|[1-9][0-9]{0,19})\.[0-9]{0,16}[1-9]")


def number(text: str) -> str:
    """Plain digits: `1.50` -> `1.5`, `1e3` -> `1000`. Raises UnreadableItem beyond DynamoDB's limits.

    38 significant digits, magnitude 1E-130 to 9.99E+125 (developer guide, "Constraints": Number).
    """
    if _PLAIN.fullmatch(text) is not None:
        return text
    if _NUMBER.fullmatch(text) is None:
        raise UnreadableItem(f"{text!r:.60} is not a number")
    try:
        exact = Decimal(text)
    except InvalidOperation as error:
        raise UnreadableItem(f"{text!r:.60} is not a number that DynamoDB can hold") from error
    if not exact:
        return "0"
    digits = len("".join(map(str, exact.as_tuple().digits)).strip("0"))
    if digits > DIGITS_MAX:
        raise UnreadableItem(f"{text!r:.60} has {digits} significant digits, a number has at most {DIGITS_MAX}")
    if not -130 <= exact.adjusted() <= 125:  # noqa: PLR2004  the guide's own figures
        raise UnreadableItem(f"{text!r:.60} lies outside of 1E-130 to 9.99E+125")
    return plain(exact)

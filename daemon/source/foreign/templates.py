"""A template of a table mapping, `${FirstName},${LastName}`, and the documents that are made of them.

What stands between the columns is copied, what stands in them too: there is no escaping.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from daemon.source.foreign.numbers import number
from daemon.source.foreign.table_definition import READERS, Unsuitable
from sinks.attributes import UnreadableItem, Value

_COLUMN = re.compile(r"\$\{([^}]*)\}")
# The text of each column; None where it is NULL.
Texts = Mapping[str, str | None]
# None: there is nothing, the attribute is left out.
Make = Callable[[Texts], Value]
_READERS: dict[str, Callable[[str], Value]] = {
    "S": str,
    "N": lambda text: Decimal(number(text.strip())),
    "BOOL": READERS["BOOLEAN"][1],
}
SCALARS = {"string": "S", "number": "N", "boolean": "BOOL"}
DOCUMENTS = {"dynamodb-map": "M", "dynamodb-list": "L"}


def columns_of(text: Any) -> list[str]:
    """The columns that a template names."""
    return [name.strip() for name in _COLUMN.findall(text)] if isinstance(text, str) else []


def template(text: Any, columns: Collection[str]) -> Callable[[Texts], str | None]:
    """A function from a row to the text. None when every column of the template is NULL. Raises Unsuitable."""
    if not isinstance(text, str):
        raise Unsuitable(f"a template was expected, '${{Column}}' for instance, found {text!r:.60}")
    pieces = _COLUMN.split(text)  # text and column by turns
    named = [piece.strip() for piece in pieces[1::2]]
    for name in named:
        if name not in columns:
            raise Unsuitable(f"${{{name}}} is no column; known are {', '.join(columns)}")
    return lambda texts: _filled(pieces[::2], [texts[name] for name in named])


def _filled(between: Sequence[str], found: Sequence[str | None]) -> str | None:
    if found and all(text is None for text in found):
        return None
    filled = [text or "" for text in found]
    return between[0] + "".join(text + after for text, after in zip(filled, between[1:], strict=True))


def scalar(kind: str, text: Any, columns: Collection[str]) -> Make:
    """A function from a row to the value, of type S, N or BOOL. Raises Unsuitable; the function UnreadableItem."""
    fill, read = template(text, columns), _READERS[kind]

    def make(texts: Texts) -> Value:
        filled = fill(texts)
        return None if filled is None else read(filled)

    return make


def document(typed: Any, columns: Collection[str]) -> Make:
    """A function from a row to the value of `{"M":{"Home":{"S":"${HomeAddress}"}}}`. Raises as `scalar` does."""
    if not isinstance(typed, dict) or len(typed) != 1:
        raise Unsuitable(f'a document with its one type was expected, {{"S":"${{Column}}"}}, found {typed!r:.80}')
    ((kind, inner),) = typed.items()
    if kind == "M" and isinstance(inner, dict):
        members = {name: document(member, columns) for name, member in inner.items()}
        return lambda texts: _map(members, texts)
    if kind == "L" and isinstance(inner, list):
        elements = [document(element, columns) for element in inner]
        return lambda texts: [value for make in elements if (value := make(texts)) is not None]
    if kind in _READERS:
        return scalar(kind, inner, columns)
    raise Unsuitable(f"{kind!r} is not followed in a document here; known are M, L, {', '.join(_READERS)}")


def _map(members: Mapping[str, Make], texts: Texts) -> dict[str, Value]:
    made: dict[str, Value] = {}
    for name, make in members.items():
        try:
            value = make(texts)
        except UnreadableItem as error:
            raise UnreadableItem(f"{name}: {error}") from error
        if value is not None:
            made[name] = value
    return made

"""A key's attributes taken out of an item by looking for them: what they hold is known, so nothing need be read.

Only for keys of type S. The rule: in an item without a backslash each string is spelled in one way, so the text of the
key stands in it, between quotes; and where that stands only once, there is the attribute, whatever lies around it and
however deep. All else (other spellings, a second place, white space beside it) is read as ever: `attributes.without`.
"""

from collections.abc import Callable

import msgspec

from sinks.attributes import without

Remover = Callable[[bytes, bytes, bytes], bytes]
_BACKSLASH, _COMMA, _OPEN, _CLOSE = b"\\,{}"


def remover_of_one(name: str) -> Callable[[bytes, bytes], bytes]:
    """A function of an item that has this attribute, and its text: `without` it. Raises UnreadableItem, at times."""
    names, head = frozenset({name}), _head(name)
    head_bytes = len(head)

    def removed(json: bytes, text: bytes) -> bytes:
        quoted = b'"%b"' % text
        at = json.find(quoted)
        begin, end = at - head_bytes, at + len(quoted)
        if (
            _BACKSLASH in json
            or json[begin:at] != head
            or json[end] != _CLOSE
            or json.find(quoted, end) >= 0
            or not (json[begin - 1] == _COMMA or begin == 1)
        ):
            return without(json, names)
        return _closed(json[: begin - 1] + json[end + 1 :]) or without(json, names)

    return removed


def remover_of_two(first: str, second: str) -> Remover:
    """As remover_of_one, of two attributes; the texts in their order.

    It runs for every row of a backfill, and each name, call and copy in it is felt there: so it is written out.
    """
    names, head, other_head = frozenset({first, second}), _head(first), _head(second)
    head_bytes, other_bytes = len(head), len(other_head)

    def removed(json: bytes, text: bytes, other: bytes) -> bytes:
        quoted, other_quoted = b'"%b"' % text, b'"%b"' % other
        at, other_at = json.find(quoted), json.find(other_quoted)
        i, m = at - head_bytes, at + len(quoted)
        j, n = other_at - other_bytes, other_at + len(other_quoted)
        if (
            _BACKSLASH in json
            or json[i:at] != head
            or json[j:other_at] != other_head
            or json[m] != _CLOSE
            or json[n] != _CLOSE
            or json.find(quoted, m) >= 0
            or json.find(other_quoted, n) >= 0
            or not (json[i - 1] == _COMMA or i == 1)
            or not (json[j - 1] == _COMMA or j == 1)
        ):
            return without(json, names)
        if i < j:
            left = json[: i - 1] + json[m + 1 : j - 1] + json[n + 1 :]
        else:
            left = json[: j - 1] + json[n + 1 : i - 1] + json[m + 1 :]
        return _closed(left) or without(json, names)

    return removed


def _head(name: str) -> bytes:
    """What stands before the text of an attribute of type S, as DynamoDB spells it."""
    return msgspec.json.encode(name) + b':{"S":'


def _closed(left: bytes) -> bytes | None:
    """The item again where its first attribute was cut off, brace and all; None where white space followed that."""
    return left if left[0] == _OPEN else b"{" + left[1:] if left[0] == _COMMA else None

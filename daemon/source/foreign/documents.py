"""`aws dynamodb scan` wrote one JSON document: `{"Items":[…],"Count":…}`, of many GB perhaps -> its items, one by one.

The document is never held: braces and brackets outside of strings are counted, an item is cut out when its brace
closes, and what stands around the items is kept for the document's own account of itself. Several documents in one
file, pages one after another, are one table.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.lines import BYTE_ORDER_MARK, LINE_BYTES_MAX, Line

# A string, a bracket, or the begin of a string whose end has not been read yet.
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(_STRING + rb'|[{}\[\]]|"', re.DOTALL)
# Within an item: the next bracket, over all strings and all pairs of brackets that hold no others, which most are.
_FLAT = rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+"
_WITHIN = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb"|[{\[]" + _FLAT + rb"[}\]])*+([{}\[\]])", re.DOTALL)
_OPENING = (b"{", b"[")


class _Envelope(msgspec.Struct):
    """What a document says of itself."""

    Items: list[Any]
    Count: int | None = None
    ScannedCount: int | None = None
    NextToken: Any = None
    LastEvaluatedKey: Any = None


def items(blocks: Iterator[bytes]) -> Iterator[Line]:
    """Each item with the line on which it begins. Raises DamagedFile, at the end also for half a table."""
    documents = _Documents()
    for block in blocks:
        yield from documents.feed(block)
    documents.close()


class _Documents:
    def __init__(self) -> None:
        self._buffer = b""
        self._kept = 0  # before it, everything was used
        self._at = 0  # before it, every token was seen
        self._line = 1  # of `_kept`
        self._depth = 0
        self._inside = 0  # the depth at which items begin; 0: not among items
        self._name = b""
        self._around = b""
        self._items = 0
        self._last: _Envelope | None = None

    def feed(self, block: bytes) -> Iterator[Line]:
        first = not self._buffer and not self._around and self._last is None
        self._buffer = self._buffer[self._kept :] + (block.removeprefix(BYTE_ORDER_MARK) if first else block)
        self._at, self._kept = self._at - self._kept, 0
        while (token := self._next()) is not None:
            item = self._token(token, self._at - len(token), self._at)
            if item is not None:
                yield item
        if len(self._buffer) - self._kept > LINE_BYTES_MAX:
            raise DamagedFile(
                f"line {self._line}: more than {LINE_BYTES_MAX} bytes without an item's end; no item is so large"
            )

    def _next(self) -> bytes | None:
        """The token that ends at `_at` now; None when its end has not been read yet."""
        if 0 < self._inside < self._depth:
            found = _WITHIN.match(self._buffer, self._at)
            token = found and found.group(1)
        else:
            found = _TOKEN.search(self._buffer, self._at)
            token = found and found.group()
        if found is None or token == b'"':
            return None
        self._at = found.end()
        return token

    def _token(self, token: bytes, start: int, end: int) -> Line | None:
        among = self._inside and self._depth == self._inside
        if token in _OPENING:
            self._opened(token, start, end, among=bool(among))
            return None
        if token in (b"}", b"]"):
            return self._closed(start, end)
        if among:
            raise DamagedFile(f"line {self._line}: an item was expected, found {token[:40]!r}")
        if self._depth == 1:
            self._name = token
        return None

    def _opened(self, token: bytes, start: int, end: int, *, among: bool) -> None:
        if among:
            self._between(start, b"," if self._items else b"")
            if token != b"{":
                raise DamagedFile(f"line {self._line}: an item was expected, found a list")
        named = self._depth == 1 and self._name == b'"Items"'
        self._depth += 1
        if token == b"[" and not self._inside and (self._depth == 1 or named):
            self._around += self._take(end)
            self._inside = self._depth

    def _closed(self, start: int, end: int) -> Line | None:
        self._depth -= 1
        if self._depth < 0:
            raise DamagedFile(f"line {self._line}: a bracket closes that was never opened: copy the file again")
        if self._inside and self._depth == self._inside:
            self._items += 1
            return self._line, self._take(end)
        if self._inside and self._depth < self._inside:
            self._between(start, b"")
            self._inside = 0
        if self._depth == 0:
            self._around += self._take(end)
            self._document()
        return None

    def _between(self, start: int, wanted: bytes) -> None:
        """Nothing but one comma stands between two items."""
        found = self._take(start).strip()
        if found != wanted:
            raise DamagedFile(f"line {self._line}: items and commas between them were expected, found {found[:40]!r}")

    def _take(self, to: int) -> bytes:
        taken = self._buffer[self._kept : to]
        self._kept = to
        # An item is told by the line on which it begins.
        self._line += taken.count(b"\n")
        return taken

    def _document(self) -> None:
        around, self._around = self._around, b""
        count, self._items, self._name = self._items, 0, b""
        if around.lstrip().startswith(b"["):
            self._last = _Envelope([])
            return
        try:
            self._last = msgspec.json.decode(around, type=_Envelope)
        except msgspec.MsgspecError as error:
            raise DamagedFile(
                f'line {self._line}: this is no answer of `aws dynamodb scan`, {{"Items":[…],"Count":…}}: {error}'
            ) from error
        _account(self._last, count)

    def close(self) -> None:
        """The file ends here."""
        rest = self._buffer[self._kept :].strip()
        if self._depth:
            raise DamagedFile(f"line {self._line}: the document ends in the middle: it was cut short, copy it again")
        if rest:
            raise DamagedFile(f"line {self._line}: nothing was expected behind the document, found {rest[:40]!r}")
        more = self._last and next((n for n in ("NextToken", "LastEvaluatedKey") if getattr(self._last, n)), None)
        if more:
            raise DamagedFile(
                f"has {more} at its end, so the table goes on behind it: scan again without --max-items and "
                "--no-paginate, or join all pages into one file"
            )


def _account(said: _Envelope, count: int) -> None:
    paged = said.NextToken or said.LastEvaluatedKey
    if said.ScannedCount is not None and said.Count is not None and said.ScannedCount != said.Count:
        raise DamagedFile(
            f"says that {said.Count} of {said.ScannedCount} items passed a filter: it is not the whole table; "
            "scan again without --filter-expression"
        )
    if said.Count is not None and said.Count != count and not paged:
        raise DamagedFile(
            f"says Count {said.Count}, but holds {count} items: it was altered or cut short, copy it again"
        )

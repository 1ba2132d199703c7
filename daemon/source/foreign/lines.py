"""Plain bytes -> lines, with their numbers."""

from collections.abc import Iterator

from daemon.source.foreign.damage import DamagedFile

# An item has 400 KB; escaped in JSON, up to six times that.
LINE_BYTES_MAX = 8 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Line = tuple[int, bytes]


def lines(blocks: Iterator[bytes], delimiter: bytes = b"\n") -> Iterator[Line]:
    """Each line, counted from 1, without its end; split on these bytes only. Raises DamagedFile.

    str.splitlines() would split inside strings too, on U+2028 for instance.
    """
    number, tail = 0, b""
    for block in blocks:
        if not number and not tail:
            block = block.removeprefix(BYTE_ORDER_MARK)  # noqa: PLW2901  a mark of Windows, before the first line
        *whole, tail = (tail + block).split(delimiter)
        for line in whole:
            number += 1
            yield number, line
        if len(tail) > LINE_BYTES_MAX:
            raise DamagedFile(f"line {number + 1} is longer than {LINE_BYTES_MAX} bytes: this is no file of items")
    if tail:
        yield number + 1, tail


def filled(numbered: Iterator[Line]) -> Iterator[Line]:
    """The lines that hold something."""
    return ((number, line) for number, line in numbered if line.strip())

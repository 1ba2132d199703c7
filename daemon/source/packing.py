"""Packed bytes -> plain bytes: gzip, zstd or neither, by their first bytes and never by a name.

Streaming: memory is bounded by the block, and by zstd's window (128 MiB at most, 8 MiB up to its level 19).
"""

from collections.abc import Generator, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from isal import igzip

BLOCK_BYTES = 256 * 1024
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Of RFC 8878: the upper 28 bits of a frame to be skipped; the kind of block that is one byte, repeated.
SKIPPABLE, REPEATED_BYTE = 0x184D2A5, 1
# S3 is away; the bytes are as good as they were. botocore's ReadTimeoutError is an OSError as well.
AWAY = (ClientError, BotoCoreError)


class Damaged(Exception):
    """The bytes cannot be unpacked to their end; the message says why, and whoever knows their name adds it."""


def unpacked(body: Any) -> Iterator[bytes]:
    """The plain bytes of a body (`read` and `readinto`, as boto3's have), in blocks of 256 KiB at most.

    Members of gzip and frames of zstd may follow each other. Raises Damaged for what breaks off or is followed by
    something else, and ClientError or BotoCoreError when S3 is away.
    """
    packed = _Body(body)
    try:
        if packed.magic.startswith(GZIP_MAGIC):
            yield from _gunzipped(packed)
        elif packed.magic == ZSTD_MAGIC:
            yield from _zstd_unpacked(packed)
        else:
            yield from iter(lambda: packed.read(BLOCK_BYTES), b"")
    except AWAY:
        raise
    except (OSError, EOFError, ValueError) as error:
        raise Damaged(str(error)) from error


class _Body:
    """A body of which the first bytes were looked at."""

    def __init__(self, body: Any) -> None:
        self._body = body
        head = b""
        while len(head) < len(ZSTD_MAGIC) and (more := body.read(len(ZSTD_MAGIC) - len(head))):
            head += more
        self.magic = self._head = head

    def read(self, size: int) -> bytes:
        """At most `size` bytes, which are four or more; none at the end."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return bytes(self._body.read(size))

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer, or a part of it; how many bytes, none at the end."""
        if self._head:
            size = min(len(buffer), len(self._head))
            buffer[:size], self._head = self._head[:size], self._head[size:]
            return size
        return int(self._body.readinto(buffer))


def _gunzipped(packed: _Body) -> Iterator[bytes]:
    with igzip.IGzipFile(fileobj=packed) as plain:  # type: ignore[no-untyped-call]
        yield from iter(lambda: plain.read(BLOCK_BYTES), b"")


def _zstd_unpacked(packed: _Body) -> Iterator[bytes]:
    # Imported here: exports come in gzip, and a worker's memory is counted in MiB.
    import zstandard

    followed: Any = _Followed(packed)  # it asks for an IO[bytes] and uses `read`
    reader = zstandard.ZstdDecompressor().stream_reader(followed, read_size=BLOCK_BYTES, read_across_frames=True)
    try:
        yield from iter(lambda: reader.read(BLOCK_BYTES), b"")
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from error


class _Followed:
    """Packed bytes of which it is known where their frames end.

    Measured with zstandard 0.25: its reader takes a frame that breaks off for the end of the file.
    """

    def __init__(self, packed: _Body) -> None:
        self._packed = packed
        self._walk = self._frames()
        self._held = b""
        self._between = True
        self._wanted = next(self._walk)

    def read(self, size: int) -> bytes:
        """As _Body.read; EOFError when the end is not the end of a frame."""
        found = self._packed.read(size)
        held, at = self._held + found, 0
        while len(held) - at >= self._wanted:
            at, taken = at + self._wanted, held[at : at + self._wanted]
            self._wanted = self._walk.send(taken)
        self._held = held[at:]
        if not found and (self._held or not self._between):
            raise EOFError("it breaks off in the middle of a zstd frame")
        return found

    def _frames(self) -> Generator[int, bytes, None]:
        """Asks for so many bytes, then for so many more, through frame after frame (RFC 8878, 3.1)."""
        while True:
            self._between = True
            magic = int.from_bytes((yield 4), "little")
            self._between = False
            if magic >> 4 == SKIPPABLE:
                yield from _over(int.from_bytes((yield 4), "little"))
                continue
            described = (yield 1)[0]
            single, checked = described >> 5 & 1, described >> 2 & 1
            content_size = (single, 2, 4, 8)[described >> 6]
            yield from _over((1 - single) + (0, 1, 2, 4)[described & 3] + content_size)
            last = 0
            while not last:
                block = int.from_bytes((yield 3), "little")
                last, kind = block & 1, block >> 1 & 3
                yield from _over(1 if kind == REPEATED_BYTE else block >> 3)
            yield from _over(4 * checked)


def _over(size: int) -> Generator[int, bytes, None]:
    """Asks for so many bytes, never for many at once."""
    while size:
        step = min(size, BLOCK_BYTES)
        yield step
        size -= step

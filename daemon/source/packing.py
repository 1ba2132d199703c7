"""Packed bytes -> plain bytes: gzip, zstd or neither, by their first bytes and never by a name.

Streaming: memory is bounded by the block, and by zstd's window (128 MiB at most, 8 MiB up to its level 19).
"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from isal import igzip

BLOCK_BYTES = 256 * 1024
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# S3 is away; the bytes are as good as they were. botocore's ReadTimeoutError is an OSError as well.
AWAY = (ClientError, BotoCoreError)
# What our own last frame holds. Measured with zstandard 0.25: its reader takes a frame that breaks off for the end.
SEAL = b"moveout: the end"


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


class _Sealed:
    """Packed bytes, and one frame more that holds the seal: it comes out whole only behind whole frames."""

    def __init__(self, packed: _Body, frame: bytes) -> None:
        self._packed = packed
        self._frame = frame

    def read(self, size: int) -> bytes:
        """As _Body.read."""
        found = self._packed.read(size)
        if not found:
            found, self._frame = self._frame, b""
        return found


def _zstd_unpacked(packed: _Body) -> Iterator[bytes]:
    # Imported here: exports come in gzip, and a worker's memory is counted in MiB.
    import zstandard

    frame = zstandard.ZstdCompressor(write_checksum=True).compress(SEAL)
    sealed: Any = _Sealed(packed, frame)  # it asks for an IO[bytes] and uses `read`
    reader = zstandard.ZstdDecompressor().stream_reader(sealed, read_size=BLOCK_BYTES, read_across_frames=True)
    last = b""
    try:
        while block := reader.read(BLOCK_BYTES):
            block = last + block
            last = block[-len(SEAL) :]
            yield block[: -len(SEAL)]
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from error
    if last != SEAL:
        raise Damaged("it breaks off in the middle of a zstd frame")

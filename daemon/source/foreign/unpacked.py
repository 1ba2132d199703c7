"""A stored file -> its plain bytes: what it is packed with is told by its first bytes, not by its name."""

import bz2
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

from daemon.source.foreign.damage import DamagedFile

BLOCK_BYTES = 64 * 1024
# Hadoop's codecs, and zstd. Each of these objects has decompress(), eof and unused_data.
_PACKED: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\x28\xb5\x2f\xfd": ("zstd", lambda: zstandard.ZstdDecompressor().decompressobj()),
}


def unpacked(body: Any) -> Iterator[bytes]:
    """Blocks of plain bytes; memory is bounded by the block. Raises DamagedFile, and what `body.read` raises."""
    blocks = iter(lambda: body.read(BLOCK_BYTES), b"")
    head = next(blocks, b"")
    for magic, (packing, make) in _PACKED.items():
        if head.startswith(magic):
            yield from _members(packing, make, head, blocks)
            return
    if head:
        yield head
        yield from blocks


def _members(packing: str, make: Callable[[], Any], block: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Concatenated archives are one file, as gzip itself takes them."""
    unpacker = make()
    while block:
        try:
            plain = unpacker.decompress(block)
        except (zlib.error, zstandard.ZstdError, OSError, ValueError) as error:
            raise DamagedFile(f"cannot be unpacked as {packing} ({error}): copy it again") from error
        if plain:
            yield plain
        rest = unpacker.unused_data.lstrip(b"\0") if unpacker.eof else b""
        block = rest or next(blocks, b"")
        if block and unpacker.eof:
            unpacker = make()
    if not unpacker.eof:
        raise DamagedFile(f"ends in the middle of its {packing}: it was cut short, copy it again")

import gzip
import io

import pytest
import zstandard

from daemon.source.packing import BLOCK_BYTES, Damaged, unpacked

TEXT = b"".join(b'{"Item":{"id":{"S":"%d"}}}\n' % number for number in range(30_000))


def zstd(body, **options):
    return zstandard.ZstdCompressor(**options).compress(body)


GZIP, ZSTD = gzip.compress(TEXT, mtime=0), zstd(TEXT)
PACKED = {
    "gzip": GZIP,
    "gzip in members": gzip.compress(TEXT[:99], mtime=0) + gzip.compress(b"") + gzip.compress(TEXT[99:], mtime=0),
    "zstd": ZSTD,
    "zstd in frames": zstd(TEXT[:99]) + zstd(b"") + zstd(TEXT[99:], write_checksum=True),
    "zstd with a frame to skip": zstd(TEXT[:99]) + b"\x53\x2a\x4d\x18\x05\0\0\0notes" + zstd(TEXT[99:]),
    "zstd without its size": zstd(TEXT, write_content_size=False),
    "zstd of one byte": zstd(b"") + zstd(bytes(1 << 20)) + zstd(TEXT),
    "plain": TEXT,
}


class Slices:
    """A body that comes a few bytes at a time, as from a bad network."""

    def __init__(self, content, size):
        self._content = io.BytesIO(content)
        self._size = size

    def read(self, size):
        return self._content.read(min(size, self._size))

    def readinto(self, buffer):
        return self._content.readinto(memoryview(buffer)[: self._size])


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20])
def test_what_was_packed_comes_out_whatever_it_is_called_and_however_it_comes(packed, size):
    if size > 3 or len(packed) < 200_000:
        assert b"".join(unpacked(Slices(packed, size))).lstrip(b"\0") == TEXT


def test_nothing_is_nothing():
    assert list(unpacked(io.BytesIO(b""))) == []


@pytest.mark.parametrize("packed", [GZIP, ZSTD, zstd(TEXT, write_checksum=True), zstd(TEXT) + zstd(TEXT)])
@pytest.mark.parametrize("kept", [0.3, 0.9, -9, -1])
def test_a_file_that_breaks_off_is_damaged_and_never_shorter(packed, kept):
    with pytest.raises(Damaged):
        list(unpacked(io.BytesIO(packed[: int(kept * len(packed)) if kept > 0 else kept])))


def test_a_frame_of_zstd_cut_anywhere_is_damaged_before_any_of_its_bytes_is_guessed():
    small = zstd(b"two\nlines", write_content_size=False) + zstd(TEXT[:400])
    whole = {len(zstd(b"two\nlines", write_content_size=False)), len(small)}
    for kept in range(4, len(small) + 1):
        if kept in whole:
            list(unpacked(io.BytesIO(small[:kept])))
        else:
            with pytest.raises(Damaged, match="breaks off"):
                list(unpacked(io.BytesIO(small[:kept])))


@pytest.mark.parametrize("packed", [GZIP, ZSTD])
@pytest.mark.parametrize("behind", [b"x", b"garbage behind the end", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_garbage_behind_the_end_is_damage(packed, behind):
    with pytest.raises(Damaged):
        list(unpacked(io.BytesIO(packed + behind)))


@pytest.mark.parametrize("packed", [GZIP, zstd(TEXT, write_checksum=True)])
def test_a_bit_that_fell_over_is_damage(packed):
    spoiled = bytearray(packed)
    spoiled[len(spoiled) // 2] ^= 4
    with pytest.raises(Damaged):
        list(unpacked(io.BytesIO(bytes(spoiled))))


@pytest.mark.parametrize("pack", [lambda body: gzip.compress(body, mtime=0), zstd])
def test_what_packs_well_is_unpacked_block_by_block(pack):
    # 64 MiB in a few KB: whoever unpacks all that one read brings needs 64 MiB.
    sizes = [len(block) for block in unpacked(io.BytesIO(pack(bytes(64 << 20))))]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= BLOCK_BYTES

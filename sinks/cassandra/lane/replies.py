"""Replies out of a stream of bytes, however it is cut into pieces."""

import struct
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from sinks.cassandra.lane.frames import HEAD_BYTES, REPLY, RESULT, VOID, Malformed, kind_of, without_extras

BODY_BYTES_MAX = 256 * 1024 * 1024  # section 2.5
# What nearly every reply to a write is, but for its stream: no flags, RESULT, four bytes of body, kind VOID.
_DONE = struct.pack(">BBBII", REPLY, 0, RESULT, 4, VOID)
DONE_BYTES = len(_DONE) + 2
_streams = struct.Struct(">2xH9x").iter_unpack
_head = struct.Struct(">BBHBI").unpack_from


class Reply(NamedTuple):
    """A whole one that is not just a write done; `body` is without warnings."""

    stream: int
    opcode: int
    body: bytes


class Reader:
    """Takes what a socket gave, tells what is whole, keeps the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def taken(self, piece: bytes) -> tuple[Sequence[int], Sequence[Reply]]:
        """The stream numbers of the writes that are done, and all other replies. Raises Malformed."""
        data = self._rest + piece if self._rest else piece
        count = len(data) // DONE_BYTES
        end = count * DONE_BYTES
        if _all_done(data[:end], count):
            return self._walked(data, end, list(chain.from_iterable(_streams(data[:end]))))
        return self._walked(data, 0, [])

    def _walked(self, data: bytes, at: int, done: list[int]) -> tuple[Sequence[int], Sequence[Reply]]:
        """One by one, from there."""
        others = []
        while len(data) - at >= HEAD_BYTES:
            version, flags, stream, opcode, length = _head(data, at)
            if version != REPLY or length > BODY_BYTES_MAX:
                raise Malformed(f"a reply of version {version:#x} and {length} bytes: not what a CQL v4 node says")
            end = at + HEAD_BYTES + length
            if len(data) < end:
                break
            body = without_extras(flags, data[at + HEAD_BYTES : end])
            at = end
            if opcode == RESULT and kind_of(body) == VOID:
                done.append(stream)
            else:
                others.append(Reply(stream, opcode, body))
        self._rest = data[at:]
        return done, others


def _all_done(data: bytes, count: int) -> bool:
    """True for so many writes that are done: what is left without their streams is the same for each."""
    same = bytearray(data)
    del same[2::DONE_BYTES]
    del same[2 :: DONE_BYTES - 1]
    return same == _DONE * count

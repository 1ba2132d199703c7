"""Replies out of a stream of bytes, however it is cut into pieces."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from sinks.cassandra.lane.frames import HEAD_BYTES, REPLY, RESULT, VOID, Malformed, kind_of, without_extras

BODY_BYTES_MAX = 256 * 1024 * 1024  # section 2.5
DONE_BYTES = 13
# What nearly every reply to a write is: no flags, RESULT, four bytes of body, kind VOID.
_dones = struct.Struct(">HHBQ").iter_unpack
_DONE_HEAD, _DONE_REST = REPLY << 8, (4 << 32) | VOID
_head = struct.Struct(">BBHBI").unpack_from


class Reply(NamedTuple):
    """A whole one that is not just a write done; `body` is without warnings."""

    stream: int
    opcode: int
    body: bytes


class Reader:
    """Takes what a socket gave, yields what is whole, keeps the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def replies(self, piece: bytes) -> Iterator[int | Reply]:
        """The bare stream number of each write that is done, and a Reply for all else. Raises Malformed."""
        data = self._rest + piece if self._rest else piece
        at, self._rest = 0, b""
        whole = len(data) - len(data) % DONE_BYTES
        # While they are all of that kind, one begins every 13 bytes: the first other one ends that.
        for head, stream, opcode, rest in _dones(memoryview(data)[:whole]):
            if head != _DONE_HEAD or opcode != RESULT or rest != _DONE_REST:
                break
            at += DONE_BYTES
            yield stream
        yield from self._walked(data, at)

    def _walked(self, data: bytes, at: int) -> Iterator[int | Reply]:
        while len(data) - at >= HEAD_BYTES:
            version, flags, stream, opcode, length = _head(data, at)
            if version != REPLY or length > BODY_BYTES_MAX:
                raise Malformed(f"a reply of version {version:#x} and {length} bytes: not what a CQL v4 node says")
            end = at + HEAD_BYTES + length
            if len(data) < end:
                break
            body = without_extras(flags, data[at + HEAD_BYTES : end])
            done = opcode == RESULT and kind_of(body) == VOID
            at = end
            yield stream if done else Reply(stream, opcode, body)
        self._rest = data[at:]

"""CQL's native protocol v4, as much of it as writing needs (native_protocol_v4.spec; its sections are named).

v4 because ScyllaDB speaks it and Cassandra 3.11 to 5 take it.
"""

import struct
from collections.abc import Mapping, Sequence

from sinks.cassandra.layout import Mutation

# Opcodes (2.4).
ERROR, STARTUP, READY, AUTHENTICATE, OPTIONS, SUPPORTED = 0x00, 0x01, 0x02, 0x03, 0x05, 0x06
RESULT, PREPARE, EXECUTE, BATCH, AUTH_RESPONSE, AUTH_SUCCESS = 0x08, 0x09, 0x0A, 0x0D, 0x0F, 0x10
# Kinds of a RESULT (4.2.5).
VOID, PREPARED = 1, 4
REQUEST, REPLY = 0x04, 0x84
_PLAIN = REQUEST << 8  # the version, and no flags
TRACED, WITH_PAYLOAD, WITH_WARNINGS = 0x02, 0x04, 0x08
HEAD_BYTES = 9
STREAMS = 32768
UNLOGGED, BY_ID, WITH_VALUES = 1, 1, 1
STATEMENTS_MAX = 65535

_head = struct.Struct(">BBHBI").pack
_int, _short = struct.Struct(">i").pack, struct.Struct(">H").pack


class Malformed(Exception):
    """These bytes are no answer of the protocol."""


def frame(opcode: int, body: bytes, stream: int = 0) -> bytes:
    """One request."""
    return _head(REQUEST, 0, stream, opcode, len(body)) + body


def startup() -> bytes:
    """Without THROW_ON_OVERLOAD a Cassandra node that is overloaded answers late and says nothing (facts: Errors)."""
    options = {"CQL_VERSION": "3.0.0", "THROW_ON_OVERLOAD": "1", "DRIVER_NAME": "moveout"}
    return frame(STARTUP, _short(len(options)) + b"".join(_text(part) for pair in options.items() for part in pair))


def plain_credentials(username: str, password: str) -> bytes:
    """SASL PLAIN, as PasswordAuthenticator wants it: no authorization id, name, password."""
    token = b"\0" + username.encode() + b"\0" + password.encode()
    return frame(AUTH_RESPONSE, _int(len(token)) + token)


def prepare(statement: str, stream: int = 0) -> bytes:
    """Asks for the id of a statement."""
    text = statement.encode()
    return frame(PREPARE, _int(len(text)) + text, stream)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _short(len(encoded)) + encoded


class Packer:
    """Frames of prepared statements; `ids` are what the node has given, by the statements' places."""

    def __init__(self, ids: Sequence[bytes], consistency: int) -> None:
        named = [_short(len(own)) + own for own in ids]
        asked = _short(consistency)
        self._one = [_Execute(prefix + asked + bytes([WITH_VALUES])) for prefix in named]
        self._many = [bytes([BY_ID]) + prefix for prefix in named]
        self._tail = asked + b"\0"

    def request(self, mutations: Sequence[Mutation], stream: int) -> tuple[bytes, bytes]:
        """An EXECUTE of a lone step, else an UNLOGGED BATCH of all of them (4.1.6, 4.1.7): a head, and what it is of.

        Raises ValueError.
        """
        steps = mutations[0].steps
        if len(steps) == 1 and len(mutations) == 1:
            known, values = self._one[steps[0].statement], steps[0].values
            return known.pack(_PLAIN, stream, EXECUTE, known.size + len(values), known.prefix), values
        body = self._batch(mutations)
        return _head(REQUEST, 0, stream, BATCH, len(body)), body

    def _batch(self, mutations: Sequence[Mutation]) -> bytes:
        steps = [step for mutation in mutations for step in mutation.steps]
        if len(steps) > STATEMENTS_MAX:
            raise ValueError(f"{len(steps)} statements are more than a batch can have ({STATEMENTS_MAX})")
        parts = [bytes([UNLOGGED]), _short(len(steps))]
        for step in steps:
            parts += (self._many[step.statement], step.values)
        parts.append(self._tail)
        return b"".join(parts)


class _Execute:
    """What all EXECUTEs of a statement begin with; `pack` makes it and the frame's head in one go."""

    __slots__ = ("pack", "prefix", "size")

    def __init__(self, prefix: bytes) -> None:
        self.prefix, self.size = prefix, len(prefix)
        self.pack = struct.Struct(f">HHBI{len(prefix)}s").pack


def without_extras(flags: int, body: bytes) -> bytes:
    """The body behind a trace id, warnings and a payload (2.2): a write that is done may carry warnings.

    Raises Malformed.
    """
    at = 16 if flags & TRACED else 0
    try:
        if flags & WITH_WARNINGS:
            (count,) = struct.unpack_from(">H", body, at)
            at += 2
            for _ in range(count):
                at += 2 + struct.unpack_from(">H", body, at)[0]
        if flags & WITH_PAYLOAD:
            (count,) = struct.unpack_from(">H", body, at)
            at += 2
            for _ in range(count):
                at += 2 + struct.unpack_from(">H", body, at)[0]
                at += 4 + max(0, struct.unpack_from(">i", body, at)[0])
    except struct.error as error:
        raise Malformed("a reply ends within its warnings") from error
    return body[at:]


def kind_of(body: bytes) -> int:
    """Of a RESULT, warnings taken off."""
    if len(body) < 4:  # noqa: PLR2004
        raise Malformed(f"a result of {len(body)} bytes")
    return int.from_bytes(body[:4])


def prepared_id(body: bytes) -> bytes:
    """Of a RESULT of kind PREPARED. Raises Malformed."""
    if kind_of(body) != PREPARED:
        raise Malformed(f"a result of kind {kind_of(body)} where a prepared statement was expected")
    return _counted(body, 4)


def error_of(body: bytes) -> tuple[int, str]:
    """Code and message of an ERROR (9). Raises Malformed."""
    if len(body) < 4:  # noqa: PLR2004
        raise Malformed(f"an error of {len(body)} bytes")
    return int.from_bytes(body[:4]), _counted(body, 4).decode(errors="replace")


def _counted(body: bytes, at: int) -> bytes:
    end = at + 2 + int.from_bytes(body[at : at + 2])
    if len(body) < end:
        raise Malformed("a reply is shorter than it says")
    return body[at + 2 : end]


def supported(body: bytes) -> Mapping[str, Sequence[str]]:
    """What a node tells of itself (4.2.4): a multimap of strings. Raises Malformed."""
    found: dict[str, list[str]] = {}
    at = 2
    for _ in range(int.from_bytes(body[:2])):
        name = _counted(body, at)
        at += 2 + len(name)
        count = int.from_bytes(body[at : at + 2])
        at += 2
        values = []
        for _ in range(count):
            values.append(_counted(body, at))
            at += 2 + len(values[-1])
        found[name.decode()] = [value.decode() for value in values]
    return found

"""A connection that is ready for rows: opened, encrypted, authenticated, prepared. Blocking, bounded in time."""

import itertools
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cassandra import AuthenticationFailed

from sinks.cassandra.driver import ConnectionException
from sinks.cassandra.lane import frames
from sinks.cassandra.lane.refusals import refusal
from sinks.cassandra.lane.ring import Node, Sharding, sharding

IDLE_SECONDS, PROBE_SECONDS, PROBES = 15, 5, 3
# The source port says which core of a ScyllaDB node is meant: port modulo cores. Below 49152 are others' ports.
SOURCE_PORTS = range(49152, 65536)
SOURCE_PORT_TRIES = 20


class Access(NamedTuple):
    """What every connection needs. `credentials` are (username, password); `tls` checks a node's name by itself.

    `server_name` is the name that all certificates are of, where it is not the node's address.
    """

    statements: Sequence[str]
    consistency: int
    timeout_seconds: float
    credentials: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class Line(NamedTuple):
    """A connection that is ready, non-blocking from here on."""

    node: Node
    socket: socket.socket
    ids: list[bytes]
    sharding: Sharding | None


def dial(node: Node, access: Access, shard: int | None = None, known: Sharding | None = None) -> Line:
    """Connect to a node, to this core of it where it is of ScyllaDB and `known`.

    Raises OSError, the driver's exceptions, or Malformed, within about `timeout_seconds`.
    """
    deadline = time.monotonic() + access.timeout_seconds
    connection = _connected(node, access, shard, known)
    try:
        talk = _Talk(connection, deadline)
        told = frames.supported(talk.ask(frames.frame(frames.OPTIONS, b""), frames.SUPPORTED))
        talk.begin(access)
        ids = [frames.prepared_id(talk.ask(frames.prepare(text), frames.RESULT)) for text in access.statements]
        connection.settimeout(0)
        return Line(node, connection, ids, sharding(told, encrypted=access.tls is not None))
    except BaseException:
        connection.close()
        raise


def _connected(node: Node, access: Access, shard: int | None, known: Sharding | None) -> socket.socket:
    if shard is None or known is None or known.port is None:
        made = socket.create_connection(node, timeout=access.timeout_seconds)
    else:
        made = _to_shard(Node(node.address, known.port), access.timeout_seconds, shard, known.cores)
    try:
        _keep_alive(made, access.timeout_seconds)
        name = access.server_name or node.address
        return made if access.tls is None else access.tls.wrap_socket(made, server_hostname=name)
    except BaseException:
        made.close()
        raise


def _to_shard(node: Node, timeout_seconds: float, shard: int, count: int) -> socket.socket:
    for port in itertools.islice(_source_ports(shard, count), SOURCE_PORT_TRIES):
        try:
            return socket.create_connection(node, timeout=timeout_seconds, source_address=("", port))
        except OSError as error:
            failed = error  # that port is taken, most of the time
    raise failed


def _source_ports(shard: int, count: int) -> Iterator[int]:
    """Of this core, from a place that differs from one connection to the next."""
    begin = SOURCE_PORTS.start + time.monotonic_ns() % (len(SOURCE_PORTS) // 2)
    return (port for port in range(begin, SOURCE_PORTS.stop) if port % count == shard)


def _keep_alive(made: socket.socket, timeout_seconds: float) -> None:
    """A peer that is gone without a word is noticed while nothing is sent, and by what is sent."""
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    settings = {"KEEPIDLE": IDLE_SECONDS, "KEEPINTVL": PROBE_SECONDS, "KEEPCNT": PROBES}
    settings["USER_TIMEOUT"] = int(timeout_seconds * 1000)
    for name, value in settings.items():
        if hasattr(socket, f"TCP_{name}"):  # Linux has them all
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"), value)


class _Talk:
    """One question at a time."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline

    def ask(self, request: bytes, expected: int) -> bytes:
        """The body of the answer. Raises what an ERROR means, or ConnectionException for another opcode."""
        opcode, body = self._answer(request)
        if opcode != expected:
            raise ConnectionException(f"the node answered opcode {opcode:#x} where {expected:#x} was expected")
        return body

    def begin(self, access: Access) -> None:
        """STARTUP, and a name and password where the node asks for them. Raises AuthenticationFailed."""
        opcode, _ = self._answer(frames.startup())
        if opcode == frames.READY:
            return
        if opcode != frames.AUTHENTICATE:
            raise ConnectionException(f"the node answered opcode {opcode:#x} to STARTUP")
        if access.credentials is None:
            raise AuthenticationFailed("the node asks for a user name and a password: set target.username")
        self.ask(frames.plain_credentials(*access.credentials), frames.AUTH_SUCCESS)

    def _answer(self, request: bytes) -> tuple[int, bytes]:
        self._patience()
        self._connection.sendall(request)
        head = self._read(frames.HEAD_BYTES)
        if head[0] != frames.REPLY:
            raise frames.Malformed(f"the answer begins with {head[:1]!r}: no node that speaks CQL v4")
        body = frames.without_extras(head[1], self._read(int.from_bytes(head[5:])))
        if head[4] == frames.ERROR:
            raise refusal(body)
        return head[4], body

    def _read(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            self._patience()
            piece = self._connection.recv(size - len(got))
            if not piece:
                raise ConnectionException("the node closed the connection while it was being opened")
            got += piece
        return bytes(got)

    def _patience(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the node did not answer in time while the connection was being opened")
        self._connection.settimeout(left)

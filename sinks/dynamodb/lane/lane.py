"""One thread, some keep-alive sockets, one selector: a request on each socket, its answer, the next request.

A socket carries one request at a time (no pipelining: nobody behind AWS's names promises it), so what is in flight is
the number of busy sockets, and bounded in bytes besides.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, HTTPClientError, ReadTimeoutError

from sinks.dynamodb.errors import client_error
from sinks.dynamodb.exchange import Outcome
from sinks.dynamodb.lane.reply import BadReply, Reply, reply
from sinks.dynamodb.lane.signature import Signer

BYTES_IN_FLIGHT_MAX = 16 * 1024 * 1024
RECEIVE_BYTES = 64 * 1024
# Below what a NAT gateway forgets a connection after (350 s); the service itself may close earlier, which is seen.
IDLE_SECONDS_MAX = 60.0
_OK = 200
_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE

Explain = Callable[[str], str | None]


class _Connection:
    """A socket, and the request that is on it."""

    __slots__ = ("deadline", "place", "received", "size", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.place = -1  # of the request among the outcomes; -1: idle
        self.size = 0
        self.unsent = memoryview(b"")
        self.received = b""
        self.deadline = 0.0


class Lane:
    """Requests to one endpoint. For one thread. `explain` has more to say of some error codes."""

    def __init__(
        self,
        endpoint_url: str,
        signer: Signer,
        timeout_seconds: float,
        explain: Explain = lambda _: None,
        tls: ssl.SSLContext | None = None,
        bytes_in_flight: int = BYTES_IN_FLIGHT_MAX,
    ) -> None:
        parts = urlsplit(endpoint_url)
        self._url = endpoint_url
        self._host = parts.hostname or ""
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._signer = signer
        self._timeout_seconds = timeout_seconds
        self._explain = explain
        self._bytes_max = bytes_in_flight
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._bytes = 0
        self._used_at = 0.0
        self._operation = ""
        self._outcomes: list[Outcome | None] = []

    def send(self, operation: str, bodies: Iterable[bytes], in_flight: int) -> list[Outcome]:
        """As Exchange.send. What `bodies` raises goes through, and nothing stays in flight."""
        self._operation, self._outcomes = operation, []
        self._drop_stale()
        try:
            self._run(iter(bodies), in_flight)
        except BaseException:
            self.close()
            raise
        self._used_at = time.monotonic()
        return cast("list[Outcome]", self._outcomes)  # each has been answered or given up

    def _run(self, bodies: Iterator[bytes], in_flight: int) -> None:
        body = next(bodies, None)
        while body is not None or self._busy:
            while body is not None and self._has_room(len(body), in_flight):
                try:
                    self._begin(body)
                except (OSError, BotoCoreError) as error:
                    if self._busy:  # fewer sockets than asked for will do
                        in_flight = len(self._busy)
                        break
                    self._give_up(bodies, error)
                    return
                body = next(bodies, None)
            self._turn()

    def _has_room(self, size: int, in_flight: int) -> bool:
        return not self._busy or (len(self._busy) < in_flight and self._bytes + size <= self._bytes_max)

    def _begin(self, body: bytes) -> None:
        """Raises OSError where there is no connection, BotoCoreError where there is nothing to sign with."""
        head = self._signer.head(self._operation, body)
        connection = self._idle.pop() if self._idle else self._connected()
        connection.place, connection.size = len(self._outcomes), len(body)
        connection.deadline = time.monotonic() + self._timeout_seconds
        self._outcomes.append(None)
        self._busy.add(connection)
        self._bytes += len(body)
        self._write(connection, memoryview(head + body))

    def _connected(self) -> _Connection:
        sock = socket.create_connection((self._host, self._port), self._timeout_seconds)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
            sock.setblocking(False)  # noqa: FBT003  its only argument
        except BaseException:
            sock.close()
            raise
        connection = _Connection(sock)
        self._selector.register(sock, selectors.EVENT_READ, connection)
        return connection

    def _give_up(self, bodies: Iterator[bytes], error: OSError | BotoCoreError) -> None:
        """This one and all that follow: there is no way to send them."""
        outcome = error if isinstance(error, BotoCoreError) else HTTPClientError(error=error)
        self._outcomes.append(outcome)
        self._outcomes.extend(outcome for _ in bodies)

    def _turn(self) -> None:
        ready = self._selector.select(min(self._timeout_seconds / 4, 0.5))
        for key, events in ready:
            connection: _Connection = key.data
            if connection.place < 0:  # the server has closed it, or says what nobody asked
                self._idle.remove(connection)
                self._drop(connection)
                continue
            if events & selectors.EVENT_WRITE and connection.unsent:
                self._write(connection, connection.unsent)
            if events & selectors.EVENT_READ and connection.place >= 0:
                self._read(connection)
        if len(ready) < len(self._busy):
            self._expire(time.monotonic())

    def _write(self, connection: _Connection, data: memoryview) -> None:
        try:
            sent = connection.sock.send(data)
        except _WAIT:
            sent = 0
        except OSError as error:
            self._failed(connection, HTTPClientError(error=error))
            return
        rest, before = data[sent:], connection.unsent
        connection.unsent = rest
        if sent:
            connection.deadline = time.monotonic() + self._timeout_seconds
        if bool(rest) != bool(before):
            self._selector.modify(connection.sock, _BOTH if rest else selectors.EVENT_READ, connection)

    def _read(self, connection: _Connection) -> None:
        """What is there; of TLS all of it, for the selector does not see what is decrypted already."""
        try:
            while True:
                data = connection.sock.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("the connection was closed before its answer came")
                connection.received += data
                found = reply(connection.received)
                if found is not None:
                    self._answered(connection, found)
                    return
        except _WAIT:
            return
        except OSError as error:  # BadReply is one
            self._failed(connection, HTTPClientError(error=error))

    def _answered(self, connection: _Connection, found: Reply) -> None:
        outcome: Outcome = (
            found.body
            if found.status == _OK
            else client_error(self._operation, found.status, found.body, self._explain)
        )
        lasting = found.lasting and not connection.unsent
        self._done(connection, outcome)
        if lasting:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _failed(self, connection: _Connection, error: BotoCoreError) -> None:
        self._done(connection, error)
        self._drop(connection)

    def _done(self, connection: _Connection, outcome: Outcome) -> None:
        self._outcomes[connection.place] = outcome
        self._busy.discard(connection)
        self._bytes -= connection.size
        connection.place, connection.size, connection.received = -1, 0, b""

    def _expire(self, now: float) -> None:
        for connection in [known for known in self._busy if known.deadline < now]:
            self._failed(connection, ReadTimeoutError(endpoint_url=self._url))

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def _drop_stale(self) -> None:
        """Connections that the server has closed meanwhile, or that something between us may have forgotten."""
        if time.monotonic() - self._used_at > IDLE_SECONDS_MAX:
            self.close()
        elif self._idle:
            for key, _ in self._selector.select(0):
                self._idle.remove(key.data)
                self._drop(key.data)

    def close(self) -> None:
        """Drop the connections. Safe to call twice."""
        for connection in [*self._idle, *self._busy]:
            self._drop(connection)
        self._idle.clear()
        self._busy.clear()
        self._bytes = 0


__all__ = ["BadReply", "Lane"]

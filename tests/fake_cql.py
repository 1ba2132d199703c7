"""A CQL node that says what it is told to say, over a real socket: the protocol as far as the lane speaks it.

    with FakeCql() as node:
        node.coming.extend([refused(0x1001), hung_up])

Each write takes the next of `coming`; when there is none it is stored.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque

from sinks.cassandra.lane.ring import Node, Ring

VOID = struct.pack(">i", 1)
ERROR, READY, AUTHENTICATE, SUPPORTED, RESULT, AUTH_SUCCESS = 0x00, 0x02, 0x03, 0x06, 0x08, 0x10
STARTUP, OPTIONS, PREPARE, EXECUTE, BATCH, AUTH_RESPONSE = 0x01, 0x05, 0x09, 0x0A, 0x0D, 0x0F


class HangUp(Exception):
    """Close this connection."""


def string(text):
    return struct.pack(">H", len(text.encode())) + text.encode()


def reply(stream, opcode, body, flags=0):
    return struct.pack(">BBHBI", 0x84, flags, stream, opcode, len(body)) + body


def error(stream, code, message="no"):
    more = {0x1000: struct.pack(">Hii", 6, 2, 1), 0x1100: struct.pack(">Hii", 6, 0, 1) + string("SIMPLE")}
    return reply(stream, ERROR, struct.pack(">i", code) + string(message) + more.get(code, b""))


def done(stream):
    return reply(stream, RESULT, VOID)


def warned(stream):
    warnings = struct.pack(">H", 2) + string("Batch is large") + string("and so is this")
    return reply(stream, RESULT, warnings + VOID, flags=0x08)


def stored(node, write):
    node.rows.append(write)
    return done(write[0])


def stored_with_warnings(node, write):
    node.rows.append(write)
    return warned(write[0])


def refused(code):
    return lambda _node, write: error(write[0], code)


def hung_up(_node, _write):
    raise HangUp


def hung_up_when_stored(node, write):
    node.rows.append(write)
    raise HangUp


def cut_short(node, write):
    node.rows.append(write)
    node.last_words = done(write[0])[:7]
    raise HangUp


def silent(_node, _write):
    return b""


def another_stream(_node, write):
    return done((write[0] + 7) % 32768)


def forgotten(node, write):
    """The statements are gone, and get other ids."""
    node.generation += 1
    return error(write[0], 0x2500)


class FakeCql:
    def __init__(self, *, tls=None, password=None, supported=None, refuses=()):
        self.rows, self.coming, self.prepares, self.startups, self.connections = [], deque(), [], [], 0
        self.generation, self.last_words = 0, b""
        self.refuses = refuses  # cells that no row may have
        self.closed_to = False
        self.busiest = 0  # requests that had arrived and were not answered, at the most
        self._tls, self._password, self._supported = tls, password, supported or {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.node = Node("127.0.0.1", self.port)
        self._open, self._lock = set(), threading.Lock()

    def ring(self):
        return Ring([self.node])

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # A blocked accept does not notice a close: it is woken.
        self.closed_to = True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._listener.close()
        self.hang_up()

    def hang_up(self):
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed under our hands
                return
            if self.closed_to:
                connection.close()
                continue
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            self._talk(connection)
        except (OSError, ssl.SSLError, HangUp):
            with contextlib.suppress(OSError):
                connection.sendall(self.last_words)
        finally:
            self._open.discard(connection)
            connection.close()

    def _talk(self, connection):
        got = b""
        while piece := connection.recv(1 << 16):
            got += piece
            requests = []
            while len(got) >= 9 and len(got) >= 9 + (length := int.from_bytes(got[5:9])):
                requests.append((int.from_bytes(got[2:4]), got[4], got[9 : 9 + length]))
                got = got[9 + length :]
            self.busiest = max(self.busiest, len(requests))
            for request in requests:
                with self._lock:
                    answer = self._answer(*request)
                connection.sendall(answer)

    def _answer(self, stream, opcode, body):
        if opcode == OPTIONS:
            told = b"".join(
                string(name) + struct.pack(">H", 1) + string(value) for name, value in self._supported.items()
            )
            return reply(stream, SUPPORTED, struct.pack(">H", len(self._supported)) + told)
        if opcode == STARTUP:
            self.startups.append(body)
            asks = self._password is not None
            return reply(stream, AUTHENTICATE, string("PasswordAuthenticator")) if asks else reply(stream, READY, b"")
        if opcode == AUTH_RESPONSE:
            right = body[4:] == b"\0user\0" + self._password
            return reply(stream, AUTH_SUCCESS, struct.pack(">i", -1)) if right else error(stream, 0x0100, "wrong")
        if opcode == PREPARE:
            self.prepares.append(body[4:].decode())
            return reply(stream, RESULT, struct.pack(">i", 4) + string(self._id(body[4:].decode())) + bytes(20))
        return self._write(stream, opcode, body)

    def _id(self, text):
        return f"{self.generation}:{text}"

    def _write(self, stream, opcode, body):
        steps = _execute(body) if opcode == EXECUTE else _batch(body)
        write = (stream, opcode, steps)
        if self.coming:
            return self.coming.popleft()(self, write)
        if any(not name.startswith(f"{self.generation}:") for name, _ in steps):
            return error(stream, 0x2500, "unprepared")
        if any(cell in self.refuses for _, cells in steps for cell in cells):
            return error(stream, 0x2200, "too large")
        return stored(self, write)

    @property
    def cells(self):
        """Of every statement that was stored, in the order of arrival."""
        return [cells for _, _, steps in self.rows for _, cells in steps]


def _execute(body):
    name, at = _string(body, 0)
    consistency, flags = struct.unpack_from(">HB", body, at)
    assert (consistency, flags) == (6, 1)
    cells, at = _cells(body, at + 3)
    assert at == len(body)
    return [(name, cells)]


def _batch(body):
    kind, count = struct.unpack_from(">BH", body)
    assert kind == 1
    at, steps = 3, []
    for _ in range(count):
        assert body[at] == 1
        name, at = _string(body, at + 1)
        cells, at = _cells(body, at)
        steps.append((name, cells))
    assert struct.unpack_from(">HB", body, at) == (6, 0)
    assert at + 3 == len(body)
    return steps


def _string(body, at):
    (length,) = struct.unpack_from(">H", body, at)
    return body[at + 2 : at + 2 + length].decode(), at + 2 + length


def _cells(body, at):
    (count,) = struct.unpack_from(">H", body, at)
    at += 2
    cells = []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", body, at)
        at += 4
        cells.append(None if length < 0 else body[at : at + length])
        at += max(0, length)
    return tuple(cells), at

"""The port: bound before anything else starts, served in a thread of its own."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from daemon.server.application import application
from daemon.server.bounds import HEADERS_BYTES_MAX
from daemon.server.changes import Changes
from daemon.server.view import View

CONNECTIONS_MAX = 200
# A connection on which nothing is asked is closed after this time, or after twice as much.
IDLE_SECONDS = 5.0
GRACE_SECONDS = 3


class ListenFailed(Exception):
    """The address cannot be listened on."""


class Impatient(asyncio.Protocol):
    """Closes a connection that asks nothing, or asks so slowly that it is no question yet.

    uvicorn stops its own clock with the first byte of a request, and has none for a connection that is new: two
    hundred clients that send a byte now and then would keep everybody out.
    """

    def __init__(self, **parts: Any) -> None:
        self._inner = H11Protocol(**parts)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  asyncio.Protocol's
        if isinstance(transport, asyncio.Transport):  # always: of a socket
            self._inner.connection_made(transport)
        self._watch(transport, self)

    def _watch(self, transport: asyncio.BaseTransport, before: object) -> None:
        """`before`: the exchange that had ended when last looked; still the last one, it was idle ever since."""
        cycle: RequestResponseCycle | None = self._inner.cycle
        idle = cycle is None or cycle.response_complete or transport.is_closing()
        if idle and cycle is before and isinstance(transport, asyncio.Transport):
            # Not closed in good order: that would wait for a client who does not read.
            transport.abort()
            return
        known = cycle if idle else self
        self._timer = self._loop.call_later(IDLE_SECONDS, self._watch, transport, known)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self._inner.data_received(data)

    def eof_received(self) -> None:  # noqa: D102
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self._timer is not None:
            self._timer.cancel()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:  # noqa: D102
        self._inner.pause_writing()

    def resume_writing(self) -> None:  # noqa: D102
        self._inner.resume_writing()


@contextlib.contextmanager
def serving(view: View, host: str, port: int) -> Iterator[None]:
    """Serve in a thread for as long as the block runs. Raises ListenFailed before anything else starts."""
    listener = _listener(host, port)
    changes = Changes(view.document)
    config = uvicorn.Config(
        application(view, changes),
        http=Impatient,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,  # faults of ours go where all else is logged; what strangers send is worth no line
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        changes.close()
        server.should_exit = True
        thread.join(timeout=5)
        listener.close()


def _listener(host: str, port: int) -> socket.socket:
    """Raises ListenFailed."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ListenFailed(f"cannot listen on {host}:{port}: {error.strerror}. Set server.listen") from error
    return listener

"""A TCP proxy of our own that misbehaves when it is told to: what lies between two machines on a bad day.

    with FaultProxy(server.port) as proxy:
        connect(proxy.host, proxy.port)
        proxy.refuse()
        proxy.pass_through()

Each fault holds from the moment in which its method returns, for connections that are open and for new ones.
"""

import asyncio
import socket
import struct
import threading
from typing import NamedTuple, Self

CHUNK_BYTES = 64 * 1024
SLICE_PAUSE_SECONDS = 0.0005
START_SECONDS_MAX = 10.0
# With this, closing a socket sends RST in place of FIN, and forgets what was not sent.
LINGER_NOT = struct.pack("ii", 1, 0)


class _Fault(NamedTuple):
    name: str
    seconds: float = 0.0
    n_bytes: int = 0


class _Link:
    """One client's connection, and ours to the server in its name. Closed when its task has ended, however it ends."""

    def __init__(self, client: socket.socket) -> None:
        self.client, self.server = client, socket.socket()
        self.server.settimeout(0)
        self.sent_bytes = 0  # to the server, since the fault began
        self.spoilt = False  # bytes were swallowed: it can make no sense any more
        self.finished = False  # both sides had said all

    def close(self) -> None:
        for end in (self.client, self.server):
            if not self.finished:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            end.close()


class FaultProxy:
    """Forwards a port of its own on loopback to the server's, from a thread of its own."""

    def __init__(self, server_port: int, host: str = "127.0.0.1") -> None:
        self.host = host
        self.to_server_bytes = 0  # passed on, over all connections
        self.to_client_bytes = 0
        self.connections = 0  # accepted so far
        self.struck = 0  # pieces that met a fault, and connections that one has ended
        self._server_port = server_port
        self._fault = _Fault("pass_through")
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._listener: socket.socket | None = None
        # Bound for as long as we live and never listening: while we refuse, nobody else may get the port.
        self._placeholder = _bound(host, 0)
        self.port: int = self._placeholder.getsockname()[1]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="fault-proxy", daemon=True)
        self._ready = threading.Event()

    def pass_through(self) -> None:
        """Do what a proxy does."""
        self._set(_Fault("pass_through"))

    def refuse(self) -> None:
        """Nobody listens: open connections are reset, new ones are refused."""
        self._set(_Fault("refuse"))

    def black_hole(self) -> None:
        """Accept and swallow: nothing reaches the server, nothing comes back."""
        self._set(_Fault("black_hole"))

    def mute(self) -> None:
        """Requests arrive and are acted on, the answers are swallowed: what a timeout may mean."""
        self._set(_Fault("mute"))

    def reset_after(self, n_bytes: int) -> None:
        """Reset each connection once it has sent so many bytes to the server."""
        self._set(_Fault("reset_after", n_bytes=n_bytes))

    def delay(self, seconds: float) -> None:
        """Hold each piece back for so long, in both directions."""
        self._set(_Fault("delay", seconds=seconds))

    def slice(self, n_bytes: int) -> None:
        """Pass at most so many bytes at a time, with a pause between: no message arrives in one piece."""
        self._set(_Fault("slice", n_bytes=n_bytes))

    def __enter__(self) -> Self:
        """Listening, and passing through."""
        self._thread.start()
        assert self._ready.wait(START_SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        """All connections are reset, the thread has ended."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._placeholder.close()

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        await self._begin(self._fault)
        self._ready.set()
        await self._stopped.wait()
        await self._begin(_Fault("refuse"))

    def _set(self, fault: _Fault) -> None:
        asyncio.run_coroutine_threadsafe(self._begin(fault), self._loop).result()

    async def _begin(self, fault: _Fault) -> None:
        self._fault = fault
        if fault.name == "refuse":
            self._stop_listening()
        elif self._listener is None:
            self._listen()
        for link in self._links.values():
            link.sent_bytes = 0
        doomed = [task for task, link in self._links.items() if fault.name == "refuse" or link.spoilt]
        self.struck += len(doomed)
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)

    def _listen(self) -> None:
        self._listener = _bound(self.host, self.port)
        self._listener.listen()
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()  # whoever was not accepted yet is reset
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it has thought better of it
            return
        client.settimeout(0)
        self.connections += 1
        link = _Link(client)
        task = asyncio.ensure_future(self._serve(link))
        self._links[task] = link
        task.add_done_callback(lambda ended: self._links.pop(ended).close())

    async def _serve(self, link: _Link) -> None:
        try:
            await self._loop.sock_connect(link.server, (self.host, self._server_port))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(link, link.client, link.server, upwards=True))
                both.create_task(self._carry(link, link.server, link.client, upwards=False))
            link.finished = True
        except* OSError:
            pass  # one end is gone: so is the other

    async def _carry(self, link: _Link, source: socket.socket, target: socket.socket, *, upwards: bool) -> None:
        while piece := await self._loop.sock_recv(source, CHUNK_BYTES):
            await self._pass(link, piece, target, upwards=upwards)
        if self._swallows(upwards=upwards):
            link.spoilt = True  # nor does a goodbye come out of it
        else:
            target.shutdown(socket.SHUT_WR)

    def _swallows(self, *, upwards: bool) -> bool:
        return self._fault.name == "black_hole" or (self._fault.name == "mute" and not upwards)

    async def _pass(self, link: _Link, piece: bytes, target: socket.socket, *, upwards: bool) -> None:
        fault = self._fault
        self.struck += fault.name != "pass_through"
        if self._swallows(upwards=upwards):
            link.spoilt = True
            return
        if fault.name == "delay":
            await asyncio.sleep(fault.seconds)
        if fault.name == "reset_after" and upwards:
            await self._pass_until_reset(link, piece, fault.n_bytes)
        elif fault.name == "slice":
            for start in range(0, len(piece), fault.n_bytes):
                await self._send(link, piece[start : start + fault.n_bytes], target, upwards=upwards)
                await asyncio.sleep(SLICE_PAUSE_SECONDS)
        else:
            await self._send(link, piece, target, upwards=upwards)

    async def _pass_until_reset(self, link: _Link, piece: bytes, n_bytes: int) -> None:
        await self._send(link, piece[: max(0, n_bytes - link.sent_bytes)], link.server, upwards=True)
        if link.sent_bytes >= n_bytes:
            raise ConnectionResetError

    async def _send(self, link: _Link, piece: bytes, target: socket.socket, *, upwards: bool) -> None:
        # Counted first: whoever has read them must find them counted.
        if upwards:
            link.sent_bytes += len(piece)
            self.to_server_bytes += len(piece)
        else:
            self.to_client_bytes += len(piece)
        await self._loop.sock_sendall(target, piece)


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that shares its port with others of ours."""
    made = socket.socket()
    made.settimeout(0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    return made

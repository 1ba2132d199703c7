"""One connection with many requests in flight. Never blocks: what cannot be sent now is sent when there is room."""

import ssl
from collections import deque
from collections.abc import Sequence
from itertools import chain, islice

import msgspec

from sinks.cassandra.driver import ConnectionException
from sinks.cassandra.lane import frames
from sinks.cassandra.lane.dial import Access, Line
from sinks.cassandra.lane.frames import Malformed, Packer
from sinks.cassandra.lane.replies import Reader, Reply
from sinks.cassandra.layout import Mutation
from sinks.cassandra.window import Window

RECEIVE_BYTES = 64 * 1024
# So much is packed before it is sent, and answers are looked at: the node begins while we go on.
SEND_ROWS, SEND_BYTES = 64, 64 * 1024
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Request(msgspec.Struct, gc=False):
    """Mutations of one partition that travel together; `places` are theirs among what `write` was given."""

    places: Sequence[int]
    mutations: Sequence[Mutation]
    size_bytes: int = 0  # as it was sent
    deadline: float = 0.0  # 0: never sent
    attempts: int = 0
    packer: Packer | None = None  # with whose ids it was sent


class Outcome(msgspec.Struct):
    """What has come back since it was last asked for."""

    done: int = 0
    answers: list[tuple[Request, Reply]] = []
    unbindable: list[tuple[Request, Exception]] = []


class Link:
    """Sends what waits, as far as the window and the bytes allow."""

    def __init__(self, line: Line, access: Access, window: Window, in_flight_bytes_max: int) -> None:
        self.node, self.sharding, self.window = line.node, line.sharding, window
        self.waiting: deque[Request] = deque()
        self.in_flight: dict[int, Request] = {}
        self._socket, self._ids, self._access = line.socket, line.ids, access
        self._packer = Packer(line.ids, access.consistency)
        self._reader, self._outcome = Reader(), Outcome()
        self._bytes, self._bytes_max = 0, in_flight_bytes_max
        self._preparing: dict[int, int] = {}
        self._prepared_by = 0.0
        self._stream, self._out = 0, b""

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    @property
    def sending(self) -> bool:
        """True while the node does not take what was packed."""
        return bool(self._out)

    @property
    def ready(self) -> bool:
        """True while something waits that may be sent now."""
        return bool(self.waiting) and not self._out and not self._preparing and self._room()

    def _room(self) -> bool:
        # One is always let through, however large it is.
        window = self.window
        return not self.in_flight or (
            len(self.in_flight) < window.allowed and self._bytes < self._bytes_max * window.share
        )

    def send(self, now: float) -> None:
        """Pack what waits and may go, and send what the socket takes. Raises OSError."""
        if self.ready:
            self._pack(now)
        if self._out:
            try:
                sent = self._socket.send(self._out)
            except NOT_NOW:
                return
            self._out = self._out[sent:]

    def _pack(self, now: float) -> None:
        # This runs for every row of a backfill: no call and no look-up in it that could stand before it.
        in_flight, take, packer = self.in_flight, self.waiting.popleft, self._packer
        pack, deadline = packer.request, now + self._access.timeout_seconds
        rows = min(SEND_ROWS, len(self.waiting), max(1, self.window.allowed - len(in_flight)))
        size, most = 0, min(SEND_BYTES, self._bytes_max * self.window.share - self._bytes)
        parts: list[bytes] = []
        for stream in self._free_streams(rows):
            if size >= most and in_flight:
                break
            request = take()
            try:
                head, body = pack(request.mutations, stream)
            except ValueError as error:
                self._outcome.unbindable.append((request, error))
                continue
            parts += (head, body)
            request.size_bytes = sent = len(body)
            size += sent
            request.packer = packer
            if not request.deadline:
                request.deadline = deadline
            in_flight[stream] = request
        self._bytes += size
        self._out = b"".join(parts)

    def _free_streams(self, count: int) -> Sequence[int]:
        """One after another, all around: an answer that comes where none is due is noticed, not taken for another's."""
        begin = self._stream if self._stream + count <= frames.STREAMS else 0
        streams = range(begin, begin + count)
        self._stream = begin + count
        held, asked = self.in_flight.keys(), self._preparing.keys()
        if held.isdisjoint(streams) and asked.isdisjoint(streams):
            return streams
        every = chain(range(begin, frames.STREAMS), range(begin))
        return list(islice((stream for stream in every if stream not in held and stream not in asked), count))

    def receive(self) -> None:
        """Take in what the node has answered. Raises OSError, ConnectionException, Malformed."""
        while True:
            try:
                piece = self._socket.recv(RECEIVE_BYTES)
            except NOT_NOW:
                return
            if not piece:
                raise ConnectionException(f"{self.node.address}:{self.node.port} closed the connection")
            self._take(piece)
            # TLS may have more in store than the socket shows.
            if len(piece) < RECEIVE_BYTES and not isinstance(self._socket, ssl.SSLSocket):
                return

    def _take(self, piece: bytes) -> None:
        streams, others = self._reader.taken(piece)
        before = len(self.in_flight)
        try:
            done = [*map(self.in_flight.pop, streams)]
        except KeyError as error:
            raise self._unasked(error) from error
        finally:  # those before it are done all the same
            count = before - len(self.in_flight)
            self._outcome.done += count
            self.window.answered(count)
        self._bytes -= sum([request.size_bytes for request in done])
        for reply in others:
            try:
                self._answered(reply)
            except KeyError as error:
                raise self._unasked(error) from error

    def _unasked(self, stream: KeyError) -> Malformed:
        return Malformed(f"{self.node.address} answered stream {stream}, where nothing was asked")

    def _answered(self, reply: Reply) -> None:
        place = self._preparing.pop(reply.stream, None)
        if place is None:
            request = self.in_flight.pop(reply.stream)
            self._bytes -= request.size_bytes
            self._outcome.answers.append((request, reply))
        elif reply.opcode == frames.RESULT:
            self._ids[place] = frames.prepared_id(reply.body)
            self._packer = Packer(self._ids, self._access.consistency)
        else:  # what is wrong with the statement, opening a connection will say
            raise ConnectionException(f"{self.node.address} cannot prepare a statement again")

    def outcome(self) -> Outcome:
        """What came back; asked again, only what came since."""
        found, self._outcome = self._outcome, Outcome()
        return found

    def prepare_again(self, request: Request, now: float) -> None:
        """Ask for the statements' ids, unless that is under way or was done since the request was sent.

        The next send takes it along, and rows wait for it.
        """
        if not self._preparing and request.packer is self._packer:
            self._prepared_by = now + self._access.timeout_seconds
            statements = self._access.statements
            for place, stream in enumerate(self._free_streams(len(statements))):
                statement = statements[place]
                self._preparing[stream] = place
                self._out += frames.prepare(statement, stream)

    def late(self, now: float) -> bool:
        """True when the time of a request is over."""
        if self._preparing and self._prepared_by <= now:
            return True
        return any(request.deadline <= now for request in self.in_flight.values())

    def unanswered(self) -> list[Request]:
        """All that is not known to be done, no longer this link's."""
        left = [*self.in_flight.values(), *self.waiting]
        self.in_flight, self._bytes = {}, 0
        self.waiting.clear()
        return left

    def close(self) -> None:
        """Drop the connection: a late answer has nowhere to arrive."""
        self._socket.close()

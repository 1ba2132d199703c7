"""The lane as a Transport: rows go to the nodes that hold them, and what a node does not answer goes again.

Every mutation is idempotent by its timestamps, so a request whose answer was lost is simply sent again, to whatever
node is there: for `timeout_seconds` from when it was first sent. Then, or when no node can be reached, it is given up,
and the engine, which knows how to wait, is told.
"""

import random
import select
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from cassandra import OperationTimedOut

from sinks.cassandra.batches import apart, together
from sinks.cassandra.driver import ConnectionException, NoHostAvailable
from sinks.cassandra.errors import as_sink_error
from sinks.cassandra.lane import refusals
from sinks.cassandra.lane.dial import Access, dial
from sinks.cassandra.lane.frames import ERROR, Malformed
from sinks.cassandra.lane.link import Link, Request
from sinks.cassandra.lane.links import WAIT_SECONDS, Dial, Links, Place
from sinks.cassandra.lane.replies import Reply
from sinks.cassandra.lane.ring import Ring
from sinks.cassandra.layout import Mutation
from sinks.cassandra.window import Window, pause_seconds

LOST = (OSError, ConnectionException, Malformed)
LOOK_SECONDS = 0.05  # how often clocks are looked at while nothing arrives


class Limits(NamedTuple):
    """Per connection: requests and bytes that are sent and not answered."""

    in_flight: int = 512
    in_flight_bytes: int = 4 * 1024 * 1024


DEFAULT_LIMITS = Limits()


def _requests(mutations: Sequence[Mutation]) -> list[Request]:
    if apart(mutations):
        return list(map(Request, zip(range(len(mutations))), zip(mutations)))  # a tuple of one of each
    return [Request(places, [mutations[place] for place in places]) for places, _ in together(mutations)]


class _Delayed(NamedTuple):
    due: float
    request: Request
    why: Exception


class LaneTransport:
    """Frames of our own over connections of our own. `ring` answers with today's nodes and tokens."""

    def __init__(
        self,
        ring: Callable[[], Ring],
        access: Access,
        limits: Limits = DEFAULT_LIMITS,
        *,
        dialled: Callable[[Access], Dial] | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Connected to one node at least, and the statements are prepared. Raises SinkError."""
        self._ring, self._access, self._clock, self._chance = ring, access, clock, chance
        self._lock = threading.Lock()
        self._links = Links(
            dialled(access) if dialled else lambda node, shard, known: dial(node, access, shard, known),
            lambda line, window: Link(line, access, window, limits.in_flight_bytes),
            partial(Window, limits.in_flight),
        )
        self._poll = select.poll()
        self._by_fd: dict[int, Link] = {}
        self._results: list[Exception | None] = []
        self._unfinished = 0
        self._delayed: list[_Delayed] = []
        self._homeless: list[Request] = []
        self._looked = 0.0
        self._asked_all = False
        try:
            self._reach(ring())
        except BaseException:
            self.close()
            raise

    def write(self, mutations: Sequence[Mutation]) -> Sequence[Exception | None]:
        """See Transport."""
        with self._lock:
            results: list[Exception | None] = [None] * len(mutations)
            self._results = results
            requests = _requests(mutations)
            self._unfinished, self._asked_all = len(requests), False
            self._route(requests, self._clock())
            try:
                while self._unfinished > 0:
                    self._turn()
                self._check_count()
            except BaseException:
                self._abandon()
                raise
            self._results = []
            return results

    def _check_count(self) -> None:
        """A row counts as stored unless it is told otherwise: nothing may be under way once all are accounted for."""
        waiting = self._unfinished or self._delayed or self._homeless
        if waiting or any(link.in_flight or link.waiting for link in self._links.all):
            raise AssertionError("the lane has lost count of its requests: nothing of this batch is taken for stored")

    def _abandon(self) -> None:
        """Whoever interrupted us must not find half a batch in the next one."""
        for link in self._links.all:
            self._poll.unregister(link.fileno())
            self._links.drop(link, ConnectionException("interrupted"))
        self._delayed, self._homeless, self._by_fd = [], [], {}

    def close(self) -> None:
        """See Transport."""
        self._delayed, self._homeless, self._by_fd = [], [], {}
        self._poll = select.poll()
        self._links.close()

    def _reach(self, ring: Ring) -> None:
        """Wait for one connection. Raises SinkError when there can be none."""
        self._ask_all(ring, self._clock())
        while not self._links.all and self._links.dialling:
            self._greet(self._links.arrivals(self._access.timeout_seconds))
        if not self._links.all:
            why = self._nobody()
            raise as_sink_error(why) from why

    def _nobody(self) -> Exception:
        """Why no node can be reached; a statement that no node prepares is told as such."""
        errors = self._links.errors
        for error in errors.values():
            if not isinstance(error, LOST):
                return as_sink_error(error)  # no row is at fault: never what a rejection would look like
        reasons = {f"{node.address}:{node.port}": error for node, error in errors.items()}
        nobody: Exception = NoHostAvailable("no node of the data centre can be reached over the lane", reasons)
        return nobody

    def _greet(self, links: Iterable[Link]) -> None:
        for link in links:
            self._asked_all = False
            self._by_fd[link.fileno()] = link
            self._poll.register(link.fileno(), select.POLLIN)

    def _route(self, requests: Iterable[Request], now: float) -> None:
        """To the queue of a connection that is open; a request that has none waits for one."""
        ring, best = self._ring(), self._links.best
        only = self._links.only(ring)
        if only is not None:
            only.waiting.extend(requests)
            return
        for request in requests:
            link = best(ring, request.mutations[0].partition, now)
            if link is None:
                request.deadline = request.deadline or now + self._access.timeout_seconds
                self._homeless.append(request)
            else:
                link.waiting.append(request)
        if self._homeless and not self._asked_all:
            self._ask_all(ring, now)

    def _ask_all(self, ring: Ring, now: float) -> None:
        """Whoever is there may take the rows: once for each time that nobody was."""
        self._asked_all = True
        for node in ring.nodes:
            self._links.open(Place(node), now, at_once=True)

    def _turn(self) -> None:
        """Once round: send, wait, receive, and look after what has gone wrong."""
        now = self._clock()
        links = self._links.all
        for link in links:
            self._guarded(link, partial(link.send, now))
        self._receive(links)
        # Clocks and threads are looked at now and then: with a row every few microseconds, not for each.
        if self._delayed or self._homeless or now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._look(self._clock())

    def _receive(self, links: Sequence[Link]) -> None:
        busy = any(link.ready for link in links)
        for fd, _ in self._poll.poll(0 if busy else self._wait_millis(links)):
            link = self._by_fd.get(fd)
            if link is not None:
                self._guarded(link, link.receive)
        for link in links:
            self._settle(link)

    def _wait_millis(self, links: Sequence[Link]) -> float:
        """And which of them have something to send: those are woken when they can."""
        for link in links:
            if link.fileno() in self._by_fd:
                self._poll.modify(link.fileno(), select.POLLIN | (select.POLLOUT if link.sending else 0))
        return 1000 * (WAIT_SECONDS if self._delayed or self._links.dialling else LOOK_SECONDS)

    def _guarded(self, link: Link, act: Callable[[], None]) -> None:
        try:
            act()
        except LOST as error:
            self._lost(link, error)

    def _lost(self, link: Link, error: Exception) -> None:
        """What it did not answer goes again, by another connection."""
        self._settle(link)
        if self._by_fd.pop(link.fileno(), None) is not None:
            self._poll.unregister(link.fileno())
        left = link.unanswered()
        self._links.drop(link, error)
        for request in left:
            self._again(request, error, 0.0 if request.attempts == 0 else None)

    def _settle(self, link: Link) -> None:
        """Account for what came back."""
        outcome = link.outcome()
        self._unfinished -= outcome.done
        for request, error in outcome.unbindable:
            self._failed(request, error)
        for request, reply in outcome.answers:
            self._answered(link, request, reply)

    def _answered(self, link: Link, request: Request, reply: Reply) -> None:
        if reply.opcode != ERROR:
            unknown = ConnectionException(f"{link.node.address} answered a write with opcode {reply.opcode:#x}")
            self._failed(request, unknown)
            return
        error = refusals.refusal(reply.body)
        code = error.code
        if code == refusals.UNPREPARED:
            link.prepare_again(request, self._clock())
            self._again(request, error, 0.0)
        elif code in refusals.BUSY:
            link.window.overloaded(len(link.in_flight))
            self._again(request, error, None)
        elif code == refusals.INVALID and len(request.mutations) > 1:
            self._apart(request)
        else:
            self._failed(request, error)

    def _again(self, request: Request, why: Exception, pause: float | None) -> None:
        """Once more, after a pause; or given up, when its time is over by then."""
        now = self._clock()
        due = now + (pause_seconds(request.attempts, self._chance()) if pause is None else pause)
        request.attempts += 1
        if request.deadline and due >= request.deadline:
            self._failed(request, why)
        else:
            self._delayed.append(_Delayed(due, request, why))

    def _apart(self, request: Request) -> None:
        """One of them is refused: each by itself, so that only that one is."""
        self._unfinished += len(request.places) - 1
        self._route(
            [Request([place], [mutation]) for place, mutation in zip(request.places, request.mutations, strict=True)],
            self._clock(),
        )

    def _failed(self, request: Request, error: Exception) -> None:
        self._unfinished -= 1
        for place in request.places:
            self._results[place] = error

    def _look(self, now: float) -> None:
        self._greet(self._links.arrivals())
        for link in self._links.all:
            if link.late(now):
                link.window.overloaded(len(link.in_flight))
                self._lost(link, OperationTimedOut(f"{link.node.address} did not answer in time"))
        due = [delayed.request for delayed in self._delayed if delayed.due <= now]
        self._delayed = [delayed for delayed in self._delayed if delayed.due > now]
        homeless, self._homeless = self._homeless, []
        self._route([*due, *homeless], now)
        self._give_up(now)

    def _give_up(self, now: float) -> None:
        """Nobody is there, and everybody was asked, or was given time enough to answer."""
        asked = not self._links.dialling
        over = [request for request in self._homeless if asked or request.deadline <= now]
        if over:
            why = self._nobody()
            self._homeless = [request for request in self._homeless if not asked and request.deadline > now]
            for request in over:
                self._failed(request, why)

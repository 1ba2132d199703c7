"""The connections to the nodes of the data centre: opened by threads when a row wants one, and again when lost."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sinks.cassandra.lane.dial import Line
from sinks.cassandra.lane.link import Link
from sinks.cassandra.lane.ring import Node, Ring, Sharding
from sinks.cassandra.window import Window

RETRY_SECONDS = 2.0
WAIT_SECONDS = 0.02


class Place(NamedTuple):
    """A node, and the core of it that is meant where it is of ScyllaDB."""

    node: Node
    shard: int = 0


Dial = Callable[[Node, int | None, Sharding | None], Line]


class Links:
    """Who is connected, and whom to ask for a partition."""

    def __init__(self, dial: Dial, link: Callable[[Line, Window], Link], window: Callable[[], Window]) -> None:
        self._dial, self._make_link, self._make_window = dial, link, window
        self._links: dict[Place, Link] = {}
        self._windows: dict[Place, Window] = {}
        self._sharding: dict[Node, Sharding] = {}
        self._dialling: set[Place] = set()
        self._not_before: dict[Place, float] = {}
        self._arrived: queue.SimpleQueue[tuple[Place, Line | Exception]] = queue.SimpleQueue()
        self.errors: dict[Node, Exception] = {}
        self._turn = 0
        self._closed = False

    @property
    def all(self) -> Sequence[Link]:
        """The connections that are open."""
        return list(self._links.values())

    @property
    def dialling(self) -> bool:
        """True while one is being opened."""
        return bool(self._dialling)

    def best(self, ring: Ring, partition: bytes, now: float) -> Link | None:
        """A connection to a node that holds the partition, else to any; None while there is none at all."""
        for node in ring.replicas(partition) or ring.nodes[:1]:
            link = self._near(node, partition, now)
            if link is not None:
                return link
        return self._any()

    def only(self, ring: Ring) -> Link | None:
        """The one connection that every row takes: where there is but one node, and one core of it to ask."""
        if len(ring.nodes) != 1 or self._sharding:
            return None
        return self._links.get(Place(ring.nodes[0]))

    def _near(self, node: Node, partition: bytes, now: float) -> Link | None:
        known = self._sharding.get(node)
        place = Place(node, 0 if known is None else known.of(partition))
        link = self._links.get(place)
        if link is None:
            self.open(place, now)
            if known is not None:
                link = next((other for (near, _), other in self._links.items() if near == node), None)
        return link

    def _any(self) -> Link | None:
        if not self._links:
            return None
        self._turn += 1
        open_ones = self.all
        return open_ones[self._turn % len(open_ones)]

    def open(self, place: Place, now: float, *, at_once: bool = False) -> None:
        """Begin to connect, unless that is under way, or has failed just now and need not be `at_once`."""
        if place in self._dialling or place in self._links:
            return
        if not at_once and now < self._not_before.get(place, 0.0):
            return
        self._dialling.add(place)
        self._not_before[place] = now + RETRY_SECONDS
        threading.Thread(target=self._connect, args=(place,), name="cql-lane-dial", daemon=True).start()

    def _connect(self, place: Place) -> None:
        known = self._sharding.get(place.node)
        try:
            arrived: Line | Exception = self._dial(place.node, place.shard if known else None, known)
        except Exception as error:  # noqa: BLE001  whatever it was, who waits for the connection must hear of it
            arrived = error
        self._arrived.put((place, arrived))
        if self._closed:
            self._take_in()

    def arrivals(self, wait_seconds: float = 0.0) -> list[Link]:
        """The connections that were opened since; waits for the first one so long."""
        made = []
        while self._dialling:
            try:
                place, arrived = self._arrived.get(timeout=wait_seconds) if wait_seconds else self._arrived.get_nowait()
            except queue.Empty:
                break
            wait_seconds = 0.0
            self._dialling.discard(place)
            if isinstance(arrived, Exception):
                self.errors[place.node] = arrived
            else:
                self.errors.pop(place.node, None)
                made.append(self._added(place, arrived))
        return made

    def _added(self, place: Place, line: Line) -> Link:
        if line.sharding is not None:
            self._sharding[place.node] = line.sharding
            # A node that is asked at its common port chooses the core itself: it is where it says it is.
            own = Place(place.node, line.sharding.own)
            place = own if own not in self._links else place
        if place in self._links:
            line.socket.close()
            return self._links[place]
        window = self._windows.setdefault(place, self._make_window())
        link = self._links[place] = self._make_link(line, window)
        return link

    def drop(self, link: Link, error: Exception) -> None:
        """It is lost: close it."""
        self.errors[link.node] = error
        link.close()
        for place in [place for place, known in self._links.items() if known is link]:
            del self._links[place]
            self._not_before.pop(place, None)

    def _take_in(self) -> None:
        while True:
            try:
                _, arrived = self._arrived.get_nowait()
            except queue.Empty:
                return
            if not isinstance(arrived, Exception):
                arrived.socket.close()

    def close(self) -> None:
        """Close all, and those that are still being opened as soon as they are."""
        self._closed = True
        for link in self.all:
            link.close()
        self._links.clear()
        self._take_in()

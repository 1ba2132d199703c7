"""The index: a number that rises with each change of the decision, and those who wait for the next one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from daemon.routes import Routes
from daemon.signal.document import Document, is_current

LOOK_SECONDS = 0.1
# Each holds a connection: of 200 there must remain some for probes, scrapes and those who only ask.
WAITING_MAX = 50


class TooManyWait(Exception):
    """As many requests are held as may be."""


class Seen(NamedTuple):
    """A document (None: nothing is known yet) and the index of the decision in it."""

    document: Document | None
    revision: int


class Decision(msgspec.Struct, frozen=True):
    """What a client acts on; all else in a document is how it came to be. Of each table as well."""

    epoch: int
    phase: str
    readers: bool
    writers: bool
    since: str | None
    current: bool
    routes: Routes
    tables: tuple["Decision", ...] = ()


def decision(document: Document, now: float) -> Decision:
    """Pure. A document that has expired is another decision: silence is no consent."""
    ready = document.ready
    return Decision(
        epoch=document.epoch,
        phase=document.phase.value,
        readers=ready.readers,
        writers=ready.writers,
        since=ready.since,
        current=is_current(document, now),
        routes=document.routes,
        tables=tuple(decision(table, now) for table in document.tables),
    )


class Changes:
    """Looks at the document, at most every LOOK_SECONDS for all who wait together. For one event loop.

    The index is this replica's own. It begins with the clock's milliseconds, so that it is higher after a restart; a
    client that comes from another replica is answered at once, which costs it one more question.
    """

    def __init__(self, document: Callable[[], Document | None], now: Callable[[], float] = time.time) -> None:
        self._document = document
        self._now = now
        self._decision: Decision | None = None
        self._seen = Seen(None, int(now() * 1000))
        self._looked_at = float("-inf")
        self._waiting = 0
        self._closing = False

    def look(self) -> Seen:
        """As of now."""
        document, now = self._document(), self._now()
        decided = decision(document, now) if document is not None else None
        risen = decided != self._decision
        self._decision = decided
        self._seen = Seen(document, self._seen.revision + risen)
        self._looked_at = time.monotonic()
        return self._seen

    async def until(
        self, holds: Callable[[Seen], bool], wait_seconds: float, gone: Callable[[], Awaitable[bool]]
    ) -> Seen:
        """The first one that holds, or the last one when the time is up or who asked has gone. Raises TooManyWait."""
        seen = self.look()
        if holds(seen) or wait_seconds <= 0:
            return seen
        with self._held():
            ends = time.monotonic() + wait_seconds
            while not holds(seen) and not self._closing and (left := ends - time.monotonic()) > 0:
                await asyncio.sleep(min(LOOK_SECONDS, left))
                if await gone():
                    break
                seen = self._seen if time.monotonic() - self._looked_at < LOOK_SECONDS else self.look()
        return seen

    def close(self) -> None:
        """Whoever waits is answered now."""
        self._closing = True

    @contextmanager
    def _held(self) -> Iterator[None]:
        if self._waiting >= WAITING_MAX:
            raise TooManyWait(f"{WAITING_MAX} requests wait already: ask without `wait`, or again in a moment")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

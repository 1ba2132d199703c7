"""Events on their way to each hook: noted in the control table before they are told, forgotten when they are taken.

So each is told at least once, in order, with the same id, whatever crashes in between.
"""

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon.beside import Beside
from daemon.clock import SYSTEM, Clock
from daemon.control import Conflict, Control
from daemon.sections import Hook
from daemon.signal import events
from daemon.signal.document import Document
from daemon.signal.events import Event, Seen
from daemon.signal.hooks import deliver, title
from daemon.signal.publisher import is_older

log = structlog.get_logger()

AWAY = (ClientError, BotoCoreError, Conflict)
PENDING_MAX, PENDING_BYTES_MAX = 50, 200_000  # an item of DynamoDB has at most 400 KB
PAUSE_SECONDS_MAX = 60.0
DOUBLINGS_MAX = 10


class Outbox(msgspec.Struct, frozen=True):
    """The record `hook#<n>`: what is still to be told, and up to where events were noted."""

    hook: str = ""  # which one it was: another one in this place begins anew
    seen: dict[str, Seen] = {}
    epoch: int = 0
    published_at: str = ""  # of the document that `seen` is of
    pending: tuple[Event, ...] = ()
    tries: int = 0  # of the first one
    delivered: str = ""  # id of the last one that was taken
    given_up: int = 0


Tell = Callable[[Hook, Event], str | None]


class Delivery:
    """All hooks that are told behind the fact. Nothing that goes wrong with one stops the loop, or another one."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        control: Control | None,
        clock: Clock = SYSTEM,
        chance: random.Random | None = None,
        tell: Tell = deliver,
    ) -> None:
        told = [(number, hook) for number, hook in enumerate(hooks) if not hook.pre] if control is not None else []
        random_ = chance or random.Random()
        self._lines = [_Line(number, hook, control, clock, random_, tell) for number, hook in told if control]

    def offer(self, document: Document) -> None:
        """To be called at each turn, by the replica that leads."""
        for line in self._lines:
            line.offer(document)

    def rest(self) -> None:
        """Another replica leads, and tells: what we know of the record grows old."""
        for line in self._lines:
            line.rest()


class _Line:
    """One hook's."""

    def __init__(
        self, number: int, hook: Hook, control: Control, clock: Clock, chance: random.Random, tell: Tell
    ) -> None:
        self._hook = hook
        self._title = title(number, hook)
        self._record = f"hook#{number}"
        self._control = control
        self._clock = clock
        self._chance = chance
        self._tell = tell
        self._lock = threading.Lock()  # the loop notes, a thread tells
        self._beside = Beside(self._record, self._drain, clock=clock)
        self.rest()

    def rest(self) -> None:
        self._box: Outbox | None = None  # as it was when it was last read
        self._next_at = float("-inf")

    def offer(self, document: Document) -> None:
        try:
            self._note(document)
        except AWAY as error:
            log.warning("hook_unnoted", hook=self._title, error=str(error), next="tried again")
        box = self._box
        if box is not None and box.pending and self._clock.monotonic() >= self._next_at:
            self._beside.start()

    def _note(self, document: Document) -> None:
        if self._box is not None and self._box.seen == events.seen(document):
            return
        with self._lock:
            found, revision = self._control.get(self._record, Outbox) or (Outbox(), 0)
            noted = self._noted(found, document)
            if noted != found:
                self._control.put(self._record, noted, revision)
            self._box = noted

    def _noted(self, found: Outbox, document: Document) -> Outbox:
        mine = _fingerprint(self._hook)
        box = found if found.hook == mine else Outbox(mine)
        if is_older(document, box.epoch, box.published_at) or box.seen == events.seen(document):
            return box
        happened = [event for event in events.since(box.seen, document) if event.kind in self._hook.on]
        kept, lost = _bounded((*box.pending, *happened))
        for event in lost:
            log.error("hook_event_given_up", hook=self._title, about=event.id, why="too many wait for this hook")
        return msgspec.structs.replace(
            box,
            seen=events.seen(document),
            epoch=document.epoch,
            published_at=document.published_at,
            pending=kept,
            tries=0 if lost else box.tries,
            given_up=box.given_up + len(lost),
        )

    def _drain(self) -> None:
        """Tell what waits, in order; stop at the first that is not taken."""
        while (box := self._box) is not None and box.pending:
            event = box.pending[0]
            why = self._tell(self._hook, event)
            gives_up = why is not None and self._attempts is not None and box.tries + 1 >= self._attempts
            try:
                self._account(event, why, gives_up=gives_up)
            except AWAY as error:
                self._pause(box.tries)
                log.warning("hook_told_unnoted", hook=self._title, about=event.id, error=str(error), next="told again")
                return
            if why is None:
                log.info("hook_told", hook=self._title, about=event.id)
            elif gives_up:
                log.error("hook_event_given_up", hook=self._title, about=event.id, why=why)
            else:
                self._pause(box.tries)
                log.warning("hook_not_told", hook=self._title, about=event.id, why=why, next="tried again")
                return

    def _account(self, event: Event, why: str | None, *, gives_up: bool) -> None:
        """Durable before the next one is told."""
        with self._lock:
            after = self._control.update(
                self._record, Outbox, partial(_accounted, event=event, taken=why is None, gives_up=gives_up)
            )
            if self._box is not None:
                self._box = after

    @property
    def _attempts(self) -> int | None:
        return self._hook.webhook.attempts if self._hook.webhook is not None else self._hook.attempts

    def _pause(self, tries: int) -> None:
        longest = min(PAUSE_SECONDS_MAX, 2.0 ** min(tries, DOUBLINGS_MAX))
        self._next_at = self._clock.monotonic() + longest * self._chance.uniform(0.5, 1)


def _accounted(found: Outbox | None, event: Event, *, taken: bool, gives_up: bool) -> Outbox:
    box = found or Outbox()
    if not box.pending or box.pending[0].id != event.id:
        return box  # another leader has told it meanwhile
    if not (taken or gives_up):
        return msgspec.structs.replace(box, tries=box.tries + 1)
    return msgspec.structs.replace(
        box,
        pending=box.pending[1:],
        tries=0,
        delivered=event.id if taken else box.delivered,
        given_up=box.given_up + gives_up,
    )


def _bounded(waiting: Sequence[Event]) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """The newest that fit into a record, and those before them."""
    size, first = 0, len(waiting)
    while first and len(waiting) - first < PENDING_MAX:
        size += len(bytes(waiting[first - 1].data))
        if size > PENDING_BYTES_MAX and first < len(waiting):
            break
        first -= 1
    return tuple(waiting[first:]), tuple(waiting[:first])


def _fingerprint(hook: Hook) -> str:
    """Tells hooks apart, and nothing of their addresses."""
    what = hook.webhook.url if hook.webhook is not None else repr(hook.exec)
    return hashlib.sha256(repr((hook.on, what)).encode()).hexdigest()[:16]

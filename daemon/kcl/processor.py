"""One shard: KCL's records -> changes -> sink -> durable position -> KCL's checkpoint. In that order, always.

Runs in a process of its own that the JVM starts, one per shard.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import structlog
from amazon_kclpy.kcl import CheckpointError

from daemon.apply import Deliver, Keep, deliver
from daemon.clock import SYSTEM, Clock
from daemon.control import Conflict, Position, ShardState
from daemon.empties import Empties
from daemon.freeze import GO_ON, Orders
from daemon.retry import Abandoned
from daemon.source.stream import Event, VersionClock, is_application
from daemon.stray import KeepStray, no_strays
from daemon.verify.watching import NOT_WATCHED, Watches

log = structlog.get_logger()

# Shows an idle shard's owner to be alive; cheap beside the KCL's own lease renewals.
TOUCH_SECONDS = 10.0
CHECKPOINT_ATTEMPTS = 8
PAUSE_LOOK_SECONDS = 1.0
FROZEN_LOOK_SECONDS = 0.25
SLICE_BYTES = 1 << 20
RETRIED = ("ThrottlingException", "KinesisClientLibDependencyException")

ReadRecord = Callable[[bytes, str, VersionClock], Event]
# (shard id, the KCL's checkpoint) -> the shard's state, claimed for this process.
Claim = Callable[[str, str], "Claimed"]
# (state, a batch that is about to be applied) -> the state with what was found: daemon/verify/preimage.py.
Assertion = Callable[[ShardState, Sequence[Event]], ShardState]


class ShardLost(Exception):
    """Another process has claimed the shard while the KCL still calls it ours: end, and let the KCL decide anew.

    To go quiet instead could leave the shard with nobody, when the other was a zombie that claimed it late.
    """


class Claimed:
    """A shard's record in the control table, as long as nobody else claims it, and the version to go on from."""

    def __init__(
        self,
        state: ShardState,
        revision: int,
        put: Callable[[ShardState, int], int],
        version: int,
        clock: Clock = SYSTEM,
    ) -> None:
        self.state = state
        self.version = version
        self._clock = clock
        self._revision = revision
        self._put = put

    def claim(self, owner: str) -> None:
        """Make the shard this process's. Raises Conflict when another one was quicker.

        Nothing that is known is taken back: who claims may be late, and a shard once read to its end stays so.
        """
        now = self._clock.time()
        # What the owner before has acknowledged says nothing of this process.
        fresh = msgspec.structs.replace(self.state, owner=owner, trouble=None, updated_at=now, claimed_at=now)
        self.state = Empties().noted(msgspec.structs.replace(fresh, frozen_epoch=0))  # nobody polled for a while
        self._revision = self._put(self.state, self._revision)

    def save(self, state: ShardState) -> None:
        """Make the state durable. Raises ShardLost when the shard has been claimed by another process."""
        try:
            self._revision = self._put(state, self._revision)
        except Conflict as error:
            raise ShardLost(str(error)) from error
        self.state = state


class ShardProcessor:
    """amazon_kclpy's record processor (version 3 of its interface)."""

    version = 3

    def __init__(
        self,
        *,
        claim: Claim,
        open_sink: Callable[[], None],
        read: ReadRecord,
        apply: Deliver,
        keep: Keep,
        checkpoint_seconds: float,
        clock: Clock = SYSTEM,
        paused: Callable[[], bool] = lambda: False,
        wanted: Callable[[], bool] = lambda: True,
        touch_seconds: float = TOUCH_SECONDS,
        orders: Callable[[], Orders] = lambda: GO_ON,
        keep_stray: KeepStray = no_strays,
        watch: Watches = NOT_WATCHED,
        assertion: Assertion | None = None,
        slice_bytes: int = SLICE_BYTES,
    ) -> None:
        """`paused` and `orders` are asked before each batch, `wanted` while it waits.

        `assertion` sees each batch before it is applied.
        """
        self._touch_seconds = touch_seconds
        self._empties = Empties()
        self._claim = claim
        self._open_sink = open_sink
        self._read = read
        self._apply = apply
        self._keep = keep
        self._checkpoint_seconds = checkpoint_seconds
        self._clock = clock
        self._paused = paused
        self._wanted = wanted
        self._orders = orders
        self._keep_stray = keep_stray
        self._watch = watch
        self._assertion = assertion
        self._slice_bytes = slice_bytes
        self._lost = False
        self._saved_at = 0.0

    def initialize(self, start: Any) -> None:
        """Find the version to go on from, durably, before anything is applied."""
        self._shard = start.shard_id
        self._record = self._claim(start.shard_id, start.sequence_number)
        # What will be durable next; its positions are those that are.
        self._pending = self._watch.resumed(self._record.state)
        self._last: Position | None = None  # of the last event applied, not durable yet
        self._versions = VersionClock(self._record.version)
        # At most where the KCL is: other processes may have come further.
        self._checkpointed = start.sequence_number if start.sequence_number.isdigit() else None
        positions = self._record.state.positions
        self._known_to = int(positions[-1].sequence) if positions else 0
        self._sink_is_open = False
        if not self._orders().stands_still:
            self._open()  # waits as long as the target is away, and the shard's record says so
        log.info("shard_started", shard=self._shard, after=start.sequence_number, version=self._versions.last)

    def process_records(self, page: Any) -> None:
        """Apply a page; make its end durable, then checkpoint, when that is due."""
        if self._lost:
            return
        self._empties.polled(empty=not page.records, now=self._clock.time())
        if not page.records:
            self._obey(page.checkpointer)  # also an idle shard has to say that it stands still
        for events in self._slices(page.records):
            self._hold(page.checkpointer)
            detects = self._obey(page.checkpointer, waits=True)
            if self._lost:
                return
            if detects:
                self._detect(events, page.records)
                continue
            self._open()
            changes = [event.change for event in events if event.change is not None]
            self._verify(events)
            applied = deliver(self._apply, changes, self._keep)
            self._pending = _after(self._pending, events, applied, len(changes) - applied)
            self._last = Position(events[-1].sequence, events[-1].version)
        self._checkpoint(page.checkpointer)

    def _verify(self, events: Sequence[Event]) -> None:
        """What verification wants of a batch that is about to be applied: daemon/verify/preimage.py, watching.py."""
        if self._assertion is not None:
            self._pending = self._assertion(self._pending, events)
        # In what is saved with their position: the state is not saved before that moves.
        self._pending = self._watch.touched(self._watch.looked(self._pending), events)

    def _hold(self, checkpointer: Any) -> None:
        """While a person has paused the tail. The KCL keeps the lease; what was applied is durable before the wait.

        Raises Abandoned when the JVM is gone, which an orderly stop ends in as well: it waits for us to its grace.
        """
        if not self._paused():
            return
        if self._last is not None:
            self._checkpoint(checkpointer, now=True)
        log.info("shard_paused", shard=self._shard)
        while self._paused():
            if not self._wanted():
                raise Abandoned("the KCL has ended while the tail was paused; what was not applied is read again")
            self._clock.sleep(PAUSE_LOOK_SECONDS)
        log.info("shard_resumed", shard=self._shard)

    def _obey(self, checkpointer: Any, *, waits: bool = False) -> bool:
        """What the switch of the writers asks for; True when nothing is to be applied any more, only detected.

        What stands still says so durably first, and does nothing until it is told otherwise. Raises Abandoned.
        """
        orders = self._orders()
        while orders.hold:
            if orders.acknowledge and orders.acknowledge != self._record.state.frozen_epoch:
                self._acknowledge(checkpointer, orders.acknowledge)
            if self._lost or not waits:
                return False
            if not self._wanted():
                raise Abandoned("the KCL has ended while the shard stood still; what was not applied is read again")
            self._clock.sleep(FROZEN_LOOK_SECONDS)
            orders = self._orders()
        return orders.detect

    def _open(self) -> None:
        """Once. Not by whoever only detects: after the switch the target is the application's, and may look so."""
        if not self._sink_is_open:
            self._open_sink()
            self._sink_is_open = True

    def _acknowledge(self, checkpointer: Any, epoch: int) -> None:
        """What was applied is durable with it, so that whoever reads on after the switch knows it from a stray."""
        last = self._last
        self._pending = msgspec.structs.replace(self._pending, frozen_epoch=epoch)
        self._save()
        log.info("shard_frozen", shard=self._shard, epoch=epoch)
        if last is not None:
            self._to_kcl(checkpointer, last.sequence)

    def _detect(self, events: list[Event], records: Iterable[Any]) -> None:
        """After the switch: what the application still writes here is kept, and never applied."""
        raw = {record.sequence_number: record for record in records}
        # A replay: applied before the switch, or kept already.
        news = [event for event in events if is_application(event) and int(event.sequence) > self._known_to]
        for event in news:
            self._keep_stray(self._shard, event, raw[event.sequence].binary_data)
        if news:
            log.warning("stray_writes", shard=self._shard, count=len(news))
        kept = msgspec.structs.replace(self._pending, strays=self._pending.strays + len(news))
        self._pending = _after(kept, events, 0, 0)
        self._last = Position(events[-1].sequence, events[-1].version)

    def _slices(self, records: Iterable[Any]) -> Iterator[list[Event]]:
        """The page in slices of about so many bytes: a thousand items of 400 KB must not be decoded at once."""
        events: list[Event] = []
        size = 0
        for record in records:
            json = record.binary_data  # decoded anew at each access
            events.append(self._read(json, record.sequence_number, self._versions))
            size += len(json)
            if size >= self._slice_bytes:
                yield events
                events, size = [], 0
        if events:
            yield events

    def shard_ended(self, end: Any) -> None:
        """Everything is applied: say so durably, then let the children begin."""
        if self._lost:
            return
        self._pending = msgspec.structs.replace(self._pending, ended=True)
        self._save()
        self._to_kcl(end.checkpointer, None)
        log.info("shard_ended", shard=self._shard, records=self._pending.records)

    def lease_lost(self, _: Any) -> None:
        """Another worker has the shard and will replay what was not checkpointed."""
        self._lost = True
        log.info("shard_lease_lost", shard=self._shard)

    def shutdown_requested(self, request: Any) -> None:
        """An orderly stop: leave as little as possible to replay."""
        if not self._lost:
            self._checkpoint(request.checkpointer, now=True)

    def trouble(self, message: str | None) -> None:
        """The target is away, or (None) back: written down, so that status and metrics can say so."""
        log.warning("target_unavailable" if message else "target_back", shard=self._shard, error=message)
        retries = self._pending.retries + (message is not None)
        self._pending = msgspec.structs.replace(self._pending, trouble=message, retries=retries)
        # Only the trouble is new: positions of the page in hand are not applied yet.
        self._save_state(msgspec.structs.replace(self._record.state, trouble=message, retries=retries))

    def _checkpoint(self, checkpointer: Any, *, now: bool = False) -> None:
        last = self._last
        self._pending = self._watch.looked(self._pending)
        # Somebody waits for a watch to be acknowledged, also by an idle shard.
        now = now or self._pending.watch != self._record.state.watch
        due = self._touch_seconds if last is None else self._checkpoint_seconds
        if not now and self._clock.monotonic() - self._saved_at < due:
            return
        self._save()
        if last is not None:
            self._to_kcl(checkpointer, last.sequence)

    def _save(self) -> None:
        if self._last is not None:
            self._pending = self._pending.advanced(self._last, self._checkpointed)
            self._last = None
        self._pending = self._empties.noted(self._pending)
        self._save_state(self._pending)

    def _save_state(self, state: ShardState) -> None:
        """Make it durable. Raises ShardLost."""
        self._record.save(msgspec.structs.replace(state, updated_at=self._clock.time()))
        self._saved_at = self._clock.monotonic()

    def _to_kcl(self, checkpointer: Any, sequence: str | None) -> None:
        """The KCL's checkpoint; None is the shard's end. The position is durable here already."""
        for attempt in range(1, CHECKPOINT_ATTEMPTS + 1):
            try:
                checkpointer.checkpoint(sequence)
            except CheckpointError as error:
                if error.value == "ShutdownException":
                    log.warning("shard_checkpoint_refused", shard=self._shard, error=str(error))
                    self._lost = True
                    return
                if error.value not in RETRIED or attempt == CHECKPOINT_ATTEMPTS:
                    raise
                self._clock.sleep(0.1 * 2**attempt)
            else:
                self._checkpointed = sequence or self._checkpointed
                return


def _after(state: ShardState, events: list[Event], applied: int, rejected: int) -> ShardState:
    """The state when all these events are durable in the target, or among the dead letters."""
    beats = [event.heartbeat for event in events if event.heartbeat is not None]
    latest = max(beats, key=lambda beat: beat.round, default=None)
    newer = latest is not None and latest.round >= state.heartbeat_round
    return msgspec.structs.replace(
        state,
        records=state.records + len(events),
        applied=state.applied + applied,
        rejected=state.rejected + rejected,
        applied_to=max(state.applied_to, events[-1].created_at),
        expired=state.expired + sum(event.expired for event in events),
        heartbeat_round=latest.round if latest is not None and newer else state.heartbeat_round,
        heartbeat_key=latest.key if latest is not None and newer else state.heartbeat_key,
        quiet_since_round=_quiet(state, events),
    )


def _quiet(state: ShardState, events: list[Event]) -> int:
    """The oldest round since which no application record came; 0 when one came after the newest.

    A second heartbeat of a round that was seen before the record proves nothing of the time since that round began.
    """
    since, newest = state.quiet_since_round, state.heartbeat_round
    for event in events:
        if event.heartbeat is not None:
            if event.heartbeat.round > newest:
                newest = event.heartbeat.round
                since = since or newest
        elif is_application(event):
            since = 0
    return since


class OrDie:
    """The one way to fail: any exception ends the process, at once.

    amazon_kclpy's own loop catches exceptions, prints them and reports the batch as done; the next
    checkpoint would pass it. That is silent loss.
    """

    version = 3

    def __init__(self, inner: Any, die: Callable[[int], Any] = os._exit) -> None:
        self._inner = inner
        self._die = die

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        """Each method of the inner processor, guarded."""
        method = getattr(self._inner, name)

        def guarded(argument: Any) -> None:
            try:
                method(argument)
            except BaseException as error:  # noqa: BLE001  nothing at all may pass
                log.critical("shard_failed", error=f"{type(error).__name__}: {error}", during=name)
                traceback.print_exc(file=sys.stderr)
                sys.stderr.flush()
                # Where it can still be written down, `moveout status` tells why shards keep ending.
                with contextlib.suppress(Exception):
                    self._inner.trouble(f"{type(error).__name__}: {error}")
                self._die(1)

        return guarded

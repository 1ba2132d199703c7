"""Work of the leader that takes its time: beside the loop, which must go on turning."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import resync
from daemon.app import Parts
from daemon.clock import SYSTEM, Clock
from daemon.control import Migration, Proof
from daemon.dead_letter import in_source
from daemon.letter_box import BoxUnavailable
from daemon.retry import Abandoned, Retrying
from sinks.sink import BulkLoad, Readable, Sink, SinkError

log = structlog.get_logger()

FAILURES = (SinkError, ClientError, BotoCoreError, Abandoned, BoxUnavailable, resync.NotHealed)


class Beside:
    """One piece of work in a thread: started when asked to, at most every so often, again when it failed."""

    def __init__(self, name: str, act: Callable[[], None], every_seconds: float = 0.0, clock: Clock = SYSTEM) -> None:
        self._name = name
        self._act = act
        self._every_seconds = every_seconds
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._started_at = float("-inf")
        self.done = False

    def start(self) -> None:
        """Begin, unless it runs, or ran a moment ago."""
        running = self._thread is not None and self._thread.is_alive()
        if running or self._clock.monotonic() - self._started_at < self._every_seconds:
            return
        self._started_at = self._clock.monotonic()
        self._spawn()

    def _spawn(self) -> None:
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name=self._name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._act()
            self.done = True
        except FAILURES as error:
            log.error("work_failed", work=self._name, error=str(error), next="tried again")  # noqa: TRY400


def settle(known: Parts, migration: Migration, wanted: Callable[[], bool]) -> None:
    """What must follow the load before anything can be called ready. Raises what FAILURES lists."""
    sink = _opened(known, wanted)
    try:
        swept = sink.settle() if isinstance(sink, BulkLoad) else 0
        log.info("backfill_settled", rows_removed=swept)
        if migration.sweep is not None:
            _sweep(known, migration, sink)
    finally:
        sink.close()


def _sweep(known: Parts, migration: Migration, sink: Retrying) -> None:
    assert migration.sweep is not None  # noqa: S101  asked by the caller
    asked = in_source(known.dynamodb, known.config.source.table, known.keys)
    removed, rejected = resync.sweep(sink.inner, migration.sweep, asked)
    known.dead_letters.keep(rejected, "the sweep of a resync")
    void = void_letters(known, migration)
    log.info("resync_swept", rows_removed=removed, letters_settled=len(void))


def void_letters(known: Parts, migration: Migration) -> list[str]:
    """Settle the dead letters that a resync has made void; which. None may be retried after it."""
    if migration.sweep is None:
        return []
    asked = in_source(known.dynamodb, known.config.source.table, known.keys)
    return known.dead_letters.resynced(partial(resync.is_ghost, migration.sweep, asked))


def settle_letters(known: Parts, wanted: Callable[[], bool]) -> None:
    """Recognise dead letters whose key has moved on. Raises what FAILURES lists."""
    sink = _opened(known, wanted)
    try:
        if isinstance(sink.inner, Readable):
            asked = in_source(known.dynamodb, known.config.source.table, known.keys)
            proof, anchored = known.control.get("proof", Proof), known.control.get("migration", Migration)
            through = proof[0].of(anchored[0].generation).applied_through if proof and anchored else None
            for letter in known.dead_letters.settle(sink.inner, asked, through):
                log.info("dead_letter_settled", id=letter)
    finally:
        sink.close()


def _opened(known: Parts, wanted: Callable[[], bool]) -> Retrying:
    inner: Sink = known.sink(may_create=False)
    sink = Retrying(inner, on_trouble=_trouble, wanted=wanted, sleep=known.clock.sleep)
    sink.open()
    return sink


def _trouble(message: str | None) -> None:
    log.warning("target_unavailable" if message else "target_back", error=message, during="settle")

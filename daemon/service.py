"""`moveout run`: the loop that supervises, observes, decides and publishes. PID 1 of the container."""

import os
import signal as signals
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import anchor, cutover, metrics, server
from daemon import log as logs
from daemon.app import Parts
from daemon.backfill import PARTS
from daemon.control import Conflict, Control, Migration, Part, ShardState
from daemon.cutover import Limits, Observation
from daemon.java.jre import java
from daemon.kcl.jvm import EXIT_GAP, EXIT_MEANING
from daemon.kcl.start import kcl_daemon, worker_id
from daemon.leader import Leadership
from daemon.metrics import ProcessHealth
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.prove import Prover, Seen
from daemon.retry import Retrying
from daemon.signal import file
from daemon.signal.document import Document, Progress, Tail, document
from daemon.supervise import Command, Kept
from daemon.worker import PARENT_VARIABLE
from sinks.sink import SinkError

log = structlog.get_logger()

TURN_SECONDS = 0.5
PUBLISH_SECONDS = 5.0
STALE_SECONDS = 30.0
STOP_GRACE_SECONDS = 25.0
RATE_WINDOW_SECONDS = 15.0
# Large exports have thousands of parts: read their records so often that it costs next to nothing.
PARTS_PER_SECOND = 500
AWAY = (ClientError, BotoCoreError, Conflict)


class Service:
    """One replica."""

    def __init__(self, known: Parts, config_path: Path) -> None:
        self._parts = known
        self._config = known.config
        self._config_path = config_path
        self._control: Control = known.control
        # The KCL's worker id: one process per id, and after a crash it need not wait for its own lease.
        self._leadership = Leadership(self._control, worker_id(self._config))
        self._limits = Limits(self._config.ready.max_lag_seconds, self._config.ready.stable_for_seconds)
        self._stop = threading.Event()
        self._looped_at = time.monotonic()
        self._observed_at = 0.0  # epoch seconds
        self._published: Document | None = None
        self._published_at = 0.0
        self._prover: Prover | None = None
        self._beat_at = 0.0
        self._loaded: Mapping[str, Part] = {}
        self._loaded_at = 0.0
        self._rates: deque[tuple[float, int]] = deque()
        self._leading = False
        self._fault: str | None = "starting"
        self._kcl = Kept("kcl", lambda: kcl_daemon(self._parts, self._config_path), lambda code: code == EXIT_GAP)
        self._workers = [self._worker(index) for index in range(self._config.backfill.workers)]
        self._settling: threading.Thread | None = None
        self._settled = False

    def run(self) -> None:
        """Until SIGTERM. Raises CheckFailed when the move cannot begin, ListenFailed."""
        for name in (signals.SIGTERM, signals.SIGINT):
            signals.signal(name, lambda *_: self._stop.set())
        view = server.View(lambda: self._published, self._not_ready, lambda: self._looped_at, self._registry())
        with server.serving(view, self._config.server.host, self._config.server.port):
            log.info("service_started", listen=self._config.server.listen, pid=os.getpid())
            try:
                self._begin()
                while not self._stop.wait(TURN_SECONDS):
                    self._turn()
            finally:
                self._end()

    def _registry(self) -> Any:
        return metrics.registry(lambda: self._published, self._health)

    def _begin(self) -> None:
        """Checks once, before anything is touched; a migration that was begun goes on."""
        _ = self._parts.facts
        java()
        self._control.create_table()
        found = self._control.get("migration", Migration)
        if found is not None and found[0].phase is not Phase.CREATED:
            anchor.unchanged(self._parts, found[0])
            return
        while not self._leadership.held():
            log.info("waiting_for_leader", hint="another replica anchors the migration")
            if self._stop.wait(TURN_SECONDS) or self._is_anchored():
                return
        if not self._is_anchored():
            migration = anchor.anchored(self._parts, Migration())
            self._save(migration, found[1] if found else 0)

    def _is_anchored(self) -> bool:
        found = self._control.get("migration", Migration)
        return found is not None and found[0].phase is not Phase.CREATED

    def _turn(self) -> None:
        """One turn: keep the processes, look, decide, publish. AWS being away costs time, nothing else."""
        self._looped_at = time.monotonic()
        try:
            migration, revision = self._control.get("migration", Migration) or (Migration(), 0)
            self._keep_processes(migration)
            self._leading = self._leadership.held()
            if self._leading:
                self._lead(migration, revision)
            else:
                self._follow()
            self._fault = None
        except AWAY as error:
            self._fault = f"the control table or the source cannot be reached: {error}"
            log.warning("turn_failed", error=str(error))

    def _keep_processes(self, migration: Migration) -> None:
        if migration.phase is Phase.NEEDS_RESYNC:
            self._kcl.stop(STOP_GRACE_SECONDS)
            return
        self._kcl.tick()
        if migration.phase is Phase.BACKFILLING and self._leading:
            for worker in self._workers:
                worker.tick()

    def _worker(self, index: int) -> Kept:
        arguments = [sys.executable, "-m", "daemon.cli", "backfill", "--config", str(self._config_path)]
        arguments += ["--index", str(index), "--of", str(self._config.backfill.workers)]
        environment = {PARENT_VARIABLE: str(os.getpid()), **logs.export_path()}
        return Kept(f"backfill-{index}", lambda: Command(arguments, environment), lambda code: code == 0)

    def _lead(self, migration: Migration, revision: int) -> None:
        seen = self._prove(migration)
        self._load_parts(migration)
        observation = self._observe(seen)
        self._settle_when_loaded(migration, observation)
        gap = self._gap(migration)
        known = msgspec.structs.replace(migration, gap=gap, settled=migration.settled or self._settled)
        decided = cutover.decide(known, observation, self._limits)
        if decided != migration:
            self._save(decided, revision)
        self._publish(decided, observation, seen, changed=decided.message != migration.message)

    def _prove(self, migration: Migration) -> Seen:
        if self._prover is None:
            facts = self._parts.facts
            stream = msgspec.structs.replace(facts.stream, arn=migration.stream_arn)
            self._prover = Prover(
                self._control,
                self._parts.dynamodb,
                self._parts.streams,
                self._config.source.table,
                facts.keys,
                stream,
            )
        if time.monotonic() - self._beat_at >= self._config.tail.heartbeat_seconds:
            self._beat_at = time.monotonic()
            self._prover.beat()
        return self._prover.look()

    def _load_parts(self, migration: Migration) -> None:
        settled_down = migration.phase is Phase.REPLICATING and self._loaded
        pause = max(1.0, len(self._loaded) / PARTS_PER_SECOND)
        if not settled_down and time.monotonic() - self._loaded_at >= pause:
            self._loaded = {name: part for name, (part, _) in self._control.all(PARTS, Part).items()}
            self._loaded_at = time.monotonic()

    def _observe(self, seen: Seen) -> Observation:
        now = time.time()
        self._observed_at = now
        parts = self._loaded.values()
        return Observation(
            now=now,
            parts_total=len(parts),
            parts_done=sum(part.done for part in parts),
            items_total=sum(part.items for part in parts),
            items_done=sum(part.rows_read for part in parts),
            part_error=next((part.error for part in parts if part.error), None),
            applied_through=seen.proof.applied_through,
            lag_reason=seen.proof.reason,
            trouble=_trouble(seen.states),
        )

    def _settle_when_loaded(self, migration: Migration, seen: Observation) -> None:
        """The sweep takes as long as there are deletions: beside the loop, once."""
        loaded = migration.phase is Phase.BACKFILLING and cutover.backfill_accounted(seen)
        if loaded and not migration.settled and self._settling is None:
            self._settling = threading.Thread(
                target=copy_context().run, args=(self._settle,), name="settle", daemon=True
            )
            self._settling.start()

    def _settle(self) -> None:
        sink = Retrying(self._parts.sink(), on_trouble=_settle_trouble, wanted=lambda: not self._stop.is_set())
        try:
            sink.open()
            swept = sink.settle()
        except SinkError as error:
            log.error("settle_failed", error=str(error), next="tried again")  # noqa: TRY400
            self._settling = None
            return
        finally:
            sink.close()
        log.info("backfill_settled", rows_removed=swept)
        self._settled = True

    def _gap(self, migration: Migration) -> str | None:
        if migration.gap is None and self._kcl.exit_code == EXIT_GAP:
            return "records were trimmed from the stream, after 24 hours, before they were read"
        return migration.gap or anchor.gap(self._parts, migration)

    def _save(self, migration: Migration, revision: int) -> None:
        self._control.put("migration", migration, revision)
        log.info("decided", phase=migration.phase.value, why=migration.message)

    def _publish(self, migration: Migration, observation: Observation, seen: Seen, *, changed: bool) -> None:
        progress = Progress(seen.proof.proven_round, self._rate(observation), self._tail(seen))
        self._published = document(self._config.migration, migration, observation, self._limits, progress)
        if changed or time.monotonic() - self._published_at >= PUBLISH_SECONDS:
            self._control.update("signal", Document, lambda _: self._published)  # type: ignore[arg-type,return-value]
            self._published_at = time.monotonic()
        if self._config.signal.file is not None:
            file.publish(self._config.signal.file, self._published)

    def _follow(self) -> None:
        """Another replica leads: show what it published."""
        self._prover = None
        found = self._control.get("signal", Document)
        self._published = found[0] if found else None
        self._observed_at = time.time()

    def _rate(self, seen: Observation) -> float:
        """Items per second over the last seconds."""
        self._rates.append((seen.now, seen.items_done))
        while seen.now - self._rates[0][0] > RATE_WINDOW_SECONDS:
            self._rates.popleft()
        (began, before), (now, done) = self._rates[0], self._rates[-1]
        return max(0.0, (done - before) / (now - began)) if now > began else 0.0

    def _tail(self, seen: Seen) -> Tail:
        total = seen.proof.archived
        for state in seen.states.values():
            total = total.plus(state)
        return Tail(
            records=total.records,
            applied=total.applied,
            expired=total.expired,
            shards_open=seen.proof.shards_open,
            shards_ended=total.ended,
            shards_unowned=seen.proof.shards_unowned,
            restarts=self._kcl.restarts,
        )

    def _health(self) -> ProcessHealth:
        restarts = sum(worker.restarts for worker in self._workers)
        return ProcessHealth(self._leading, self._kcl.restarts, restarts, self._observed_at)

    def _not_ready(self) -> str | None:
        """Why this replica does not carry data; None when it does."""
        if self._fault is not None:
            return self._fault
        if time.time() - self._observed_at > STALE_SECONDS:
            return f"nothing was observed for {STALE_SECONDS:g} s"
        if not self._kcl.running:
            return f"the KCL is not running: {EXIT_MEANING.get(self._kcl.exit_code, 'it starts')}"
        published = self._published
        troubles = (
            [c.message for c in published.conditions if not c.status and c.type == "TargetAvailable"]
            if published
            else []
        )
        return next(iter(troubles), None)

    def _end(self) -> None:
        """Drain: the KCL first, whose children checkpoint; the workers' parts are simply done again."""
        self._kcl.stop(STOP_GRACE_SECONDS)
        for worker in self._workers:
            worker.stop(grace_seconds=5)
        log.info("service_stopped")


def _trouble(states: Mapping[str, ShardState]) -> str | None:
    return next((state.trouble for state in states.values() if state.trouble and not state.ended), None)


def _settle_trouble(message: str | None) -> None:
    log.warning("target_unavailable" if message else "target_back", error=message, during="settle")


__all__ = ["CheckFailed", "Service"]

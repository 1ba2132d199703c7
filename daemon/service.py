"""The move of one table, in one replica: keeps the processes, observes, decides, publishes; a turn at a time."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import anchor, beside, completion, cutover, exporting, gap, ordered
from daemon.app import Parts
from daemon.control import Conflict, Control, Migration, ShardState
from daemon.cutover import Limits
from daemon.handover import Handover
from daemon.kcl.jvm import EXIT_GAP, EXIT_MEANING
from daemon.kcl.start import worker_id
from daemon.leader import Leadership
from daemon.metrics import ProcessHealth
from daemon.observe import Look, Observer
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.processes import Processes
from daemon.signal.document import Document, Paused, Progress, Tail, document
from daemon.supervise import Kept, Process
from daemon.target_settings import LOOK_SECONDS, Guard
from daemon.verify.keeping import Keeping

log = structlog.get_logger()

PUBLISH_SECONDS = 5.0
STALE_SECONDS = 30.0
STOP_GRACE_SECONDS = 25.0
LETTERS_SECONDS = 15.0
AWAY = (ClientError, BotoCoreError, Conflict)


class Service:
    """One table. `leadership` is shared by all tables of the migration; `may_load` bounds how many load at once."""

    def __init__(
        self,
        known: Parts,
        processes: Processes,
        leadership: Leadership | None = None,
        may_load: Callable[["Service"], bool] = lambda _: True,
    ) -> None:
        self._parts = known
        self._config = known.config
        self._clock = known.clock
        self._processes = processes
        self._control: Control = known.control
        # The KCL's worker id: one process per id, and after a crash it need not wait for its own lease.
        self._leadership = leadership or Leadership(self._control, worker_id(self._config), known.clock.time)
        self._may_load = may_load
        self._limits = Limits(self._config.ready.max_lag_seconds, self._config.ready.stable_for_seconds)
        self._stop = threading.Event()
        self.phase = Phase.CREATED
        self._reads = self._config.tails  # there is a stream to be read
        self._observed_at = 0.0  # epoch seconds
        self.published: Document | None = None
        self._published_at = 0.0
        self._leading = False
        self._fault: str | None = "starting"
        self._restarts = 0  # of the KCL, in generations that a resync has put an end to
        self._letters = processes.beside("dead-letters", self._settle_letters, LETTERS_SECONDS)
        self._export = processes.beside("export", lambda: exporting.advance(known), exporting.poll_seconds(known))
        self._guard = Guard(known)
        self._guarding = processes.beside("target-settings", self._guard.look, LOOK_SECONDS)
        self._handover = Handover(known, processes)
        self._epoch: int | None = None
        self._begin_generation(Migration())

    def _begin_generation(self, migration: Migration) -> None:
        """What belongs to one anchoring: a resync makes all of it anew."""
        self._generation = migration.generation
        self._kcl = self._kept("kcl", self._processes.kcl, EXIT_GAP)
        self._workers = [self._worker(index) for index in range(self._config.backfill.workers)]
        self._verifying = Keeping(self._parts, lambda: self._kept("verify", self._processes.verifier, 0))
        self._observer: Observer | None = None
        self._settling = self._processes.beside("settle", lambda: beside.settle(self._parts, migration, self._wanted))

    def _kept(self, name: str, start: Callable[[], Process], final: int) -> Kept:
        return Kept(name, start, lambda code: code == final, self._clock.monotonic, self._parts.chance)

    def _worker(self, index: int) -> Kept:
        of = self._config.backfill.workers
        return self._kept(f"backfill-{index}", lambda: self._processes.worker(index, of), 0)

    @property
    def table(self) -> str:
        """The source's name."""
        return self._config.source.table

    def stop(self) -> None:
        """Work that waits for something is not wanted any more."""
        self._stop.set()

    def prepare(self) -> None:
        """What must be there before anything is touched. Raises CheckFailed, JavaMissing, ClientError, …"""
        _ = self._parts.table
        if self._config.tails:
            self._processes.check()
        if self._config.tails and not self._is_begun():
            _ = self._parts.facts  # a stream that is lost later is a gap; one that is not there yet is a refusal
        self._control.create_table()
        completion.refuse_if_begun(self._control)

    def _is_begun(self) -> bool:
        """False also while there is no control table."""
        try:
            found = self._control.get("migration", Migration)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return False
            raise
        return found is not None and found[0].phase is not Phase.CREATED

    def check(self) -> None:
        """Refuse now what the anchor would refuse. Raises CheckFailed, ClientError, BotoCoreError."""
        if not self._is_begun():
            anchor.checked(self._parts)

    def begun(self) -> bool:
        """Anchor the migration, where nobody has; one that was begun goes on, with whatever it finds. As prepare."""
        found = self._control.get("migration", Migration)
        if found is not None and found[0].phase is not Phase.CREATED:
            anchor.unchanged(self._parts, found[0])
            return True
        if not self._leadership.held():
            return False
        migration = anchor.anchor(self._parts)
        log.info("decided", phase=migration.phase.value, why=migration.message)
        return True

    def turn(self) -> None:
        """One turn: keep the processes, look, decide, publish. AWS being away costs time, nothing else."""
        try:
            migration, revision = self._control.get("migration", Migration) or (Migration(), 0)
            self.phase, self._reads = migration.phase, self._config.tails and not migration.is_sealed
            self._tell_routes(migration)
            if migration.generation != self._generation:
                self._renew(migration)
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
        except CheckFailed as error:
            self._fault = str(error)
            log.warning("turn_failed", error=str(error))

    def _renew(self, migration: Migration) -> None:
        """Another anchoring is in force: end what belongs to the one before."""
        log.info("generation_begins", generation=migration.generation)
        self._end_processes()
        self._restarts += self._kcl.restarts
        self._begin_generation(migration)

    def _keep_processes(self, migration: Migration) -> None:
        if self._kcl.exit_code == EXIT_GAP and migration.gap is None:
            self._tell_gap()
        if migration.phase in (Phase.NEEDS_RESYNC, Phase.ABORTED):
            self._end_processes()
            return
        if migration.is_sealed:
            self._kcl.stop(STOP_GRACE_SECONDS)
        elif migration.mode != "backfill":
            self._kcl.tick()
        if migration.phase is Phase.BACKFILLING and self._leading and self._may_load(self):
            for worker in self._workers:
                worker.tick()

    def _tell_routes(self, migration: Migration) -> None:
        """Whoever has changed them, the log has it: a command writes into the record only."""
        if self._epoch is not None and migration.epoch != self._epoch:
            told = msgspec.structs.asdict(migration.routes)
            log.info("routes", epoch=migration.epoch, why=migration.message, **told)
        self._epoch = migration.epoch

    def _tell_gap(self) -> None:
        """This replica's KCL has met a gap: whoever leads must know."""

        def told(current: Migration | None) -> Migration:
            current = current or Migration()
            gapped = msgspec.structs.replace(current, gap=current.gap or gap.TRIMMED)
            return gapped if current.generation == self._generation else current

        self._control.update("migration", Migration, told)

    def _lead(self, migration: Migration, revision: int) -> None:
        if self._observer is None:
            self._observer = Observer(self._parts, migration, self._guard)
        if migration.phase is not Phase.ABORTED:
            self._guarding.start()
        look = self._observer.look(migration, settled=self._settling.done)
        verified = self._verifying.turn(migration, look.observation)
        look = look._replace(observation=look.observation._replace(verified=verified))
        if cutover.to_be_settled(migration, look.observation):
            self._settling.start()
        if exporting.pending(migration):
            self._export.start()
        if look.observation.dead_letter is not None and migration.phase is not Phase.SWITCHED:
            self._letters.start()
        decided = cutover.decide(migration, look.observation, self._limits)
        decided = self._handover.turn(decided, look.seen)
        if decided != migration:
            self._save(decided, revision)
        self._observed_at = look.observation.now
        self._publish(decided, look, changed=decided.message != migration.message)

    def _settle_letters(self) -> None:
        beside.settle_letters(self._parts, self._wanted)

    def _wanted(self) -> bool:
        return not self._stop.is_set()

    def _save(self, migration: Migration, revision: int) -> None:
        self._control.put("migration", migration, revision)
        log.info("decided", phase=migration.phase.value, why=migration.message)

    def _publish(self, migration: Migration, look: Look, *, changed: bool) -> None:
        proven, paused = look.seen.proof.proven_round, self._paused(migration, look)
        tail, verified = self._tail(look), self._verifying.shown
        rate, slowest = look.items_per_second, look.seen.slowest
        progress = Progress(proven, rate, tail, look.letters, paused, verified, slowest=slowest)
        observation, limits = look.observation, self._limits
        made = document(self._config.name, migration, observation, limits, progress, self.table)
        self.published = made
        if changed or self._clock.monotonic() - self._published_at >= PUBLISH_SECONDS:
            # Who was asleep, and has nothing to save, meets no compare-and-set: another leader's epoch stands.
            self.published = self._control.update(
                "signal", Document, lambda found: found if found is not None and found.epoch > made.epoch else made
            )
            self._published_at = self._clock.monotonic()

    def _follow(self) -> None:
        """Another replica leads, and has workers of its own: show what it published."""
        self._stop_workers()
        self._observer = None
        self._guard.forget()
        found = self._control.get("signal", Document)
        self.published = found[0] if found else None
        self._observed_at = self._clock.time()

    def _paused(self, migration: Migration, look: Look) -> Paused:
        settings, seen, now = self._parts.settings.now(), look.seen, look.observation.now
        left = None
        if seen.stream is not None:
            left = gap.trims_in_seconds(migration, seen.stream, seen.states, look.observation.applied_through, now)
        waits = ordered.waits(self._config, migration)
        return Paused(settings.backfill_paused, settings.tail_paused, None if left is None else round(left), waits)

    def _tail(self, look: Look) -> Tail:
        seen = look.seen
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
            restarts=self._restarts + self._kcl.restarts,
            strays=total.strays,
            retries=total.retries,
            preimages=total.preimages,
            preimages_wrong=total.preimages_wrong,
            owners=_owners(seen.states.values()),
        )

    def health(self) -> ProcessHealth:
        """What only this replica knows of this table."""
        restarts = sum(worker.restarts for worker in self._workers)
        jvm, verify = self._restarts + self._kcl.restarts, self._verifying.restarts
        return ProcessHealth(self._leading, jvm, restarts, self._observed_at, verify)

    def not_ready(self) -> str | None:
        """Why this replica does not carry data; None when it does."""
        if self._fault is not None:
            return self._fault
        if self._clock.time() - self._observed_at > STALE_SECONDS:
            return f"nothing was observed for {STALE_SECONDS:g} s"
        published = self.published
        if published is not None and published.phase in (Phase.NEEDS_RESYNC, Phase.ABORTED):
            return published.message
        if self._reads and not self._kcl.running:
            return f"the KCL is not running: {EXIT_MEANING.get(self._kcl.exit_code, 'it starts')}"
        troubles = (
            [c.message for c in published.conditions if not c.status and c.type == "TargetAvailable"]
            if published
            else []
        )
        return next(iter(troubles), None)

    def end(self) -> None:
        """Drain: the KCL first, whose children checkpoint; the workers' parts are simply done again."""
        self._end_processes()

    def _end_processes(self) -> None:
        self._kcl.stop(STOP_GRACE_SECONDS)
        self._stop_workers()

    def _stop_workers(self) -> None:
        self._verifying.stop()
        for worker in self._workers:
            worker.stop(grace_seconds=5)


def _owners(states: Iterable[ShardState]) -> dict[str, int]:
    """By host: which of its processes it was is forgotten with the next one."""
    return dict(Counter(state.owner.partition("/")[0] for state in states if state.owner and not state.ended))


__all__ = ["CheckFailed", "Service"]

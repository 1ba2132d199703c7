"""What the leader looks at before it decides: the parts, the shards, the stream, the dead letters."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from daemon import cutover, dead_letter, exporting, gap, preflight, prove, seal
from daemon.app import Parts
from daemon.control import Migration, Part, Proof, ShardState, parts_of, shards_of
from daemon.cutover import Observation
from daemon.dead_letter import LETTERS, DeadLetter
from daemon.gap import StreamIdentity
from daemon.phase import Phase
from daemon.prove import HeartbeatsRefused, Prover, Seen
from daemon.quiet import Watcher
from daemon.source import shards
from daemon.target_settings import Guard

# Large exports have thousands of parts: read their records so often that it costs next to nothing.
RECORDS_PER_SECOND = 500
IDENTITY_SECONDS = 15.0
RATE_WINDOW_SECONDS = 15.0
SWITCHING_BEAT_SECONDS = 1.0


class Look(NamedTuple):
    """One look at everything."""

    observation: Observation
    seen: Seen
    letters: Mapping[str, int]  # state -> how many
    items_per_second: float


class Observer:
    """Looks, for one generation of a migration. Its methods raise ClientError, BotoCoreError, CheckFailed."""

    def __init__(self, known: Parts, migration: Migration, guard: Guard) -> None:
        self._parts = known
        self._control = known.control
        self._clock = known.clock
        self._guard = guard
        self.generation = migration.generation
        self._proof = known.config.tail.proof
        self._prover: Prover | Watcher | None = None
        self._refused: str | None = None  # why no heartbeat could be written
        self._beat_at = float("-inf")
        self._parts_seen: Mapping[str, Part] = {}
        self._parts_at = float("-inf")
        self._letters: Mapping[str, DeadLetter] = {}
        self._letters_at = float("-inf")
        self._identity_at = float("-inf")
        self._identity_gap: str | None = None
        self._missing_since: dict[str, float] = {}
        self._rates: deque[tuple[float, int]] = deque()

    def look(self, migration: Migration, *, settled: bool) -> Look:
        """Everything as it is now. `settled`: what must follow the load has been done."""
        now = self._clock.time()
        tails = migration.mode != "backfill" and migration.phase is not Phase.ABORTED and not migration.is_sealed
        found = migration.gap or (self._identity(migration) if tails else None)
        # Nothing can be proven over a gap, and the stream may not be there any more.
        seen = self._prove(migration) if tails and found is None else self._as_recorded()
        found = found or self._shards(migration, seen, now)
        self._load_parts(migration)
        self._load_letters()
        observation = self._with_seal(self._observation(now, seen, gap=found, settled=settled), migration)
        if exporting.pending(migration):
            observation = self._with_export(observation)
        return Look(observation, seen, dead_letter.counts(self._letters), self._rate(observation))

    def _identity(self, migration: Migration) -> str | None:
        if self._clock.monotonic() - self._identity_at >= IDENTITY_SECONDS:
            found = preflight.table(self._parts.config, self._parts.dynamodb)
            self._identity_gap = gap.of_identity(migration, found.stream)
            if self._identity_gap and self._proof == "seal" and self._sealed_by_us(migration, found.stream):
                self._identity_gap = None
            self._identity_at = self._clock.monotonic()
        return self._identity_gap

    def _sealed_by_us(self, migration: Migration, identity: StreamIdentity) -> bool:
        return seal.accounts_for(seal.recorded(self._control), migration, identity)

    def _as_recorded(self) -> Seen:
        found = self._control.get("proof", Proof)
        states = self._control.all(shards_of(self.generation), ShardState)
        return Seen(found[0] if found else Proof(), {name: state for name, (state, _) in states.items()})

    def _prove(self, migration: Migration) -> Seen:
        if self._prover is None:
            self._prover = self._made(migration)
        pause = self._parts.config.tail.heartbeat_seconds
        if migration.phase is Phase.SWITCHING:
            pause = min(pause, SWITCHING_BEAT_SECONDS)  # the writers wait for it
        if self._clock.monotonic() - self._beat_at >= pause:
            self._beat_at = self._clock.monotonic()
            try:
                self._prover.beat()
                self._refused = None
            except HeartbeatsRefused as error:
                self._refused = str(error)
        return self._prover.look()

    def _made(self, migration: Migration) -> Prover | Watcher:
        known, generation = self._parts, migration.generation
        stream = shards.describe(known.streams, migration.stream_arn, self._clock)
        if self._proof != "heartbeat":
            return Watcher(self._control, known.streams, stream, generation, clock=self._clock)
        return Prover(
            self._control,
            known.dynamodb,
            known.streams,
            known.config.source.table,
            prove.form(known, migration),
            stream,
            generation,
            clock=self._clock,
            chance=known.chance,
        )

    def _through(self, proof: Proof) -> float | None:
        """What is proven; without heartbeats, what is likely."""
        return proof.applied_through if self._proof == "heartbeat" else proof.probably_through

    def _unproven(self) -> str | None:
        """Why what is told of lag must not count."""
        if self._proof == "heartbeat" or self._parts.config.ready.allow_unproven:
            return self._refused
        return (
            f"tail.proof is {self._proof}: nothing is written to the source, so that all is applied is only likely. "
            "Set ready.allow_unproven: true to let readers switch on that, or tail.proof: heartbeat to have it proven"
        )

    def _shards(self, migration: Migration, seen: Seen, now: float) -> str | None:
        if seen.stream is None:
            return None
        missing = gap.vanished(seen.stream, seen.states)
        self._missing_since = {shard: self._missing_since.get(shard, now) for shard in missing}
        return gap.of_shards(self._missing_since, now) or gap.of_time(
            migration, seen.stream, seen.states, self._through(seen.proof), now
        )

    def _load_parts(self, migration: Migration) -> None:
        settled_down = migration.phase in cutover.FOLLOWING and self._parts_seen
        pause = max(1.0, len(self._parts_seen) / RECORDS_PER_SECOND)
        if not settled_down and self._clock.monotonic() - self._parts_at >= pause:
            records = self._control.all(parts_of(migration.parts_generation), Part)
            self._parts_seen = {name: part for name, (part, _) in records.items()}
            self._parts_at = self._clock.monotonic()

    def _load_letters(self) -> None:
        if self._clock.monotonic() - self._letters_at >= max(1.0, len(self._letters) / RECORDS_PER_SECOND):
            records = self._control.all(LETTERS, DeadLetter)
            self._letters = {name: letter for name, (letter, _) in records.items()}
            self._letters_at = self._clock.monotonic()

    def _observation(self, now: float, seen: Seen, *, gap: str | None, settled: bool) -> Observation:
        parts = self._parts_seen.values()
        return Observation(
            now=now,
            parts_total=len(parts),
            parts_done=sum(part.done for part in parts),
            items_total=sum(part.items for part in parts),
            items_done=sum(part.rows_read for part in parts),
            part_error=next((part.error for part in parts if part.error), None),
            applied_through=self._through(seen.proof),
            proof="heartbeat" if self._proof == "heartbeat" else "quiet",
            proven_at=seen.proof.proven_at,
            unproven=self._unproven(),
            lag_reason=seen.proof.reason,
            trouble=_trouble(seen.states),
            dead_letter=dead_letter.first_open(self._letters),
            gap=gap,
            settled=settled,
            applied=sum(part.applied for part in parts),
            rejected=sum(part.rejected for part in parts),
            skipped=sum(part.skipped for part in parts),
            bytes_read=sum(part.bytes_read for part in parts),
            estimated=not all(part.counted or part.done for part in parts),
            hazard=self._guard.hazard(),
            strays=seen.proof.archived.strays + sum(state.strays for state in seen.states.values()),
        )

    def _with_seal(self, seen: Observation, migration: Migration) -> Observation:
        """A sealed stream that is read to its end proves what heartbeats would."""
        state = seal.recorded(self._control) if self._proof == "seal" else None
        if state is None or not state.zero or state.stream_arn != migration.stream_arn:
            return seen
        return seen._replace(
            applied_through=state.sealed_at, proof="seal", unproven=None, lag_reason=state.message, proven_at=seen.now
        )

    def _with_export(self, seen: Observation) -> Observation:
        found = self._control.get(exporting.RECORD, exporting.Job)
        job = found[0] if found and found[0].generation == self.generation else None
        failed = job is not None and job.state == "failed"
        return seen._replace(export=exporting.told(job, seen.now), export_failed=failed)

    def _rate(self, seen: Observation) -> float:
        """Items per second over the last seconds."""
        self._rates.append((seen.now, seen.items_done))
        while seen.now - self._rates[0][0] > RATE_WINDOW_SECONDS:
            self._rates.popleft()
        (began, before), (now, done) = self._rates[0], self._rates[-1]
        return max(0.0, (done - before) / (now - began)) if now > began else 0.0


def _trouble(states: Mapping[str, ShardState]) -> str | None:
    return next((state.trouble for state in states.values() if state.trouble and not state.ended), None)

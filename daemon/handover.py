"""The acting half of the writers' switch: what each step does, and what the leader sees of it. Leader only.

The decisions are daemon/writers.py's. What takes time runs beside the loop; what became of it belongs to one step of
one attempt, so that an answer which comes late is nobody's.
"""

from collections.abc import Callable
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import seal, writers
from daemon.app import Parts
from daemon.control import Conflict, Migration
from daemon.fence import Attempt, FenceFailed
from daemon.final_check import final_check
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.processes import Processes
from daemon.prove import Seen
from daemon.retry import Abandoned
from daemon.routes import Side
from daemon.seal import SealStep
from daemon.switching import Step, Switch
from daemon.writers import NOTHING_YET, Begun, Sight, Work
from sinks.dynamodb.options import DynamoDbOptions
from sinks.sink import BulkLoad, Clocked, Followable, Sink, SinkError

log = structlog.get_logger()

AGAIN_SECONDS = 0.5
TROUBLES = (SinkError, ClientError, BotoCoreError, Abandoned, Conflict, CheckFailed)
SEALING_FOR = {
    SealStep.WATCHING: "a minute without a record, which verifies the fence",
    SealStep.SEALING: "the stream to be disabled",
    SealStep.DRAINING: "the sealed stream to be read to its end",
}

# The attempt, the step, and where in the journal: a step that is begun again is another one.
Token = tuple[str, Step, int, float]


def _token(switch: Switch) -> Token:
    return (switch.id, switch.step, len(switch.journal), switch.journal[-1].at if switch.journal else 0.0)


class Task:
    """Work beside the loop, one piece at a time; what came of it is told to whoever asks for that very piece."""

    def __init__(self, name: str, processes: Processes) -> None:
        self._beside = processes.beside(name, self._act, AGAIN_SECONDS)
        self._asked: tuple[Token, Callable[[], Work]] | None = None
        self._came: tuple[Token, Work] = (("", Step.DONE, 0, 0.0), NOTHING_YET)

    def done(self, token: Token, act: Callable[[], Work]) -> Work:
        """What came of it so far. Begins it where that is not a success."""
        if not self._of(token).done:
            self._asked = (token, act)
            self._beside.start()
        return self._of(token)

    def _of(self, token: Token) -> Work:
        asked, came = self._came
        return came if asked == token else NOTHING_YET

    def _act(self) -> None:
        assert self._asked is not None  # noqa: S101  asked before it is started
        token, act = self._asked
        try:
            came = act()
        except FenceFailed as error:
            came = Work(failed=str(error))
        except TROUBLES as error:
            log.warning("switch_waits", step=token[1].value, error=str(error))
            came = Work(trouble=str(error))
        self._came = (token, came)


class Handover:
    """Drives the switch of one table's writers."""

    def __init__(self, known: Parts, processes: Processes) -> None:
        self._parts = known
        self._clock = known.clock
        # To lift a fence must wait until it is held, to open a stream until it is closed, and for nothing else: what is
        # checked waits for a target that is away.
        self._fencing = Task("fence", processes)
        self._sealing = Task("seal", processes)
        self._checking = Task("switch", processes)
        self._clocks: tuple[str, tuple[int, ...]] = ("", ())
        self._drains: Token | None = None
        self._begun: dict[int, Begun] = {}  # rounds of heartbeats since the fence, by this process's clock
        self._looked: tuple[int, float] = (0, 0.0)  # the last round begun by then, and when

    def turn(self, migration: Migration, seen: Seen) -> Migration:
        """The next state, to be persisted before the next turn. `seen` was read after `migration` was."""
        switch = migration.switch
        if switch is None:
            return migration
        if switch.step is Step.DONE:
            self._follow_reopened(migration, switch)
            return migration
        return writers.next_step(migration, self._sight(migration, switch, seen))

    def _follow_reopened(self, migration: Migration, switch: Switch) -> None:
        """A stream that was sealed in vain is another one now; it is followed behind the old one's end."""
        if switch.sealing and switch.failed and migration.phase is Phase.REPLICATING:
            self._sealing.done(_token(switch), lambda: self._reopened(migration, SealStep.OPEN))

    def _work(self, migration: Migration, switch: Switch, clock: str | None) -> Work:
        """What became of this step's work; begun, or begun again, where it is not done."""
        attempt = Attempt(switch.id, migration.epoch)
        token = _token(switch)
        flagged = migration.routes.writes_fenced or not self._parts.config.cutover.fence.flag
        match switch.step:
            case Step.FENCE if flagged:  # published first: what was told is what is held
                return self._fencing.done(token, lambda: self._hold(attempt))
            case Step.DRAIN if switch.sealing:
                return self._sealing.done(token, lambda: self._sealed(migration))
            case Step.REOPEN:
                return self._sealing.done(token, lambda: self._reopened(migration, SealStep.REOPENED))
            case Step.VERIFY:
                return self._checking.done(token, lambda: self._verify(switch.deadline))
            case Step.CLOCK | Step.FREEZE if clock is not None:
                return self._checking.done(token, lambda: self._ask_clocks(switch))
            case Step.OPEN:
                return self._fencing.done(token, lambda: self._lift(attempt, "target"))
            case Step.UNFENCE:
                return self._fencing.done(token, lambda: self._lift(attempt, "source"))
        return NOTHING_YET

    def _hold(self, attempt: Attempt) -> Work:
        for fence in self._parts.fences():
            fence.hold(attempt)
        if not self._is_relied_on():  # somebody else has lifted them while this one was slow
            self._lift(attempt, "source")
            raise FenceFailed("the fence was held when the switch was undone already")
        return Work(done=True)

    def _is_relied_on(self) -> bool:
        """By whichever attempt. While a stream is opened again the fence must stand: what is written is in none."""
        found = self._parts.control.get("migration", Migration)
        switch = found[0].switch if found is not None else None
        under_way = found is not None and found[0].phase in (Phase.SWITCHING, Phase.SWITCHED)
        return under_way and switch is not None and switch.step is not Step.UNFENCE

    def _lift(self, attempt: Attempt, writes: Side) -> Work:
        """All of them, also where one fails: each that is lifted lets somebody go on."""
        failures: list[str] = []
        for fence in self._parts.fences():
            try:
                fence.lift(attempt, writes)
            except (FenceFailed, ClientError, BotoCoreError) as error:
                failures.append(str(error))
        return Work(failed="; ".join(failures)) if failures else Work(done=True)

    def _sealed(self, migration: Migration) -> Work:
        """A turn towards the seal."""
        try:
            state = seal.advance(self._parts, migration, self._clock.time())
        except CheckFailed as error:
            return Work(failed=str(error))
        return Work(done=state.zero, trouble=SEALING_FOR.get(state.step))

    def _reopened(self, migration: Migration, until: SealStep) -> Work:
        """A turn back; done when the fence may be lifted, or when the new stream is followed."""
        state = seal.reopen(self._parts, migration, self._clock.time())
        return Work(
            done=state.step is SealStep.OPEN or (state.may_lift and until is SealStep.REOPENED), trouble=state.message
        )

    def _verify(self, deadline: float) -> Work:
        """Settle once more, for a worker that woke up late; then look without tolerance."""
        target_stream = self._with_sink((BulkLoad, Followable), _settled, deadline)
        found = final_check(self._parts)
        return Work(done=found is None, failed=found, target_stream=target_stream)

    def _ask_clocks(self, switch: Switch) -> Work:
        asked = self._with_sink((Clocked,), self._clocks_of, switch.deadline)
        self._clocks = (switch.id, tuple(asked))
        return NOTHING_YET  # asked again: what has passed one version need not have passed the next

    def _clocks_of(self, sink: Sink) -> Any:
        return sink.clocks() if isinstance(sink, Clocked) else [int(self._clock.time() * 1e6)]

    def _with_sink(self, needs: tuple[type, ...], ask: Callable[[Sink], Any], deadline: float) -> Any:
        """Ask a sink; opened only where it can do one of these."""
        if self._clock.time() >= deadline:
            raise Abandoned("the time of the switch is over")
        sink = self._parts.sink(may_create=False)
        if isinstance(sink, needs):
            sink.open()
        try:
            return ask(sink)
        finally:
            sink.close()

    # what the leader sees

    def _sight(self, migration: Migration, switch: Switch, seen: Seen) -> Sight:
        config, now, states = self._parts.config, self._clock.time(), seen.states
        clocks = self._clocks[1] if self._clocks[0] == switch.id else ()
        clock = writers.behind_clock(states.values(), clocks, config.cutover.clock_margin_seconds)
        seals = config.tail.proof == "seal"
        sight = Sight(now, self._work(migration, switch, clock), config.cutover.fence.flag, seals)
        if seen.stream is None or migration.phase is not Phase.SWITCHING:
            return sight
        return sight._replace(
            quiet=self._quiet(switch, seen),
            # Behind the seal nothing comes, whoever writes: that nobody does was watched before.
            leak=None if switch.sealing else writers.leak(seen.stream, states, switch.quiet_round),
            clock=clock,
            not_frozen=writers.not_frozen(states, switch.frozen_epoch),
            late=writers.late(states.values(), self._patience_seconds(), now),
        )

    def _quiet(self, switch: Switch, seen: Seen) -> writers.Quiet:
        """Rounds count that were begun after DRAIN was seen to be persisted, hence after the fence was held."""
        if switch.step is not Step.DRAIN or seen.stream is None:
            self._drains = None
            return writers.Quiet()
        token = _token(switch)
        if self._drains != token:
            self._drains, self._looked, self._begun = token, (seen.proof.round, 0.0), {}
        now, (known, looked_at) = self._clock.monotonic(), self._looked
        if seen.proof.round > known:
            self._begun[seen.proof.round] = Begun(looked_at, now)
        self._looked = (seen.proof.round, now)
        window = self._parts.config.cutover.window_seconds
        return writers.quiet(seen.stream, seen.states, seen.proof.proven_round, self._begun, window)

    def _patience_seconds(self) -> float:
        """Where the target does not order writes by time, what comes late could bring back what was deleted since."""
        target = self._parts.config.target
        if not isinstance(target, DynamoDbOptions):
            return 0.0
        return self._parts.config.tail.failover_seconds + target.request_timeout_seconds


def _settled(sink: Sink) -> str:
    if isinstance(sink, BulkLoad):
        log.info("backfill_settled", rows_removed=sink.settle(), during="switch")
    return sink.stream() if isinstance(sink, Followable) else ""

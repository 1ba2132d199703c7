"""What the leader does about verification at each turn: begin a run, keep its process, say what it has found."""

from collections.abc import Callable

from daemon import cutover
from daemon.app import Parts
from daemon.control import Conflict, Migration
from daemon.cutover import Condition, Observation
from daemon.phase import Phase
from daemon.signal.document import Verification
from daemon.supervise import Kept
from daemon.verify import judged, runs
from daemon.verify.record import DIFFERENCES, RUN, Count, Difference, Run, RunState, counted
from sinks.sink import Readable

LOOK_SECONDS = 2.0
DIFFERENCES_SECONDS = 5.0
GRACE_SECONDS = 5.0


class Keeping:
    """One table's. Its methods raise ClientError, BotoCoreError, SinkMisconfigured."""

    def __init__(self, known: Parts, kept: Callable[[], Kept]) -> None:
        """`kept` makes the process, which is not started before there is a run."""
        self._parts = known
        self._kept = kept
        self._process: tuple[int, Kept] | None = None  # of which run
        self._run: Run | None = None
        self._count = Count({}, 0)
        self._looked_at = self._counted_at = float("-inf")
        self._asked: judged.Asked | None = None
        self._generation = 0

    def turn(self, migration: Migration, seen: Observation) -> Condition | None:
        """None where nothing is ever compared: without a tail there is no proof to compare by."""
        if migration.mode == "backfill":
            return None
        self._look()
        self._generation = migration.generation
        asked = self._what_is_asked()
        if migration.phase is Phase.REPLICATING and asked.auto and asked.unreadable is None:
            self._begin(migration, seen)
        self._keep(migration)
        return judged.condition(asked, self._run, self._count, migration.generation)

    @property
    def shown(self) -> Verification | None:
        """For the document."""
        return judged.shown(self._run, self._count, self._generation)

    @property
    def restarts(self) -> int:
        """Of the process of the run under way."""
        return self._process[1].restarts if self._process is not None else 0

    def stop(self) -> None:
        """End the process; the run goes on where it was, when there is a leader again."""
        if self._process is not None:
            self._process[1].stop(GRACE_SECONDS)
            self._process = None
        self._looked_at = self._counted_at = float("-inf")

    def _look(self) -> None:
        now, control = self._parts.clock.monotonic(), self._parts.control
        if now - self._looked_at >= LOOK_SECONDS:
            found = control.get(RUN, Run)
            # A run that has ended has written its differences before: count them when it is seen to have.
            ended = self._run is not None and found is not None and found[0].state is not self._run.state
            self._run, self._looked_at = found[0] if found else None, now
            if ended or now - self._counted_at >= DIFFERENCES_SECONDS:
                differences = control.all(DIFFERENCES, Difference)
                self._count = counted({name: one for name, (one, _) in differences.items()})
                self._counted_at = now

    def _what_is_asked(self) -> judged.Asked:
        if self._asked is None:
            verify = self._parts.config.verify
            self._asked = judged.Asked(verify.required, verify.auto, self._not_comparable())
        return self._asked

    def _not_comparable(self) -> str | None:
        """Why nothing can be compared with this configuration."""
        config = self._parts.config
        if not config.loads:
            return "mode is tail: what was there before it began is not this migration's to move, nor to compare"
        if config.tail.proof != "heartbeat":
            return (
                f"tail.proof is {config.tail.proof}: without proven rounds no row can be compared while it is written"
            )
        if not isinstance(self._parts.sink(may_create=False), Readable):
            return f"the target ({config.target.kind}) cannot be read back, so nothing is compared with it"
        return None

    def _begin(self, migration: Migration, seen: Observation) -> None:
        """Once for each anchoring, when lag is proven."""
        if cutover.lag_seconds(migration, seen) is None:
            return
        if self._run is not None and self._run.generation == migration.generation:
            return
        percent = self._parts.config.verify.sample_percent
        try:
            self._run = runs.begin(self._parts.control, percent, "auto", self._parts.clock.time)
        except (runs.NotComparable, Conflict):
            self._looked_at = float("-inf")  # somebody else was quicker

    def _keep(self, migration: Migration) -> None:
        run, comparable = self._run, migration.phase in runs.COMPARABLE  # behind COMMIT the two sides part
        done = run is None or run.state is not RunState.RUNNING or run.generation != migration.generation
        if run is None or done or not comparable:
            if self._process is not None:
                self._process[1].stop(GRACE_SECONDS)
                self._process = None
            return
        if self._process is None or self._process[0] != run.id:
            if self._process is not None:
                self._process[1].stop(GRACE_SECONDS)
            self._process = (run.id, self._kept())
        self._process[1].tick()

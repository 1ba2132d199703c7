"""What goes wrong, one thing after the other, by a seed: kills, freezes, rollovers, outages of the target."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import NamedTuple

from daemon.demo import processes
from daemon.demo.processes import Running
from daemon.demo.stage import Stage

from .replica import Replica

FAILOVER_SECONDS = 4
LEADER_LEASE_SECONDS = 15
# How often each act comes in one deal of the cards; one that finds nobody to act on is passed over.
DECK = {
    "kill_jvm": 4,
    "kill_shard": 4,
    "kill_worker": 6,  # while the backfill lasts
    "kill_service": 2,
    "kill_service_alone": 1,
    "freeze_shard": 2,
    "freeze_replica": 1,
    "freeze_target": 1,
    "roll_over": 2,
}
# A run of any length begins with one of each, then the seed deals.
FIRST = ("kill_jvm", "kill_worker", "roll_over", "kill_service", "freeze_replica", "kill_shard", "kill_worker")
# Acts come in bursts. After one there is rest until its damage is healed, or for so long: all the time under fire,
# nothing would be read, and a kill that finds nothing in flight shows little. Every second rest is enough to catch up.
BURST_ACTS, BURST_PAUSE_SECONDS = (4, 7), (0.2, 5.0)
RESTS_SECONDS_MAX = (8.0, 60.0)
PROVEN_POLL_SECONDS = 0.5
# A run shorter than this gets shorter rests.
SECONDS_FULL = 300.0
RESTART_SECONDS = (0.0, 2.0 * FAILOVER_SECONDS)
# Where in the run, and for how long: in a short one for this part of it.
OUTAGE_AT, OUTAGE_SECONDS_MAX, OUTAGE_SHARE = 0.4, 60.0, 0.2
# A crashed Cassandra takes this long to come up; the rest of the outage it is simply gone.
START_SECONDS = 12.0


class _Due(NamedTuple):
    at: float
    act: Callable[[], None]


class Chaos:
    """Draws the acts and counts them. `turn` is to be called a few times a second."""

    def __init__(
        self,
        stage: Stage,
        replicas: Sequence[Replica],
        seed: int,
        seconds: float,
        *,
        say: Callable[[str], None],
        proven_through: Callable[[], float],
    ) -> None:
        """`seconds`: how long it will last. `proven_through`: the instant before which all is said to have arrived."""
        self._stage = stage
        self._replicas = replicas
        self._chance = random.Random(f"chaos {seed}")
        self._say = say
        self._proven_through = proven_through
        self._cards: list[str] = [*reversed(FIRST)]
        self._left_in_burst = self._chance.randint(*BURST_ACTS)
        self._next_at = time.monotonic()
        self._rest_until = 0.0
        self._hurt_at = 0.0  # epoch seconds of the last act
        self._due: list[_Due] = []
        self._frozen: str | None = None  # one at a time
        self.counts: Counter[str] = Counter()
        self.ended_by_themselves: list[str] = []
        self._rests_seconds = cycle(rest * min(1.0, seconds / SECONDS_FULL) for rest in RESTS_SECONDS_MAX)
        self._outage_seconds = min(OUTAGE_SECONDS_MAX, OUTAGE_SHARE * seconds)
        if stage.sink == "cassandra":
            self._later(OUTAGE_AT * seconds, self._crash_target)

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.counts.items() if name.startswith("kill"))

    @property
    def freezes(self) -> int:
        return sum(count for name, count in self.counts.items() if name.startswith("freeze"))

    def turn(self) -> None:
        """What is due by now: a thaw, a start, the next act."""
        self._start_what_ended()
        for due in [due for due in self._due if due.at <= time.monotonic()]:
            self._due.remove(due)
            due.act()
        if time.monotonic() >= self._next_at and not self._resting():
            self._act()
            self._plan()

    def _plan(self) -> None:
        """When the next act comes: soon in a burst, after its last one when all is well again."""
        self._hurt_at = time.time()
        self._left_in_burst -= 1
        self._next_at = time.monotonic() + self._chance.uniform(*BURST_PAUSE_SECONDS)
        if self._left_in_burst <= 0:
            self._left_in_burst = self._chance.randint(*BURST_ACTS)
            self._rest_until = time.monotonic() + next(self._rests_seconds)

    def _resting(self) -> bool:
        if time.monotonic() < self._rest_until and self._proven_through() < self._hurt_at:
            self._next_at = time.monotonic() + PROVEN_POLL_SECONDS
            return True
        self._rest_until = 0.0
        return False

    def calm(self) -> None:
        """Nothing goes wrong any more, and all that was stopped goes on."""
        for due in self._due:
            due.act()
        self._due.clear()

    def _act(self) -> None:
        """The next card that finds somebody to act on."""
        for _ in range(sum(DECK.values())):
            if not self._cards:
                self._cards = list(Counter(DECK).elements())
                self._chance.shuffle(self._cards)
            name = self._cards.pop()
            told = getattr(self, f"_{name}")()
            if told is not None:
                self.counts[name] += 1
                self._say(told)
                return

    def _kill_jvm(self) -> str | None:
        return self._kill("jvm")

    def _kill_shard(self) -> str | None:
        return self._kill("shard")

    def _kill_worker(self) -> str | None:
        return self._kill("worker")

    def _kill(self, kind: str) -> str | None:
        found = self._members(kind)
        if not found:
            return None
        replica, process = self._chance.choice(found)
        processes.kill({process})
        return f"kill -9 of a {kind} of {replica.name} ({process.pid})"

    def _kill_service(self) -> str | None:
        replica = self._one_that_is_up()
        if replica is None:
            return None
        count = replica.kill()
        return f"kill -9 of {replica.name} with all its {count} processes; {self._start_later(replica)}"

    def _kill_service_alone(self) -> str | None:
        replica = self._one_that_is_up()
        if replica is None or replica.frozen:
            return None
        replica.kill_alone()
        return f"kill -9 of {replica.name} alone, its children live on; {self._start_later(replica)}"

    def _freeze_shard(self) -> str | None:
        found = self._members("shard")
        if self._frozen or not found:
            return None
        replica, process = self._chance.choice(found)
        processes.freeze({process})
        seconds = FAILOVER_SECONDS + self._chance.uniform(1, 6)
        self._thaw_later(seconds, f"shard process {process.pid}", lambda: processes.thaw({process}))
        return f"SIGSTOP of a shard process of {replica.name} ({process.pid}) for {seconds:.0f} s"

    def _freeze_replica(self) -> str | None:
        replica = self._one_that_is_up()
        if self._frozen or replica is None:
            return None
        past = self._chance.choice([FAILOVER_SECONDS, LEADER_LEASE_SECONDS])
        seconds = past + self._chance.uniform(1, 6)
        count = replica.freeze()
        self._thaw_later(seconds, replica.name, replica.thaw)
        return f"SIGSTOP of {replica.name} with all its {count} processes for {seconds:.0f} s"

    def _freeze_target(self) -> str | None:
        if self._frozen or self._stage._cassandra is None:
            return None
        node, seconds = self._stage._cassandra.result(), self._chance.uniform(5, 15)
        node.freeze()
        self._thaw_later(seconds, "Cassandra", node.thaw)
        return f"SIGSTOP of Cassandra for {seconds:.0f} s"

    def _roll_over(self) -> str | None:
        self._stage.roll_over()
        return "rollover: every open shard of the stream ends, its child goes on"

    def _crash_target(self) -> None:
        if self._frozen:  # its thaw must not find another process
            self._later(1.0, self._crash_target)
            return
        assert self._stage._cassandra is not None
        self._stage._cassandra.result().kill()
        self._frozen = "Cassandra"
        self.counts["outage"] += 1
        self._say(f"kill -9 of Cassandra; it will answer again in about {self._outage_seconds:.0f} s")
        self._later(max(0.0, self._outage_seconds - START_SECONDS), self._start_target)

    def _start_target(self) -> None:
        assert self._stage._cassandra is not None
        self._stage._cassandra.result().start()
        self._frozen = None
        self._say("Cassandra answers again, with the data that it had")

    def _members(self, kind: str) -> list[tuple[Replica, Running]]:
        return [(replica, process) for replica in self._replicas for process in replica.members(kind)]

    def _one_that_is_up(self) -> Replica | None:
        running = [replica for replica in self._replicas if replica.up]
        return self._chance.choice(running) if running else None

    def _start_later(self, replica: Replica) -> str:
        def start() -> None:
            self._say(f"{replica.name} started again (process {replica.start()})")

        seconds = self._chance.uniform(*RESTART_SECONDS)
        self._later(seconds, start)
        return f"started again in {seconds:.0f} s"

    def _thaw_later(self, seconds: float, what: str, thaw: Callable[[], None]) -> None:
        def act() -> None:
            thaw()
            self._frozen = None
            self._say(f"SIGCONT of {what}")

        self._frozen = what
        self._later(seconds, act)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._due.append(_Due(time.monotonic() + seconds, act))

    def _start_what_ended(self) -> None:
        """A replica that ends by itself is a finding; it is started again, as its platform would."""
        for replica in self._replicas:
            code = replica.ended()
            if code is not None:
                replica.forget()
                self.ended_by_themselves.append(f"{replica.name} ended by itself with exit code {code}")
                self._say(f"FOUND: {self.ended_by_themselves[-1]}; {self._start_later(replica)}")

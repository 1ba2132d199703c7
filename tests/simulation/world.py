"""One seed, one history: the real service, twice, over a source, stores and a KCL that do their worst.

Everything happens in one thread, on one clock. Actors take turns by the seed's dice. Concurrency is where a store can
see it: before and after each request other actors may run, and the one that asked may be dead when it comes back.
"""

import itertools
import random
from types import SimpleNamespace

import structlog
from fakes import Crash
from simulation import cql_driver, dynamodb_wire
from simulation.checks import Checks, Violation
from simulation.cql_store import CqlStore
from simulation.dynamodb_store import DynamoStore
from simulation.kcl import PAGE_RECORDS, LeaseTables
from simulation.managed import Exports, asks_for_its_export, attempted_again
from simulation.replicas import Interruptions, Replica, SimClock, SimParts, SimStore, SimWorker
from simulation.source import TABLE, Source
from simulation.targets import SimulatedCassandra, SimulatedDynamoDb

from daemon import resync
from daemon.beside import FAILURES
from daemon.config import Config
from daemon.control import Conflict, Migration
from daemon.letters_cli import void_letters
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from sinks.change import KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
DEPTH_MAX = 2
CALM_STEPS = 6000
POISON, POISON_RATE = "poison", 0.05
# One attribute of every item, and one that most lack: what is no longer there has to go.
COLUMNS = {"layout": "columns", "columns": {"n": "varint", POISON: "boolean"}}
OPERATES = 0.03  # of the steps, by a person who reads messages


def quiet():
    """No log: a history writes thousands of lines."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)


class World:
    """A whole move, from one seed."""

    def __init__(
        self,
        seed,
        *,
        steps=160,
        crash_rate=0.004,
        sink=None,
        keys=6,
        fault_rate=None,
        disaster=None,
        poison_rate=None,
        managed=False,
        layout=None,
    ):
        """`disaster`: "lose the stream" or "sleep for a day", where the dice shall not choose.

        `managed`: moveout asks for its export itself. `layout` is the CQL sink's.
        """
        # Dice of its own, so that seeds of before there was a choice keep their histories.
        self.layout = layout or random.Random(f"layout {seed}").choice(("document", "columns"))
        self.sink_options = {}
        self.exports = Exports(self) if managed else None
        self.seed, self.disaster, self.poison_rate = seed, disaster, poison_rate or POISON_RATE
        self.chance = random.Random(seed)
        self.clock = SimClock(self.chance)
        self.clock.idle = self.between
        self.adverse, self.depth, self.pids, self.actors_now = False, 0, 0, []
        self.steps, self.crash_rate = steps, crash_rate
        self.keys = [f"k{number}" for number in range(keys)]
        self.said = []
        self.source = Source(self.chance, self.clock)
        self.lease_tables = LeaseTables()
        self.children = []
        self.control_store = DynamoStore()
        rate = self.chance.choice((0.0, 0.01, 0.05)) if fault_rate is None else fault_rate
        self.control_faults = Interruptions(self, rate=rate, kinds=dynamodb_wire.FAULTS, burst=7)
        self._make_target(sink or self.chance.choice(("cassandra", "cassandra", "dynamodb")), rate)
        self.s3 = SimStore(self)
        self.checks = Checks(self)
        self._operator = None
        self.replicas = [Replica(self, number) for number in range(self.chance.choice((1, 2)))]

    def _make_target(self, kind, rate):
        self.kind = kind
        self.poisonous = self.chance.random() < 0.3 or self.poison_rate != POISON_RATE
        poison = lambda _, body: self.poisonous and body is not None and POISON in body  # noqa: E731
        if kind == "cassandra":
            self.target = CqlStore(now=self.clock.time)
            self.sink_kind, kinds = SimulatedCassandra, cql_driver.FAULTS
            self.sink_options = COLUMNS if self.layout == "columns" else {}
        else:
            self.target = DynamoStore(page_items=3)
            self.sink_kind, kinds = SimulatedDynamoDb, dynamodb_wire.FAULTS
        self.sink_faults = Interruptions(self, rate=rate, kinds=kinds, burst=6, poison=poison)

    # what the engine's surroundings ask

    def fences(self):
        return []

    def next_pid(self):
        self.pids += 1
        return self.pids

    def born(self, child):
        """A child of the replica that acts now."""
        child.replica = child.known.config.tail.worker_id
        self.children.append(child)
        return child

    def children_of(self, number):
        return [child for child in self.children if child.replica == f"replica-{number}"]

    def loading(self):
        """True while a backfill worker has requests under way."""
        return self.kind == "dynamodb" and (
            any(isinstance(child, SimWorker) and child.busy for child in self.children) or bool(self.target.late)
        )

    def page_records(self):
        return self.chance.choice(PAGE_RECORDS) if self.adverse else PAGE_RECORDS[-1]

    def sparse(self):
        return self.adverse and self.chance.random() < 0.3

    def steals(self):
        return self.adverse and self.chance.random() < 0.1

    def checkpoint_fault(self):
        if self.adverse and self.chance.random() < 0.02:
            return self.chance.choice(("ThrottlingException", "KinesisClientLibDependencyException"))
        return None

    def watch(self, serving):
        self.checks.watch(serving)

    def checked(self, serving, sequence):
        self.checks.checkpoint(serving, sequence)

    def may_crash(self):
        if self.adverse and self.chance.random() < self.crash_rate:
            raise Crash
        if self.actors_now and self.actors_now[-1].code is not None:
            raise Crash  # it was killed while it waited

    def between(self):
        """Between two requests of one actor: it may die, and others may act."""
        self.may_crash()
        if self.adverse and self.depth < DEPTH_MAX and self.chance.random() < 0.05:
            for _ in range(self.chance.randrange(1, 6)):
                self.step()
            self.may_crash()

    # time

    def step(self):
        """Some actor does its next thing."""
        actor = self.chance.choice(self._actors())
        self.clock.advance(self.chance.choice((0.05, 0.2, 0.7)))
        self.depth += 1
        self.actors_now.append(actor)
        try:
            actor.step(self.chance, self.clock.now)
        finally:
            self.actors_now.pop()
            self.depth -= 1

    def _actors(self):
        living = [child for child in self.children if child.code is None]
        self.children = [child for child in self.children if child.code is None or child.busy]
        engine = [*self.replicas, *self.replicas, *living, *living]
        return [*engine, *self.disturbers()] if self.adverse else engine

    def disturbers(self):
        """What the application, AWS and the operator's bad luck do."""
        acts = (self._write, self._write, self._write, self._disturb)
        return [SimpleNamespace(step=lambda _chance, _now, act=act: act(), code=None) for act in acts]

    def _write(self):
        key = self.chance.choice(self.keys)
        if self.chance.random() < 0.3:
            self.source.write(key, None)
            return
        image = {"n": {"N": str(self.source.writes + 1)}}
        if self.chance.random() < self.poison_rate:
            image[POISON] = {"BOOL": True}
        self.source.write(key, image)

    def _disturb(self):
        """Rare things."""
        luck = self.chance.random()
        if luck < 0.25 and self.source.enabled:
            self.source.reshape()
        elif luck < 0.45 and self.target.late:
            self.target.land(self.chance.randrange(len(self.target.late)))
        elif luck < 0.5 and self.control_store.late:
            self.control_store.land(self.chance.randrange(len(self.control_store.late)))
        elif luck < 0.55:
            self._kill()
        elif luck < 0.65 and self.kind == "cassandra":
            self.target.purge(self.chance)

    def _kill(self):
        """kill -9 of a child, or of a whole replica."""
        victim = self.chance.choice([*self.replicas, *self.children])
        if isinstance(victim, SimWorker):
            victim.kill(0)
        else:
            victim.kill()

    # the move

    def run(self):
        """To the end. Raises Violation."""
        self._before()
        self.adverse = True
        self._adversity()
        self._calm()
        self._until(self.checks.ready, "become ready")
        self.checks.target_equals_source()

    def _before(self):
        """A table that has lived for a while, with a stream, of which there is an export."""
        for _ in range(self.chance.randrange(20)):
            self._write()
            self.clock.advance(self.chance.choice((0, 0.3, 2)))
        self.source.enable()
        for _ in range(self.chance.randrange(30)):
            self._write()
            self.clock.advance(self.chance.choice((0, 0.3, 2)))
        self.clock.advance(200)
        self.config = self._configured()
        for _ in range(self.chance.randrange(30)):
            self._write()
            self.clock.advance(self.chance.choice((0, 0.3, 2)))

    def _configured(self):
        if self.exports is not None:
            return asks_for_its_export(configuration(self.kind, None))
        return configuration(self.kind, self.source.full_export(self.s3))

    def _adversity(self):
        known = {"lose the stream": self._lose_the_stream, "sleep for a day": self._sleep_for_a_day}
        disaster = known[self.disaster] if self.disaster else self.chance.choice((None, None, None, *known.values()))
        when = self.chance.randrange(self.steps) if self.disaster is None else self.steps - 1
        for number in range(self.steps):
            self.step()
            if number == when and disaster is not None:
                disaster()
            if self.chance.random() < OPERATES:
                self._attempt()

    def _lose_the_stream(self):
        """Somebody disables the stream and enables it again."""
        self.source.disable()
        for _ in range(self.chance.randrange(6)):
            self._write()
            self.clock.advance(self.chance.choice((0.3, 2)))
        self.source.enable()

    def _sleep_for_a_day(self):
        """Everything of ours is down while the application writes and the stream forgets."""
        for replica in self.replicas:
            replica.kill()
        for _ in range(12):
            self._write()
            self.clock.advance(self.chance.choice((1800, 4 * 3600)))
            self.source.close_old_shards()
        self.source.trim()

    def _calm(self):
        """The application stops, nothing fails any more, the operator does what the messages say."""
        self.adverse = False
        self.control_faults.calm()
        self.sink_faults.calm()
        while self.control_store.late:
            self.control_store.land()
        while self.target.late:
            self.target.land()
        self.stopped_at = self.clock.now
        self.clock.advance(10)

    def _until(self, holds, what):
        for _ in range(CALM_STEPS):
            if holds():
                return
            self.step()
            self._attempt()
        raise Violation(f"seed {self.seed}: does not {what}: {self.checks.last_message()}; said last: {self.said[-3:]}")

    def _attempt(self):
        """A person runs a command, which may fail; then it is run again."""
        try:
            self._operate()
        except Crash:
            self.said.append("operator: the command was killed")
        except (CheckFailed, Conflict, *FAILURES) as error:
            self.said.append(f"operator: {type(error).__name__}: {error}")

    def _operate(self):
        """Heals a gap, widens the target and retries what it refused."""
        known = self.operator()
        found = known.control.get("migration", Migration) if self.control_store.tables else None
        if found is not None and found[0].phase is Phase.NEEDS_RESYNC:
            self._heal(known, found[0])
        if found is None or found[0].phase is Phase.CREATED:
            self._export_again()
        if self.exports is not None and found is not None:
            attempted_again(known)
        if not self.adverse:
            self.poisonous = False
        if found is not None and self.chance.random() < 0.05:
            self._retry(known)

    def _export_again(self):
        """Before the anchor a lost stream costs no more than another export."""
        refused = any("Take an export of a later time" in said for said in self.said[-1:])
        if not self.source.enabled:
            self.source.enable()
        if refused:
            self.clock.advance(200)
            self.config = self._configured()
            self.said.append("operator: another export")
            self._operator = None

    def operator(self):
        """The parts that a person's commands use, and the checks."""
        if self._operator is None:
            self._operator = SimParts(self, 9)
        return self._operator

    def _heal(self, known, migration):
        if not self.source.enabled:
            self.source.enable()
        self.clock.advance(200)
        if known.config.backfill.from_ == "scan" and self.chance.random() < 0.5:
            resync.by_scan(known)
        elif migration.settled and self.chance.random() < 0.5:
            begin = resync.complete_until(known.control, migration) - 150
            resync.by_windows(known, self._windows(begin))
        else:
            resync.by_full_export(known, self.source.full_export(self.s3))
        self.checks.healed()

    def _windows(self, begin):
        """One to three windows that overlap a little, up to now."""
        end, cuts = self.clock.now, self.chance.randrange(1, 4)
        edges = sorted([begin, end, *[self.chance.uniform(begin, end) for _ in range(cuts - 1)]])
        return [
            self.source.window(self.s3, low - self.chance.choice((0, 30)), high)
            for low, high in itertools.pairwise(edges)
        ]

    def _retry(self, known):
        void_letters(known)
        letters = known.dead_letters
        names = [name for name, letter in letters.all().items() if letter.state == "open"]
        if names:
            sink = known.sink(may_create=False)
            sink.open()
            for name in names:
                letters.retry(name, sink)


_configurations = {}


def configuration(kind, manifest):
    """The configuration file's contents; built once per sink, as pydantic takes longer than a history."""
    if kind not in _configurations:
        _configurations[kind] = Config(
            migration="sim",
            source={"table": TABLE, "region": "simulated"},
            backfill={"manifest": "s3://exports/x/manifest-summary.json", "workers": 2, "batch_rows": 3},
            tail={"heartbeat_seconds": 5, "checkpoint_seconds": 1},
            ready={"max_lag_seconds": 12, "stable_for_seconds": 3},
            verify={"auto": False, "required": False},  # property/verify_world.py is its world
            target=(
                {"kind": "cassandra", "contact_points": ["x"], "keyspace": "k", "local_datacenter": "d"}
                | {"table": TABLE, "create_table": True}
                if kind == "cassandra"
                else {"kind": "dynamodb", "table": TABLE, "region": "simulated", "create_table": True}
            ),
        )
    config = _configurations[kind]
    return config.model_copy(update={"backfill": config.backfill.model_copy(update={"manifest": manifest})})

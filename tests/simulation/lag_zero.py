"""Nothing but lag: is "every write before F is in the target" ever said when it is not? Fast: a model, no processes.

python -m tests.simulation.lag_zero --runs 100000
python -m tests.simulation.lag_zero --runs 2000 --bug one-heartbeat      which must be caught
python -m tests.simulation.lag_zero --seed 4711

The stream is adversarial: shards roll over and split in the middle of a round, records show late, pages are sparse,
listings are stale and show one child before the other, another move's heartbeats stand in it. So are we: shards'
processes crash before their save, zombies deliver their last page late, leaders crash and forget their rounds. What is
concluded is daemon/lag.py's own. A sink with versions meets zombies; one without (mode ordered) meets replays, which
make it older than it was. What was once said must hold from then on.
"""

import argparse
import multiprocessing
import operator
import os
import random
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from daemon.control import ShardState
from daemon.lag import coverage
from daemon.source.shards import Shard, Stream

STEPS = 80
KEYS = 8
RANGES = 4
READS = 0.7  # of the shards, in one act
LISTED_LATE_MAX = 9  # seconds; less than daemon/lag.SIBLING_SECONDS
OURS, FOREIGN = "ours", "another move's"


class Rules(NamedTuple):
    """How zero is concluded: as the engine does, or with one bug."""

    proven: Callable = lambda stream, states, listed_after: coverage(stream, states, listed_after).proven_round
    from_memory: bool = False  # what is applied counts before it is saved
    saves_first: bool = False  # a page is saved before it is applied
    any_mark: bool = False  # another move's heartbeats count


def _one_heartbeat(_stream, states, listed_after):
    return min(max((state.heartbeat_round for state in states.values()), default=0), listed_after)


def _without_unlisted_children(stream, states, listed_after):
    """A leaf that is read to its end has children that are not listed yet."""
    through = {
        name: ShardState(anchor=0, heartbeat_round=listed_after, ended=True) if state.ended else state
        for name, state in states.items()
    }
    return coverage(stream, through, listed_after).proven_round


def _only_child_at_once(stream, states, listed_after):
    return coverage(stream, states, listed_after, sibling_seconds=0).proven_round


BUGS = {
    "one-heartbeat": Rules(proven=_one_heartbeat),
    "unlisted-children": Rules(proven=_without_unlisted_children),
    "only-child-at-once": Rules(proven=_only_child_at_once),
    "applied-but-not-saved": Rules(from_memory=True),
    "saved-but-not-applied": Rules(saves_first=True),
    "anybodys-heartbeats": Rules(any_mark=True),
}


class Record(NamedTuple):
    """A record of the stream: a write of a key, or a heartbeat of somebody's round."""

    shown_at: float
    key: int | None
    number: int
    mark: str = ""


class Process:
    """Reads one shard: applies, then saves. What is not saved dies with it."""

    def __init__(self, state, position):
        self.state, self.position, self.saved_position = state, position, position
        self.page = []  # in hand, not applied


class World:
    """One history."""

    def __init__(self, seed, rules=Rules()):  # noqa: B008  immutable
        self.chance = random.Random(seed)
        self.rules = rules
        self.now = 1000.0
        self.restless = self.chance.choice((0, 0, 0.05, 0.15))  # shards that close in the middle of a round
        self.delays = self.chance.choice(((0,), (0, 0, 0.5, 4)))  # until a record shows, in seconds
        self.sparse = self.chance.choice([0.0, 0.3, 0.6])
        self.ordered = self.chance.random() < 0.5  # a target without versions: replays make it older
        self.records, self.shards, self.ranges, self.listed_at, self.open = {}, {}, {}, {}, []
        self.saved, self.positions, self.processes = {}, {}, {}
        self.zombies, self.children = [], {}
        self.written, self.latest, self.target = 0, [0] * KEYS, [0] * KEYS
        self.rounds, self.foreign, self.claims = 0, self.chance.randrange(50), 0
        self.claimed = [0] * KEYS
        self._open(None, range(RANGES), late=False)
        self._new_leader()
        self.pace = self.chance.choice(((0, 0.05, 0.2, 0.5), (0, 0.3, 1, 3), (0, 1, 5, 10)))
        self.acts = self._acts()

    def _acts(self):
        """Some histories have much of one thing and nothing of another: that finds more than the same of each."""
        rare = (self.reshape, self.crash, self.foreign_beat)
        acts = [self.write] * 4 + [self.read] * 8 + [self.look] * 3 + [self.beat] * 2 + [self.late]
        acts += [self.save] * self.chance.choice((1, 2, 4))
        return acts + [act for act in rare for _ in range(self.chance.choice((0, 0, 1, 1, 2)))]

    def run(self):
        """False when something was said that does not hold."""
        for _ in range(STEPS):
            self.now += self.chance.choice(self.pace)
            self.chance.choice(self.acts)()
            if self.claims and any(map(operator.lt, self.target, self.claimed)):
                return False
        return True

    # The source.

    def write(self):
        self.written += 1
        key = self.chance.randrange(KEYS)
        self.latest[key] = self.written
        self._append(key % RANGES, key, self.written)

    def _append(self, part, key, number, mark=""):
        shard = next(s for s in self.open if part in self.ranges[s])
        late = self.chance.choice(self.delays)
        last = self.records[shard][-1].shown_at if self.records[shard] else 0
        self.records[shard].append(Record(max(last, self.now + late), key, number, mark))

    def reshape(self):
        """A shard rolls over, or splits."""
        parent = self.chance.choice(self.open)
        parts = sorted(self.ranges[parent])
        cut = len(parts) // 2 if len(parts) > 1 and self.chance.random() < 0.6 else 0
        self.open.remove(parent)
        self.shards[parent] = Shard(parent, self.shards[parent].parent, closed=True)
        for half in (parts[:cut], parts[cut:]):
            if half:
                self._open(parent, half, late=True)

    def _open(self, parent, parts, *, late):
        name = f"shardId-{int(self.now * 1000):020d}-{len(self.shards)}"
        self.shards[name] = Shard(name, parent, closed=False)
        self.records[name], self.ranges[name] = [], frozenset(parts)
        self.listed_at[name] = self.now + (
            self.chance.choice((0, self.chance.random())) * LISTED_LATE_MAX if late else 0
        )
        self.open.append(name)
        self.children.setdefault(parent, []).append(name)

    def _listing(self):
        """Each shard shows for itself: one child before the other, a grandchild before its parent."""
        shown = {name: shard for name, shard in self.shards.items() if self.listed_at[name] <= self.now}
        if self.chance.random() < 0.3:  # those of the first day have left the stream
            for name in [name for name in shown if self._left(name)]:
                del shown[name]
        return Stream("arn", "NEW_IMAGE", "ENABLED", 0.0, shown, self.now)

    def _left(self, name):
        """A shard whose children are in our hands."""
        children = self.children.get(name, ())
        return len(children) > 0 and all(child in self.saved for child in children)

    # The leader.

    def _new_leader(self):
        """Rounds are durable, what the leader knows of them is not."""
        self.listed, self.listed_after, self.begun, self.proven = self._listing(), 0, {}, self.rounds

    def beat(self):
        self.rounds += 1
        self.begun[self.rounds] = list(self.latest)
        for part in self.chance.sample(range(RANGES), self.chance.choice((1, 2, 3, 4, 4, 4))):
            if self.chance.random() < self.restless:
                self.reshape()
            if self.chance.random() < 0.3:
                self.write()
            self._append(part, None, self.rounds, OURS)
        self.listed = self._listing()
        self.listed_after = self.rounds

    def foreign_beat(self):
        self.foreign += self.chance.randrange(1, 9)
        self._append(self.chance.randrange(RANGES), None, self.foreign, FOREIGN)

    def look(self):
        states = dict(self.saved)
        if self.rules.from_memory:
            states |= {name: process.state for name, process in self.processes.items()}
        proven = self.rules.proven(self.listed, states, self.listed_after)
        if proven > self.proven and proven in self.begun:
            self.claims += 1
            self.proven = proven
            self.claimed = list(map(max, self.claimed, self.begun[proven]))

    # The shards' processes.

    def read(self):
        for name in [s for s in self.shards if self._startable(s)]:
            if self.chance.random() < READS:
                self._poll(name)

    def _poll(self, name):
        process = self.processes.get(name) or self._begin(name)
        if process.page:
            self._deliver(process)
        records = self.records[name]
        shown = [r for r in records[process.position :] if r.shown_at <= self.now]
        page = [] if self.chance.random() < self.sparse else shown[: self.chance.randrange(1, 6)]
        process.page = page
        if self.rules.saves_first:
            self._account(name, process)
            self._save(name, process)
        if self.chance.random() < 0.9 and process.page:
            self._deliver(process)
        if not process.page and not self.rules.saves_first:
            self._account(name, process, page)

    def _startable(self, name):
        """The KCL reads what is listed, parents first."""
        if self.listed_at[name] > self.now:
            return False
        state = self.saved.get(name)
        if state is not None and state.ended:
            return False
        parent = self.shards[name].parent
        return parent is None or (parent in self.saved and self.saved[parent].ended)

    def _begin(self, name):
        state = self.saved.setdefault(name, ShardState(anchor=0))
        self.processes[name] = Process(state, self.positions.setdefault(name, 0))
        return self.processes[name]

    def _deliver(self, process):
        for record in process.page:
            if record.key is not None:
                known = 0 if self.ordered else self.target[record.key]
                self.target[record.key] = max(known, record.number)
        process.page = []

    def _account(self, name, process, page=None):
        """What these records say is part of the state that is saved next."""
        page = process.page if page is None else page
        process.position += len(page)
        beats = [r.number for r in page if r.mark and (r.mark == OURS or self.rules.any_mark)]
        newest = max([process.state.heartbeat_round, *beats])
        at_end = self.shards[name].closed and process.position == len(self.records[name])
        process.state = ShardState(anchor=0, heartbeat_round=newest, ended=at_end)

    def save(self):
        for name, process in list(self.processes.items()):
            if self.chance.random() < READS and (not process.page or self.rules.saves_first):
                self._save(name, process)

    def _save(self, name, process):
        self.saved[name], self.positions[name] = process.state, process.position
        if process.state.ended and not process.page:
            self.processes.pop(name, None)

    def crash(self):
        """Of a shard's process, whose page may still arrive; or of the leader."""
        if not self.processes or self.chance.random() < 0.3:
            self._new_leader()
            return
        process = self.processes.pop(self.chance.choice(list(self.processes)))
        if process.page and not self.ordered:  # without versions nothing protects from one (daemon/README.md)
            self.zombies.append(process)

    def late(self):
        """A zombie wakes up. Its save is refused: another has claimed the shard."""
        if self.zombies:
            self._deliver(self.zombies.pop())


def played(seed, bug=None):
    """(claims, whether all of them held)."""
    world = World(seed, BUGS[bug] if bug else Rules())
    held = world.run()
    return world.claims, held


def _chunk(work):
    first, last, bug = work
    found = [played(seed, bug) for seed in range(first, last)]
    wrong = [first + place for place, (_, held) in enumerate(found) if not held]
    return last - first, sum(claims for claims, _ in found), wrong


def main(arguments=None):
    """The exit code: 1 when zero was said falsely."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--bug", choices=sorted(BUGS))
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    first, runs = (options.first, options.runs) if options.seed is None else (options.seed, 1)
    work = [(at, min(at + 500, first + runs), options.bug) for at in range(first, first + runs, 500)]
    began, done, claims, wrong = time.monotonic(), 0, 0, []
    with multiprocessing.get_context("spawn").Pool(min(options.cores, len(work))) as pool:
        for ran, said, false in pool.imap_unordered(_chunk, work):
            done, claims, wrong = done + ran, claims + said, wrong + false
            sys.stderr.write(f"\r{done:,}/{runs:,} runs, {len(wrong)} with a false zero ")
    seconds = time.monotonic() - began
    first_wrong = f", the first being seed {min(wrong)}" if wrong else ""
    sys.stderr.write("\n")
    sys.stdout.write(
        f"{done:,} runs, {claims:,} times zero was said, {len(wrong)} runs with a false one{first_wrong}, "
        f"{seconds:.0f} s\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

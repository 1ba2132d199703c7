"""A table whose stream has lost changes, and what heals it: windows of incremental exports, then a new stream.

Two shards were being read when the gap came. Each stopped at a moment of its own; the gap begins where the first
one stopped. The exports go by a clock of their own, some seconds off the stream's.
"""

import random
from functools import partial
from typing import NamedTuple

import msgspec
from fakes import ObjectStore, no_letters

from daemon.apply import Ways
from daemon.backfill import load_part
from daemon.demo.incremental_export import Write, compacted, write_incremental_export
from daemon.source.incremental import chain, ranked, read_window
from daemon.source.pages import Sources, pages
from daemon.source.stream import MICROS, VersionClock
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"))
FIRST_SECOND = 1_700_000_000
SECONDS = 80
NAMES = [f"k{number}" for number in range(24)]
MARGIN_SECONDS = 4


class Gap:
    """A random history with a gap in its stream, and the exports that cover it."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.history = list(self._writes())
        self.from_time = FIRST_SECOND + self.chance.randrange(20, 40)
        self.to_time = self.from_time + self.chance.randrange(5, 25)
        self.base = self.to_time * MICROS
        stops = self.from_time, self.chance.randint(self.from_time, self.to_time)
        self.stops = {name: stops[number % 2] * MICROS for number, name in enumerate(NAMES)}
        self.skew_micros = self.chance.randint(-MARGIN_SECONDS * MICROS, MARGIN_SECONDS * MICROS)
        self.seen_by_exports = [w._replace(at_micros=w.at_micros + self.skew_micros) for w in self.history]
        self.store = ObjectStore()
        self.windows = [read_window(self.store, self._export(*times)) for times in self._cuts()]

    def _writes(self):
        """Several in a second; short lives are frequent, for they are what windows do not tell of."""
        held = set()
        at_micros = FIRST_SECOND * MICROS
        names = self.chance.sample(NAMES, 3)
        while at_micros < (FIRST_SECOND + SECONDS) * MICROS:
            names = [*names[-2:], self.chance.choice(NAMES)]
            name = self.chance.choice(names)
            gone = name in held and self.chance.random() < 0.6
            held = held - {name} if gone else held | {name}
            keys = {"id": {"S": name}}
            yield Write(at_micros, keys, None if gone else {**keys, "n": {"N": str(at_micros)}})
            at_micros += self.chance.choice([1, 300_000, 2 * MICROS, 3 * MICROS])

    def _cuts(self):
        """Windows that cover the gap and its margins: some touch, some overlap, one may lie inside of others."""
        begin = self.from_time - MARGIN_SECONDS - self.chance.randrange(6)
        cuts = []
        reached = begin
        while reached < self.to_time + MARGIN_SECONDS:
            reached += self.chance.randrange(2, 20)
            cuts.append((begin, reached))
            begin = max(begin + 1, reached - self.chance.choice([0, 1, 3, 6]))
        if self.chance.random() < 0.5:
            inside = self.chance.randrange(cuts[0][0], reached - 1)
            cuts.append((inside, self.chance.randrange(inside + 1, reached)))
        self.chance.shuffle(cuts)
        return cuts

    def _export(self, begin, end):
        records = compacted(self.seen_by_exports, begin * MICROS, end * MICROS)
        view = self.chance.choice(["NEW_IMAGE", "NEW_AND_OLD_IMAGES"])
        return write_incremental_export(
            self.store, "b", "p", "arn:table/t", records, from_time=begin, to_time=end, files=3, view=view
        )

    def records(self, window):
        """What the export of this window holds."""
        return list(compacted(self.seen_by_exports, int(window.from_time) * MICROS, int(window.to_time) * MICROS))

    def micros(self, export_time):
        """A time of the exports on the stream's clock."""
        return int(export_time) * MICROS - self.skew_micros

    def uncovered(self):
        """What the planner says of the windows."""
        return chain(self.windows, self.from_time, self.to_time, MARGIN_SECONDS)

    def applied_before(self):
        """What the old stream brought, shard by shard up to where each stopped, at the stream's versions."""
        return versioned([w for w in self.history if w.at_micros < self.stops[name_of(w)]], VersionClock(0))

    def applied_after(self):
        """What the new stream brings, from the gap's end on."""
        after = [w for w in self.history if w.at_micros >= self.to_time * MICROS]
        return versioned(after, VersionClock(self.base))

    def healed(self, rank=ranked, load=None):
        """A sink that has lost the changes of the gap, after the windows and the new stream, in any order."""
        sink = MemorySink()
        sink.apply(self.applied_before())
        steps = [(sink.apply, [change]) for change in self.applied_after()]
        for window, version in rank(self.windows, self.base):
            steps += [(load or load_as_a_worker, self, sink, window, version) for _ in range(2)]
        self.chance.shuffle(steps)
        for act, *arguments in steps:
            act(*arguments)
        return sink

    def state(self, name, before_micros=None):
        """What the key holds just before this moment of the stream's clock, or at the end."""
        writes = (w for w in reversed(self.history) if name_of(w) == name)
        return next((w.item for w in writes if before_micros is None or w.at_micros < before_micros), None)

    def differing(self, sink):
        """The keys that the target holds otherwise than the source, and how."""
        held = {key.partition: c for key, c in sink.changes.items() if c.item is not None}
        found = {}
        for name in NAMES:
            item = msgspec.json.decode(held[name].item.json) if name in held else None
            if item != self.state(name):
                found[name] = Difference(item, held.get(name), self.state(name))
        return found


class Difference(NamedTuple):
    """What the target holds, as which change, and what it should hold."""

    item: dict | None
    change: Change | None
    truth: dict | None


def load_as_a_worker(gap, sink, window, version):
    """The files of a window, in any order."""
    for part in gap.chance.sample(window.parts, len(window.parts)):
        given = msgspec.structs.replace(part, version=version)
        load_part(
            partial(pages, Sources(gap.store, KEYS)), given, Ways(None, sink.apply, no_letters), 2, lambda _: None
        )


def name_of(write):
    """The key of a Write or of a Record."""
    return write.keys["id"]["S"]


def versioned(writes, clock):
    """Changes as the stream's reader makes them: it sees whole seconds."""
    changes = []
    for write in writes:
        version = clock.next(write.at_micros // MICROS * 1000)
        item = None if write.item is None else Item(msgspec.json.encode(write.item))
        changes.append(Change(Key(name_of(write)), version, item))
    return changes

"""A full export, windows after it, and a stream that reaches back to the last of them: the target ends as the source.

Random histories; exports on a clock of their own; windows that touch to the second, or overlap. And bugs planted one
at a time, each of which must be seen.
"""

import random
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest
from fakes import ObjectStore, no_letters
from property.gap import versioned

from daemon import resync
from daemon.apply import Ways
from daemon.backfill import load_part
from daemon.control import Sweep
from daemon.demo.export import write_export
from daemon.demo.incremental_export import Write, compacted, write_incremental_export
from daemon.source import full_and_windows
from daemon.source.export import hole, read_export
from daemon.source.full_and_windows import broken, chained
from daemon.source.incremental import read_window
from daemon.source.pages import Sources, pages
from daemon.source.stream import MICROS, VersionClock
from sinks.change import Item, Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"))
BEGIN = 1_700_000_000
SECONDS = 1500  # several times the overlap that versions of exports are lowered by
NAMES = [f"k{number}" for number in range(60)]
MARGIN_SECONDS = 4
SEEDS = range(200)


class Listed(MemorySink):
    """A memory sink that can be swept."""

    def versions(self):
        yield [(key, change.version) for key, change in self.changes.items() if change.item is not None]


class Chained:
    """One history, and what a backfill by windows has of it."""

    def __init__(self, seed, *, exact):
        self.chance = random.Random(seed)
        self.exact = exact
        self.history = list(self._writes())
        skew = self.chance.randint(-MARGIN_SECONDS * MICROS, MARGIN_SECONDS * MICROS)
        self.seen_by_exports = [w._replace(at_micros=w.at_micros + skew) for w in self.history]
        self.store = ObjectStore()
        as_of = BEGIN + self.chance.randrange(50, 400)
        self.full = self._full(as_of)
        self.windows = [read_window(self.store, self._window(*cut)) for cut in self._cuts(as_of)]
        end = max(window.to_time for window in self.windows)
        # The stream begins anywhere before the end of the last window: long before, or with the margin only.
        # And the application stops soon after, or the stream alone would tell all of the last state.
        stops = (end + MARGIN_SECONDS + self.chance.randrange(30)) * MICROS
        self.history = [write for write in self.history if write.at_micros < stops]
        self.stream_from = end - MARGIN_SECONDS - self.chance.choice([0, self.chance.randrange(900)])

    def _writes(self):
        held, at_micros = set(), BEGIN * MICROS
        while at_micros < (BEGIN + SECONDS) * MICROS:
            name = self.chance.choice(NAMES)
            for _ in range(self.chance.choice([1, 1, 2, 3])):  # short lives are what windows do not tell of
                gone = name in held and self.chance.random() < 0.6
                held = held - {name} if gone else held | {name}
                keys = {"id": {"S": name}}
                yield Write(at_micros, keys, None if gone else {**keys, "n": {"N": str(at_micros)}})
                at_micros += self.chance.choice([1, 300_000, 2 * MICROS, 9 * MICROS])

    def _full(self, as_of):
        rows = [r.new for r in compacted(self.seen_by_exports, 0, as_of * MICROS) if r.new is not None]
        at = datetime.fromtimestamp(as_of, UTC)
        return read_export(self.store, write_export(self.store, "b", "p", "arn:table/t", rows, files=3, export_time=at))

    def _cuts(self, as_of):
        """From the full export's time on; where they are not exact: some overlap, one may lie inside of others."""
        begin, cuts = as_of, []
        for _ in range(self.chance.randrange(1, 4)):
            begin -= 0 if self.exact else self.chance.choice([0, 1, 20, 60])
            end = max(begin, as_of) + self.chance.randrange(5, 250)
            cuts.append((begin, end))
            begin = end
        if not self.exact and self.chance.random() < 0.5:
            end = self.chance.randrange(as_of + 1, cuts[-1][1] + 1)
            cuts.append((self.chance.randrange(cuts[0][0], end), end))
        self.chance.shuffle(cuts)
        return cuts

    def _window(self, begin, end):
        records = compacted(self.seen_by_exports, begin * MICROS, end * MICROS)
        return write_incremental_export(
            self.store, "b", "p", "arn:table/t", records, from_time=begin, to_time=end, files=3
        )

    def moved(self, chain, *, swept=True):
        """The target after parts and stream, in any order and some of them twice, and the sweep at their end."""
        sink = Listed()
        writes = [w for w in self.history if w.at_micros >= self.stream_from * MICROS]
        steps = [partial(sink.apply, [change]) for change in versioned(writes, VersionClock(0))]
        steps += [partial(self._load, sink, part) for part in chain.parts for _ in range(2)]
        self.chance.shuffle(steps)
        for step in steps:
            step()
        if chain.sweep is not None and swept:
            resync.sweep(sink, chain.sweep, lambda key: self.state(key.partition) is not None)
        return sink

    def _load(self, sink, part):
        ways = Ways(sink.apply, sink.apply, no_letters)
        load_part(partial(pages, Sources(self.store, KEYS)), part, ways, 2, lambda _: None)

    def state(self, name):
        writes = (w for w in reversed(self.history) if w.keys["id"]["S"] == name)
        return next((w.item for w in writes), None)

    def differing(self, sink):
        held = {key: change.item for key, change in sink.changes.items()}
        items = {name: held.get(Key(name)) for name in NAMES}
        return {name for name, item in items.items() if decoded(item) != self.state(name)}


def decoded(item: Item | None):
    return None if item is None else msgspec.json.decode(item.json)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "overlapping"])
def test_a_full_export_and_its_windows_and_the_stream_end_as_the_source(exact):
    swept, below = 0, 0
    for seed in SEEDS:
        move = Chained(seed, exact=exact)
        assert broken(move.full, move.windows) is None, f"seed {seed}"
        chain = chained(move.full, move.windows)
        assert (chain.sweep is None) >= exact
        assert hole(chain.to_time, move.stream_from, chain.to_time + 60, MARGIN_SECONDS) is None
        swept += chain.sweep is not None
        below += move.stream_from * MICROS < chain.base
        assert move.differing(move.moved(chain)) == set(), f"seed {seed}"
    assert swept == 0 if exact else swept > 100
    assert below > 30  # of the streams begin below the versions of all windows


def seen(change=lambda chain, _move: chain, *, exact=False, **played):
    """True when at least one target ends otherwise than its source, with this bug."""
    for seed in SEEDS:
        move = Chained(seed, exact=exact)
        if move.differing(move.moved(change(chained(move.full, move.windows), move), **played)):
            return True
    return False


def test_without_the_sweep_overlapping_exports_would_leave_ghosts():
    assert seen(swept=False)


def sweep_of_the_windows_only(chain, move):
    since = chain.base - len(move.windows)
    return chain._replace(sweep=chain.sweep and Sweep(chain.base - 1, chain.base, since, ask_source=True))


def sweep_at_the_last_rank(chain, _move):
    """It ties with nothing, but a row that the last window brings is not to be looked at."""
    return chain._replace(sweep=chain.sweep and Sweep(chain.base - 1, 1, 0, ask_source=True))


def sweep_without_asking(chain, _move):
    return chain._replace(sweep=chain.sweep and Sweep(chain.base - 1, chain.base))


def full_above_the_windows(chain, move):
    return _at(chain, move, "full", chain.base)


def full_with_the_first_window(chain, move):
    return _at(chain, move, "full", chain.base - 1)


def windows_above_the_stream(chain, move):
    return _at(chain, move, "incremental", chain.base + 10**9)


def _at(chain, _move, kind, version):
    parts = [msgspec.structs.replace(p, version=version) if p.kind == kind else p for p in chain.parts]
    return chain._replace(parts=parts)


def a_window_left_out(chain, move):
    gone = {part.name for part in move.windows[0].parts}
    return chain._replace(parts=[part for part in chain.parts if part.name not in gone])


@pytest.mark.parametrize(
    "bug",
    [
        sweep_of_the_windows_only,
        sweep_at_the_last_rank,
        sweep_without_asking,
        full_above_the_windows,
        full_with_the_first_window,
        windows_above_the_stream,
        a_window_left_out,
    ],
)
def test_another_version_or_sweep_would_be_seen(bug):
    assert seen(bug)


def test_a_hole_before_the_first_window_or_between_two_and_a_window_of_before_are_refused():
    move = Chained(1, exact=True)
    first, *_ = sorted(move.windows, key=lambda window: window.from_time)
    late = [msgspec.structs.replace(w, from_time=w.from_time + 1) if w is first else w for w in move.windows]
    assert "changes of 1.000 s are in neither" in broken(move.full, late)
    assert f"ExportFromTime={int(move.full.exported_at)}" in broken(move.full, late)
    before = msgspec.structs.replace(first, from_time=1.0, to_time=move.full.exported_at)
    assert "Leave it out" in broken(move.full, [*move.windows, before])
    beyond = msgspec.structs.replace(first, manifest="s3://b/x", from_time=first.to_time + 900, to_time=2e9)
    assert "are in neither" in broken(move.full, [*move.windows, beyond])
    other = msgspec.structs.replace(move.full, table_arn="arn:table/u")
    assert "is of the table arn:table/t" in broken(other, move.windows)


def test_a_full_export_of_a_fraction_of_a_second_behind_the_first_window_is_an_overlap():
    move = Chained(2, exact=True)
    assert chained(move.full, move.windows).sweep is None
    late = msgspec.structs.replace(move.full, exported_at=move.full.exported_at + 0.608)
    assert full_and_windows.broken(late, move.windows) is None
    base = chained(late, move.windows).base
    assert chained(late, move.windows).sweep == Sweep(below=base - 1, at=base, since=0, ask_source=True)

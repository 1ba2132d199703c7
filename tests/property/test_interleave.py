"""Parts read side by side: the same accounts and the same rows as one by one, whatever crashes in between."""

import random
from contextlib import suppress
from itertools import count, pairwise

import msgspec
import pytest
from fakes import MemoryControl
from hypothesis import given
from hypothesis import strategies as st

from daemon.apply import Ways
from daemon.backfill import BackfillIncomplete, far_apart, load_share, loading, mine, part_names
from daemon.control import Part, parts_of
from daemon.source.export import ExportUnusable
from daemon.source.page import Page
from sinks.change import Item, Key
from sinks.memory import MemorySink
from sinks.sink import Rejection

ODD = 7  # each row of such a number is refused by the target


class Died(BaseException):
    pass


class Move:
    """Parts of rows, read in pages of a few rows; the world dies before chosen steps, and after others."""

    def __init__(self, sizes, page_rows=3, deaths=(), damaged=()):
        self.control, self.sink, self.kept = MemoryControl(), MemorySink(), set()
        self.page_rows, self.deaths, self.damaged = page_rows, set(deaths), damaged
        self.step, self.clock = count(1), count(step=2)  # every look at the clock finds progress due
        self.delivered, self.rows = [], {}
        parts = [Part(f"p{number}", "", size, version=10 + number) for number, size in enumerate(sizes)]
        for record, part in part_names(parts, 1).items():
            self.control.put(record, part, 0)
        for part in parts:
            # Some keys are in two parts: the version decides, not who came last.
            keys = [Key(f"{part.name}-{row}" if row % 5 else f"shared-{row}") for row in range(part.items)]
            self.rows[part.name] = [(key, Item(part.name.encode())) for key in keys]

    def _may_die(self):
        if next(self.step) in self.deaths:
            raise Died

    def _read(self, part):
        rows = self.rows[part.name]
        for start in range(int(part.position or 0), len(rows), self.page_rows):
            self._may_die()
            if part.name in self.damaged and start >= self.page_rows:
                raise ExportUnusable(f"{part.name} is damaged")
            page = rows[start : start + self.page_rows]
            yield Page(page, str(start + len(page)), len(page))

    def _into(self, changes):
        self._may_die()
        self.delivered.append(changes[0].item.json.decode())
        refused = [Rejection(change, "odd") for change in changes if change.key.partition.endswith(f"-{ODD}")]
        odd = {rejection.change.key for rejection in refused}
        self.sink.apply([change for change in changes if change.key not in odd])
        self._may_die()
        return refused

    def _keep(self, rejections):
        self.kept.update((rejection.change.key, rejection.change.version) for rejection in rejections)

    def load(self, beside, index=0, of=1):
        ways = Ways(self._into, self._into, self._keep)

        def begin(part):
            return loading(self._read, part, ways, 2)

        load_share(self.control, 1, index, of, begin, lambda: next(self.clock), beside)

    def to_the_end(self, beside, of=1):
        """Workers that are started again as often as they die."""
        for index in range(of):
            for _ in range(len(self.deaths) + 1):
                with suppress(Died):
                    self.load(beside, index, of)
                    break
        return self

    @property
    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


sizes = st.lists(st.integers(0, 25), min_size=1, max_size=7)
deaths = st.lists(st.integers(1, 120), max_size=6)


@given(sizes, st.integers(2, 5), st.integers(1, 3), deaths, st.integers(1, 5))
def test_side_by_side_with_crashes_gives_the_same_parts_and_rows_as_one_by_one_without(
    sizes, beside, of, deaths, page_rows
):
    alone = Move(sizes, page_rows).to_the_end(beside=1)
    together = Move(sizes, page_rows, deaths).to_the_end(beside, of)
    assert together.parts == alone.parts
    assert together.sink.changes == alone.sink.changes
    assert together.kept == alone.kept
    assert all(part.done and part.rows_read == part.applied + part.rejected == part.items for part in together.parts)


@given(sizes, st.integers(1, 6), st.integers(1, 5))
def test_without_a_crash_no_page_is_read_twice(sizes, beside, page_rows):
    alone, together = (Move(sizes, page_rows).to_the_end(number) for number in (1, beside))
    assert sorted(together.delivered) == sorted(alone.delivered)


def test_each_has_a_page_in_its_turn_and_who_ends_makes_room_for_the_next():
    move = Move([6, 6, 2, 6], page_rows=2).to_the_end(beside=2)
    # Two lanes: the first half of the manifest and the second. The count of a part's rows takes a turn as well.
    assert move.delivered == ["p0", "p2", "p0", "p0", "p1", "p1", "p3", "p1", "p3", "p3"]


def test_one_at_a_time_is_one_after_the_other():
    assert Move([4, 4], page_rows=2).to_the_end(beside=1).delivered == ["p0", "p0", "p1", "p1"]


def test_a_damaged_part_is_named_at_the_end_and_those_beside_it_are_loaded():
    move = Move([9, 9, 9], damaged=("p1",))
    with pytest.raises(BackfillIncomplete, match="p1 is damaged"):
        move.load(beside=3)
    assert [part.done for part in move.parts] == [True, False, True]
    # Its MD5 or its lines are in doubt: it begins anew.
    assert (move.parts[1].rows_read, move.parts[1].error) == (0, "p1 is damaged")


def test_what_ends_a_worker_keeps_what_each_part_has_accounted_for():
    move = Move([30, 30, 30], deaths=[40])
    with pytest.raises(Died):
        move.load(beside=3)
    begun = [part.rows_read for part in move.parts]
    assert all(begun)
    before = len(move.delivered)
    move.load(beside=3)
    # What is left, in pages of three rows, each in two batches.
    assert len(move.delivered) - before == (90 - sum(begun)) / 3 * 2


names = st.integers(1, 300).map(lambda size: [f"part#{number:06}" for number in range(size)])


@given(names, st.integers(1, 9), st.integers(1, 16), st.randoms())
def test_the_order_of_a_share_has_every_part_once(names, of, beside, chance):
    index = chance.randrange(of)
    random.Random(1).shuffle(names)
    assert sorted(far_apart(names, index, of, beside)) == sorted(names)


@given(st.integers(1, 20), st.integers(1, 5), st.integers(2, 8))
def test_what_all_workers_read_at_a_time_lies_far_apart_in_the_manifest(run, of, beside):
    parts = part_names([Part(str(number), "", 1) for number in range(run * of * beside)], 1)
    place = {name: number for number, name in enumerate(sorted(parts))}
    shares = [far_apart(mine(parts, index, of), index, of, beside) for index in range(of)]
    for turn in range(run):
        at_a_time = sorted(place[name] for share in shares for name in share[turn * beside : (turn + 1) * beside])
        gaps = [after - before for before, after in pairwise(at_a_time)]
        # Even shares of the manifest would be `run` apart; dealing by turns moves each by less than `of`.
        assert min(gaps, default=run) >= run - 2 * of


def test_a_part_among_others_is_the_part_that_it_is_alone():
    (alone,) = Move([10]).to_the_end(beside=1).parts
    assert Move([10, 10, 10]).to_the_end(beside=3).parts[0] == msgspec.structs.replace(alone, name="p0")

"""A rate is obeyed over every stretch of time, whatever a page costs and however the limit moves."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scanned_table import ScannedTable, SimulatedTime

from daemon.pace import Pace
from daemon.sections import Scan
from daemon.source import scan
from daemon.source.scan import Scanner
from sinks.change import KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
LIMITS = st.floats(0.5, 5000)


class Schedule:
    """A limit that changes at given instants, and what it allows between two of them."""

    def __init__(self, clock, steps):
        self._clock = clock
        starts = accumulate((seconds for seconds, _ in steps), initial=clock.now)
        self._steps = list(zip(starts, [limit for _, limit in steps], strict=False))

    def limit(self):
        return [limit for start, limit in self._steps if start <= self._clock.now][-1]

    def allowed(self, begin, end):
        ends = [start for start, _ in self._steps[1:]] + [float("inf")]
        return sum(
            limit * max(0.0, min(end, stop) - max(begin, start))
            for (start, limit), stop in zip(self._steps, ends, strict=True)
        )


def obeyed(spent, schedule, saved=0.0):
    """What was spent between any two spendings, the last one left out, lies within what the limit allowed."""
    sums = list(accumulate((units for _, units in spent), initial=0.0))
    for first, (begin, _) in enumerate(spent):
        for last in range(first, len(spent)):
            end = spent[last][0]
            assert sums[last] - sums[first] <= schedule.allowed(begin, end) * (1 + 1e-6) + saved + 1e-6


# A limit that dips and rises between two looks was never seen: here none is shorter than the longest work and a look.
STEPS = st.lists(st.tuples(st.floats(6.5, 40), LIMITS), min_size=1, max_size=6)
WORK = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 5)), min_size=2, max_size=40)


@settings(max_examples=200, deadline=None)
@given(STEPS, WORK)
def test_over_any_stretch_no_more_is_spent_than_the_limit_and_one_page_also_when_it_changes(steps, work):
    clock = SimulatedTime()
    schedule = Schedule(clock, steps)
    pace = Pace(schedule.limit, lambda: False, lambda: None, clock, saved_seconds=0)
    spent = []
    for units, seconds_of_work in work:
        pace.ready()
        spent.append((clock.now, units))
        clock.now += seconds_of_work  # the answer and what is done with it
        pace.owe(units)
    obeyed(spent, schedule)


@settings(max_examples=100, deadline=None)
@given(LIMITS, WORK)
def test_rows_may_save_up_one_second_and_no_more(limit, work):
    clock = SimulatedTime()
    schedule = Schedule(clock, [(1, limit)])
    pace = Pace(schedule.limit, lambda: False, lambda: None, clock)
    spent = []
    for units, pause in work:
        pace.spend(units)
        spent.append((clock.now, units))
        clock.now += pause
    obeyed(spent, schedule, saved=limit)


@settings(max_examples=60, deadline=None)
@given(
    STEPS,
    st.integers(1, 3000),
    st.lists(st.sampled_from([None, None, None, "throttled", "lost", "cut"]), max_size=30),
)
def test_a_scan_obeys_its_limit_also_when_answers_are_lost(steps, item_bytes, faults):
    clock = SimulatedTime()
    schedule = Schedule(clock, steps)
    table = ScannedTable(300, clock, item_bytes=item_bytes, page_bytes=100_000)
    table.faults = list(faults)
    pace = Pace(schedule.limit, lambda: False, lambda: None, clock, saved_seconds=0)
    (part,) = scan.parts("orders", 1, 0, 0)
    list(Scanner(table.send, Scan(), KEYS, pace, clock.sleep).pages(part))
    largest = max(units for _, units in table.spent)
    # A lost answer's units are not known: the page before it stands for it, so each may hide one page.
    obeyed(table.spent, schedule, saved=largest * sum(fault in ("lost", "cut") for fault in faults))


@pytest.mark.parametrize("planted", ["never owed", "paid at the new limit for the past"])
def test_a_pace_that_lets_too_much_through_is_seen(planted):
    clock = SimulatedTime()
    schedule = Schedule(clock, [(10, 1), (10, 1000)])
    pace = Pace(schedule.limit, lambda: False, lambda: None, clock, saved_seconds=0)
    spent = []

    def spend(units, seconds):
        pace.ready()
        spent.append((clock.now, units))
        clock.now += seconds
        pace.owe(units if planted != "never owed" else 0)
        if planted == "paid at the new limit for the past":
            pace._limit_then = schedule.limit()

    spend(100, 10.05)
    spend(100, 0)
    spend(100, 0)
    with pytest.raises(AssertionError):
        obeyed(spent, schedule)


def test_a_limit_that_is_lifted_ends_the_wait_and_one_that_is_set_begins_it():
    clock, limit = SimulatedTime(), [1.0]
    pace = Pace(lambda: limit[0], lambda: False, lambda: None, clock)
    began = clock.now
    pace.spend(3600)
    clock.asleep = lambda: limit.__setitem__(0, None)
    pace.spend(1)
    assert clock.now - began <= 1
    limit[0], clock.asleep = 10.0, lambda: None
    pace.spend(0)
    pace.spend(20)
    began = clock.now
    pace.spend(1)
    assert clock.now - began == pytest.approx(2, abs=0.2)


def test_nothing_is_spent_while_it_is_paused_and_an_unwanted_pause_ends():
    clock, paused, asked = SimulatedTime(), [True], []
    pace = Pace(lambda: None, lambda: paused[0], lambda: asked.append(1), clock)
    began = clock.now
    clock.asleep = lambda: paused.__setitem__(0, clock.now - began < 50)
    pace.spend(1)
    assert clock.now - began == pytest.approx(50, abs=1.5)
    assert len(asked) >= 50

    class Unwanted(BaseException):
        pass

    def unwanted():
        raise Unwanted

    with pytest.raises(Unwanted):
        Pace(lambda: None, lambda: True, unwanted, clock).spend(1)

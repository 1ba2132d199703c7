"""When a run begins, what keeps its process, and what its result means for readiness."""

from types import SimpleNamespace

import msgspec
import pytest
from fakes import MemoryControl
from unit.managed_export import Clock, configured
from unit.test_cutover import LIMITS, REPLICATING, SEEN, after

from daemon.control import Migration
from daemon.cutover import conditions, decide
from daemon.phase import Phase
from daemon.verify import judged, runs
from daemon.verify.judged import Asked
from daemon.verify.keeping import Keeping
from daemon.verify.record import (
    DIFFERENCES,
    KEPT_MAX,
    RUN,
    Clean,
    Count,
    Difference,
    Records,
    Run,
    RunState,
    State,
    counted,
)
from daemon.verify.rules import Kind, Named
from sinks.change import Key, KeyAttribute, KeySchema
from sinks.jsonl.options import JsonlOptions
from sinks.memory import MemorySink

NOTHING, ASKED = Count({}, 0), Asked(required=True, auto=True)
CLEAN = Run(1, 0, RunState.FINISHED, compared=900, clean=Clean(1, 5.0, 900, 300))


class Kept:
    def __init__(self):
        self.ticks = self.stops = 0

    def tick(self):
        self.ticks += 1

    def stop(self, _grace):
        self.stops += 1


class Leader:
    def __init__(self, sink=MemorySink, config=None):
        self.control, self.clock, self.made = MemoryControl(), Clock(), []
        known = SimpleNamespace(
            config=config or configured(), control=self.control, clock=self.clock, sink=lambda **_: sink()
        )
        self.keeping = Keeping(known, self._kept)

    def _kept(self):
        self.made.append(Kept())
        return self.made[-1]

    def turn(self, migration=REPLICATING, **seen):
        found = self.control.get("migration", Migration)
        self.control.put("migration", migration, found[1] if found else 0)
        self.clock.now += 10
        return self.keeping.turn(migration, SEEN._replace(**seen))

    def run(self):
        return self.control.get(RUN, Run)[0]

    def write(self, **changes):
        run, revision = self.control.get(RUN, Run)
        self.control.put(RUN, msgspec.structs.replace(run, **changes), revision)


def test_a_run_begins_by_itself_once_lag_is_proven_and_once_only():
    leader = Leader()
    assert leader.turn(applied_through=None).reason == "NotVerified"
    assert leader.made == []
    assert leader.turn().reason == "Running"
    leader.turn()
    assert (leader.run().id, leader.run().asked_by, leader.made[0].ticks) == (1, "auto", 2)
    leader.write(state=RunState.FINISHED, clean=Clean(1, 5.0, 900, 300))
    assert leader.turn().status
    assert (len(leader.made), leader.made[0].stops) == (1, 1)


def test_none_begins_while_the_backfill_runs_nor_where_it_is_not_wanted():
    leader = Leader()
    leader.turn(Migration(phase=Phase.BACKFILLING, parts=2))
    assert leader.control.get(RUN, Run) is None
    config = configured()
    manual = config.model_copy(update={"verify": config.verify.model_copy(update={"auto": False})})
    leader = Leader(config=manual)
    assert "`moveout verify start`" in leader.turn().message
    assert leader.control.get(RUN, Run) is None


def test_a_resync_asks_for_a_run_of_its_own():
    leader = Leader()
    leader.turn()
    leader.write(state=RunState.FINISHED, clean=Clean(1, 5.0, 900, 300))
    assert leader.turn().status
    healed = msgspec.structs.replace(REPLICATING, generation=3)
    assert not leader.turn(healed).status
    assert (leader.run().id, leader.run().generation, leader.run().clean) == (2, 3, None)


def test_a_target_that_cannot_be_read_back_says_so_and_blocks_nothing():
    class Blind:
        """A sink without `read`."""

    target = JsonlOptions(kind="jsonl", to="/nowhere/at/all")
    leader = Leader(sink=Blind, config=configured().model_copy(update={"target": target}))
    told = leader.turn()
    assert (told.status, told.reason, "jsonl" in told.message) == (True, "NotReadable", True)
    assert leader.control.get(RUN, Run) is None


def test_a_run_that_was_stopped_ends_its_process_and_does_not_begin_again():
    leader = Leader()
    leader.turn()
    runs.stop(leader.control)
    told = leader.turn()
    leader.turn()
    assert (told.status, leader.run().id, leader.made[0].stops, len(leader.made)) == (False, 1, 1, 1)
    with pytest.raises(runs.NotComparable):
        runs.stop(leader.control)


def test_a_row_that_is_written_all_the_time_is_told_and_does_not_keep_the_readers_waiting():
    leader = Leader()
    leader.turn()
    one = Difference("changed", '{"id":{"S":"x"}}', ["n"], 5, 1.0, "window", State.HOT)
    leader.control.put(DIFFERENCES + "ab", one, 0)
    leader.write(state=RunState.FINISHED, finished_at=leader.clock.time(), clean=Clean(1, 5.0, 900, 300))
    told = leader.turn()
    assert told.status
    assert "1 row(s) were written each time they were looked at: they are settled at the fence" in told.message
    leader.clock.now += 100
    leader.turn()
    assert leader.run().id == 1  # a whole comparison, again and again, for a counter
    leader.control.put(DIFFERENCES + "ab", msgspec.structs.replace(one, state=State.OPEN), 1)
    leader.clock.now += 100
    assert leader.turn().reason == "Differences"


def test_a_row_that_looks_lost_and_could_not_be_watched_keeps_the_readers_waiting():
    leader = Leader()
    leader.turn()
    one = Difference("missing", '{"id":{"S":"x"}}', [], 0, 1.0, "export", State.UNWATCHED)
    leader.control.put(DIFFERENCES + "ab", one, 0)
    leader.write(state=RunState.FINISHED, finished_at=leader.clock.time())
    told = leader.turn()
    assert (told.status, told.reason) == (False, "Unsettled")
    assert "1 row(s) look lost" in told.message
    assert leader.keeping.shown.open == 1


def test_what_an_earlier_generation_was_found_to_be_is_not_shown_of_this_one():
    # `moveout wait --for verified` said "reached" of rows that a resync was still to load.
    leader = Leader()
    leader.turn()
    leader.write(state=RunState.FINISHED, clean=Clean(1, 5.0, 900, 300))
    leader.turn()
    assert leader.keeping.shown.state == "finished"
    leader.turn(Migration(phase=Phase.BACKFILLING, generation=3, parts=2))
    assert leader.keeping.shown is None


def test_differences_for_which_there_was_no_room_are_told_as_well():
    run = msgspec.structs.replace(CLEAN, clean=None, unrecorded=5)
    assert judged.shown(run, counted({}), 0).differences["unrecorded"] == 5


@pytest.mark.parametrize("phase", [Phase.SWITCHED, Phase.ABORTED, Phase.NEEDS_RESYNC])
def test_nothing_is_compared_any_more_where_the_two_sides_part(phase):
    # Behind COMMIT each row that the application writes was a difference; an aborted move began a process each turn.
    leader = Leader()
    leader.turn()
    leader.turn(msgspec.structs.replace(REPLICATING, phase=phase))
    leader.turn(msgspec.structs.replace(REPLICATING, phase=phase))
    assert ([kept.ticks for kept in leader.made], leader.made[0].stops) == ([1], 1)


def test_a_difference_that_a_shard_finds_later_takes_the_condition_back():
    leader = Leader()
    leader.turn()
    leader.write(state=RunState.FINISHED, clean=Clean(1, 5.0, 900, 300))
    assert leader.turn().status
    one = Difference("stale", '{"id":{"S":"x"}}', ["n"], 5, 1.0, "preimage")
    leader.control.put(DIFFERENCES + "ab", one, 0)
    told = leader.turn()
    assert (told.status, told.reason) == (False, "Differences")
    assert "1 row(s) differ: 1 stale" in told.message
    leader.control.put(DIFFERENCES + "ab", msgspec.structs.replace(one, state=State.GONE), 1)
    assert leader.turn().status


@pytest.mark.parametrize(
    ("run", "count", "reason"),
    [
        (None, NOTHING, "NotVerified"),
        (Run(1, 0), NOTHING, "Running"),
        (CLEAN, NOTHING, "Compared"),
        (msgspec.structs.replace(CLEAN, id=2, state=RunState.RUNNING), NOTHING, "Compared"),
        (CLEAN, Count({"extra": 1}, 0), "Differences"),
        (CLEAN, Count({}, 0, 1), "Unsettled"),
        (CLEAN, Count({}, 2), "Compared"),  # written all the time: settled at the fence
        (msgspec.structs.replace(CLEAN, unrecorded=1), NOTHING, "Differences"),
        (Run(1, 0, RunState.FAILED, message="given up"), NOTHING, "Failed"),
        (Run(1, 7, RunState.FINISHED, clean=Clean(1, 5.0, 9, 9)), NOTHING, "NotVerified"),  # of another generation
    ],
)
def test_readers_may_switch_only_after_a_clean_run_of_this_generation(run, count, reason):
    told = judged.condition(ASKED, run, count, generation=0)
    assert (told.reason, told.status) == (reason, reason == "Compared")
    assert judged.condition(Asked(required=False, auto=True), run, count, 0).status


@pytest.mark.parametrize(
    ("run", "count", "told"),
    [
        (None, NOTHING, None),
        (CLEAN, Count({}, 2), None),
        (CLEAN, Count({"extra": 1}, 2, 3), "1 row(s) differ: 1 extra; 2 row(s) were written each time"),
        (CLEAN, Count({}, 0, 3), "not known to be equal; 3 row(s) look lost"),
        (msgspec.structs.replace(CLEAN, unrecorded=1), NOTHING, "row(s) differ"),
    ],
)
def test_what_stands_against_calling_them_equal_is_told_by_verify_show(run, count, told):
    found = judged.standing(run, count)
    assert (found is None) == (told is None)
    assert told is None or told in found


def test_ready_waits_for_the_condition_and_falls_with_it():
    good = judged.condition(ASKED, CLEAN, NOTHING, 0)
    bad = judged.condition(ASKED, CLEAN, Count({"missing": 3}, 0), 0)
    waiting = decide(REPLICATING, SEEN._replace(verified=bad), LIMITS)
    assert waiting.message.startswith("Verified does not hold: 3 row(s) differ: 3 missing")
    begun = decide(REPLICATING, SEEN._replace(verified=good), LIMITS)
    ready = decide(begun, after(10, verified=good), LIMITS)
    assert ready.ready_since == 1010.0
    assert decide(ready, after(11, verified=bad), LIMITS).ready_since is None
    assert conditions(ready, SEEN._replace(verified=good), LIMITS)[-1].type == "Verified"


def test_a_run_cannot_be_begun_before_all_is_loaded_or_beside_another():
    control = MemoryControl()
    with pytest.raises(runs.NotComparable, match="created"):
        runs.begin(control, 100, "a person")
    control.put("migration", REPLICATING, 0)
    assert runs.begin(control, 100, "a person", lambda: 1.0).id == 1
    with pytest.raises(runs.NotComparable, match="run 1 is under way"):
        runs.begin(control, 100, "a person")


def test_what_may_be_said_is_bounded_by_what_was_read_at_the_source():
    shown = judged.shown(CLEAN, NOTHING, 0)
    assert shown.upper_bound is None
    seen = judged.shown(msgspec.structs.replace(CLEAN, live=300), NOTHING, 0)
    assert (seen.upper_bound, seen.compared) == (0.01, 900)
    assert "at most 0.01 of the rows differ, at 95 %" in judged.condition(ASKED, CLEAN, NOTHING, 0).message


def test_what_is_settled_makes_room_for_what_differs():
    # 1,000 rows that had been hot once, and were equal since, left none: each new difference was only counted.
    control = MemoryControl()
    control.delete = control.records.pop
    for number in range(KEPT_MAX):
        key = f'{{"id":{{"S":"{number}"}}}}'
        state = State.OPEN if number < 2 else State.GONE
        control.put(f"{DIFFERENCES}{number:04}", Difference("stale", key, [], 5, 1.0, "export", state), 0)
    records = Records(control, KeySchema(KeyAttribute("id", "S")))
    missing = Named(Kind.MISSING, [])
    assert records.keep(Key("new"), missing, 0, "export", 1.0, 2, State.OPEN)
    assert counted(records.differences()).by_kind == {"missing": 1, "extra": 0, "stale": 2, "changed": 0}

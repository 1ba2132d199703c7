import pytest

from daemon.control import Migration, Proof, Sweep
from daemon.cutover import Limits, Observation, conditions, decide, lag_seconds, to_be_settled
from daemon.phase import Phase

LIMITS = Limits(max_lag_seconds=5, stable_for_seconds=10)
SEEN = Observation(
    now=1000.0,
    parts_total=2,
    parts_done=2,
    items_total=7,
    items_done=7,
    part_error=None,
    applied_through=999.0,
    lag_reason="round 3 came through",
    trouble=None,
)
REPLICATING = Migration(phase=Phase.REPLICATING, settled=True, parts=2)


def after(seconds, **changes):
    return SEEN._replace(now=1000.0 + seconds, applied_through=999.0 + seconds)._replace(**changes)


def ready():
    return decide(decide(REPLICATING, SEEN, LIMITS), after(10), LIMITS)


def test_readers_may_switch_only_after_lag_has_held_long_enough():
    caught_up = decide(REPLICATING, SEEN, LIMITS)
    assert caught_up.ready_since is None
    assert decide(caught_up, after(9.9), LIMITS).ready_since is None
    assert decide(caught_up, after(10), LIMITS).ready_since == 1010.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"applied_through": None}, "LagProven"),
        ({"applied_through": 900.0}, "CaughtUp"),
        ({"trouble": "no node answers"}, "TargetAvailable"),
        ({"hazard": "gc_grace_seconds is 0"}, "TargetSafe"),
        ({"dead_letter": "one waits"}, "DeadLettersResolved"),
    ],
)
def test_ready_falls_the_moment_a_condition_falls_and_says_which(change, named):
    fallen = decide(ready(), after(11, **change), LIMITS)
    assert (fallen.ready_since, fallen.caught_up_since) == (None, None)
    assert fallen.message.startswith(named)


def test_after_a_fall_the_whole_time_must_hold_again():
    fallen = decide(ready(), after(11, applied_through=900.0), LIMITS)
    again = decide(fallen, after(12), LIMITS)
    assert again.ready_since is None
    assert decide(again, after(21), LIMITS).ready_since is None
    assert decide(again, after(22), LIMITS).ready_since == 1022.0


def test_lag_has_no_bound_while_the_backfill_runs_even_with_heartbeats_through():
    backfilling = Migration(phase=Phase.BACKFILLING)
    assert lag_seconds(backfilling, SEEN) is None
    assert not {c.type: c.status for c in conditions(backfilling, SEEN, LIMITS)}["CaughtUp"]


@pytest.mark.parametrize("change", [{"parts_done": 1}, {"items_done": 6}, {"parts_total": 1, "parts_done": 1}])
def test_a_backfill_is_not_complete_until_parts_and_items_agree_with_the_manifest(change):
    loaded = Migration(phase=Phase.BACKFILLING, settled=True, parts=2)
    assert decide(loaded, SEEN._replace(**change), LIMITS).phase is Phase.BACKFILLING
    assert decide(loaded, SEEN, LIMITS).phase is Phase.REPLICATING


def test_a_backfill_is_not_complete_before_late_rows_are_swept():
    unswept = Migration(phase=Phase.BACKFILLING, settled=False, parts=2)
    assert decide(unswept, SEEN, LIMITS).phase is Phase.BACKFILLING
    assert to_be_settled(unswept, SEEN)
    assert not to_be_settled(unswept, SEEN._replace(parts_done=1))
    swept = decide(unswept, SEEN._replace(settled=True), LIMITS)
    assert (swept.phase, swept.settled) == (Phase.REPLICATING, True)


def test_a_gap_ends_the_migration_and_takes_ready_back():
    lost = decide(ready(), after(11, gap="records were trimmed"), LIMITS)
    assert decide(lost, after(12), LIMITS) == lost
    assert (lost.phase, lost.ready_since) == (Phase.NEEDS_RESYNC, None)
    assert "records were trimmed" in lost.message


def test_a_decision_is_taken_once_and_its_sentence_does_not_change_with_every_figure():
    behind = decide(REPLICATING, after(0, applied_through=900.0), LIMITS)
    assert decide(behind, after(1, applied_through=900.0), LIMITS) == behind
    assert decide(ready(), after(11), LIMITS) == ready()


def test_a_failed_part_is_the_reason_that_the_backfill_is_not_complete():
    found = conditions(Migration(phase=Phase.BACKFILLING), SEEN._replace(part_error="a.json.gz is missing"), LIMITS)
    assert (found[0].reason, found[0].message) == ("PartFailed", "a.json.gz is missing")


def test_an_outage_is_named_before_the_lag_that_it_causes():
    away = decide(ready(), after(60, applied_through=900.0, trouble="no node answers"), LIMITS)
    assert away.message == "TargetAvailable does not hold: no node answers"


def test_a_backfill_without_a_tail_ends_loaded_and_never_says_that_readers_may_switch():
    only = Migration(phase=Phase.BACKFILLING, mode="backfill", settled=True, parts=2)
    loaded = decide(only, SEEN, LIMITS)
    assert loaded.phase is Phase.LOADED
    assert "nothing that is written from now on" in loaded.message
    later = decide(loaded, after(1000), LIMITS)
    assert (later.phase, later.ready_since) == (Phase.LOADED, None)
    assert [c.type for c in conditions(loaded, SEEN, LIMITS)] == [
        "BackfillComplete",
        "DeadLettersResolved",
        "TargetAvailable",
        "TargetSafe",
    ]


def test_a_tail_without_a_backfill_has_nothing_to_load_and_replicates_at_once():
    seen = SEEN._replace(parts_total=0, parts_done=0, items_total=0, items_done=0)
    tail = Migration(phase=Phase.ANCHORED, mode="tail")
    assert decide(tail, seen, LIMITS).phase is Phase.REPLICATING


def test_a_tail_that_a_resync_gave_parts_to_loads_them_first():
    tail = Migration(phase=Phase.ANCHORED, mode="tail", parts=2)
    assert decide(tail, SEEN._replace(parts_done=0), LIMITS).phase is Phase.BACKFILLING


def test_a_tail_whose_resync_has_nothing_to_load_still_removes_what_was_deleted_in_the_gap():
    seen = SEEN._replace(parts_total=0, parts_done=0, items_total=0, items_done=0)
    tail = Migration(phase=Phase.ANCHORED, mode="tail", sweep=Sweep(below=2, at=1))
    loading = decide(tail, seen, LIMITS)
    assert loading.phase is Phase.BACKFILLING
    assert to_be_settled(loading, seen)


def test_a_total_that_is_an_estimate_is_told_as_one():
    seen = SEEN._replace(parts_done=0, items_done=3, estimated=True)
    loading = decide(Migration(phase=Phase.ANCHORED, parts=2), seen, LIMITS)
    assert loading.message == "loading about 7 items in 2 part(s)"
    assert conditions(loading, seen, LIMITS)[0].message == "3 of about 7 items in 0 of 2 part(s)"


def test_what_was_proven_before_a_resync_proves_nothing_after_it():
    # The new generation reads its stream from the begin: old changes pass through the target once more.
    before = Proof(round=7, proven_round=6, applied_through=999.0, generation=1)
    assert before.of(1) is before
    after_it = before.of(2)
    assert (after_it.applied_through, after_it.proven_round, after_it.round) == (None, 7, 7)


def test_lag_is_not_proven_after_a_sweep_until_what_it_left_to_the_stream_has_come():
    # It asked the source about a row, found the item there again, and left the row: stale until the stream brings it.
    sweep = Sweep(below=9, at=9, ask_source=True)
    loaded = Migration(phase=Phase.BACKFILLING, parts=2, sweep=sweep)
    settled = decide(loaded, SEEN._replace(settled=True), LIMITS)
    assert (settled.phase, settled.settled_at) == (Phase.REPLICATING, 1000.0)
    assert lag_seconds(settled, SEEN._replace(now=1002.0, applied_through=999.5)) is None
    assert lag_seconds(settled, SEEN._replace(now=1002.0, applied_through=1000.5)) == 1.5

"""What `moveout status` says to a person, where it used to say something else than what is."""

import re
import time

import msgspec
from rich.console import Console
from unit.test_whole import table

from daemon.completion import Completion
from daemon.control import Migration, Part
from daemon.cutover import Limits, Observation, conditions
from daemon.phase import Phase
from daemon.progress_view import short
from daemon.report import render, render_completion, render_parts
from daemon.routes import Routes
from daemon.signal.document import Paused, Progress, Tail, Verification, document, iso
from daemon.signal.whole import whole
from daemon.switching import Entry, Step, Switch

NOW = 1_700_000_000.0


def shown(renderable):
    console = Console(width=200)
    with console.capture() as text:
        console.print(renderable)
    return text.get()


def loaded(mode="backfill", **more):
    seen = Observation(NOW, 2, 2, 1572, 1572, None, None, "", None)
    progress = Progress(0, 0.0, Tail(*[0] * 7), {"open": 0, "settled": 0, "retried": 0, "waived": 0}, **more)
    made = Migration(phase=Phase.LOADED, mode=mode, message="all 1,572 items are loaded")
    return document("orders", made, seen, Limits(1, 1), progress, "orders")


def test_a_backfill_that_has_ended_is_no_service_that_fell_silent_and_has_no_lag_and_no_stream():
    text = shown(render(loaded()))
    assert text.startswith("orders: loaded - all 1,572 items are loaded")
    assert "1,572 of 1,572 items (100 %), 2 of 2 part(s)" in text
    assert not any(word in text for word in ("silent", "lag", "stream", "must not switch"))


def test_a_service_that_publishes_no_more_is_told_as_silent():
    assert "silent" in shown(render(table("orders")))
    current = table("orders")
    valid = msgspec.structs.replace(current.ready, valid_until=iso(time.time() + 9))
    assert "silent" not in shown(render(msgspec.structs.replace(current, ready=valid)))


def test_a_segment_of_a_scan_is_told_by_its_number_and_a_file_by_its_name():
    assert short("s3://b/AWSDynamoDB/01/data/one.json.gz") == "one.json.gz"
    assert short("scan:orders#3/16") == "orders#3/16"
    parts = [Part(f"scan:orders#{n}/2", "", 0, kind="scan", counted=False) for n in (0, 1)]
    assert all(name in shown(render_parts("orders", parts)) for name in ("orders#0/2", "orders#1/2"))


def test_a_paused_backfill_has_no_time_left_that_anybody_could_know():
    seen = Observation(NOW, 2, 1, 100, 40, None, None, "", None)
    letters = {"open": 0, "settled": 0, "retried": 0, "waived": 0}

    def left(paused):
        progress = Progress(0, 10.0, Tail(*[0] * 7), letters, paused)
        return document("orders", Migration(phase=Phase.BACKFILLING), seen, Limits(1, 1), progress).backfill.eta_seconds

    assert (left(Paused()), left(Paused(backfill=True))) == (6.0, None)


def test_heartbeats_that_come_through_during_the_backfill_are_no_reason_that_lag_is_not_proven():
    seen = Observation(NOW, 2, 1, 7, 3, None, NOW - 1, "round 7 has come through", None)
    found = {c.type: c.message for c in conditions(Migration(phase=Phase.BACKFILLING), seen, Limits(1, 1))}
    assert found["LagProven"] == "round 7 has come through; lag has no bound before the backfill is complete"


def test_several_tables_that_are_loaded_or_well_are_not_told_by_one_of_them():
    both = whole("shop", [loaded(), msgspec.structs.replace(loaded(), table="customers")])
    assert both.message == "all 2 tables are loaded; nothing that is written from now on will be"
    different = whole("shop", [table("a", items=(7, 7)), table("b", items=(9, 9))])
    assert next(c for c in different.conditions if c.type == "BackfillComplete").message == "holds for all 2 tables"


def test_an_estimate_that_was_outgrown_has_no_time_left_and_is_no_total():
    # A table younger than six hours has 0 items by DescribeTable: "5,000 of about 0 items, about -50 s left".
    seen = Observation(NOW, 2, 1, 4000, 5000, None, None, "", None, estimated=True)
    letters = {"open": 0, "settled": 0, "retried": 0, "waived": 0}
    progress = Progress(0, 100.0, Tail(*[0] * 7), letters)
    made = document("orders", Migration(phase=Phase.BACKFILLING), seen, Limits(1, 1), progress)
    assert made.backfill.eta_seconds is None
    assert "5,000 items so far, the estimate was 4,000, 1 of 2 part(s), 100 items/s\n" in re.sub(
        " +\n", "\n", shown(render(made))
    )


def test_a_migration_that_was_completed_is_no_service_that_fell_silent_and_one_half_done_is_told_as_that():
    done = shown(render_completion("orders", Completion(NOW, NOW + 5)))
    assert done.startswith("orders: completed at 2023-11-14T22:13:25.000+00:00")
    forced = shown(render_completion("orders", Completion(NOW, NOW + 5, forced="given up")))
    assert "before it was ready: given up" in forced
    begun = shown(render_completion("orders", Completion(NOW)))
    assert "begun at 2023-11-14T22:13:20.000+00:00 and is not done" in begun
    assert "silent" not in shown(render(table("orders"), completed=True))


def test_after_the_switch_it_says_where_everybody_is_and_no_more_whether_readers_may_switch():
    journal = [Entry(NOW, Step.DONE, "the writers have switched to the target")]
    switch = Switch("a1", Step.DONE, NOW - 9, NOW + 9, journal)
    told = msgspec.structs.replace(
        table("orders"), phase=Phase.SWITCHED, routes=Routes(100, "target"), switch=switch, message="switched"
    )
    text = shown(render(told))
    assert "may" not in text.splitlines()[0]
    assert "must not" not in text
    assert "100 % of the readers read the target; writers write to the target" in text
    assert "step done: the writers have switched to the target" in text


def test_fenced_writers_are_told_and_routes_that_never_changed_are_not():
    assert "routes" not in shown(render(table("orders")))
    fenced = msgspec.structs.replace(table("orders"), routes=Routes(100, writes_fenced=True))
    assert "nobody is to write" in shown(render(fenced))


def test_differences_are_told_by_kind_with_the_command_that_names_them():
    found = Verification(2, "finished", 500, 500, {"missing": 0, "extra": 3, "stale": 0, "changed": 1}, message="done")
    text = shown(render(msgspec.structs.replace(table("orders"), verification=found)))
    assert "run 2 finished: done" in text
    assert "3 extra, 1 changed differ: see `moveout verify report`" in text

import msgspec
import pytest
from served import published

from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import Document, Progress, Tail, Verification, document
from daemon.signal.whole import whole
from daemon.switching import Step, Switch

NOW = 1_700_000_000.0
LETTERS = {"open": 0, "settled": 0, "retried": 0, "waived": 0}


def table(name, *, ready=True, phase=Phase.REPLICATING, lag=1.0, letters=0, items=(7, 7), gap=None):
    dead_letter = f"{letters} wait" if letters else None
    through = NOW - lag if phase is Phase.REPLICATING else None
    seen = Observation(NOW, 2, 2, items[1], items[0], None, through, "round 3", None, dead_letter)
    migration = Migration(phase=phase, message=f"of {name}", ready_since=NOW - 5 if ready else None, gap=gap)
    progress = Progress(3, 10.0, Tail(1, 2, 3, 4, 5, 6, 7), {**LETTERS, "open": letters})
    return document(f"shop.{name}", migration, seen, Limits(5, 3), progress, name)


def test_a_migration_of_one_table_is_that_tables_document():
    alone = table("orders")
    assert whole("shop", [alone]) is alone


def test_all_tables_ready_is_the_one_ready_of_the_migration():
    both = whole("shop", [table("orders"), table("customers")])
    assert (both.migration, both.ready.readers, both.message) == ("shop", True, "ready: all 2 tables are")


@pytest.mark.parametrize(
    "late",
    [
        {"ready": False, "phase": Phase.BACKFILLING},
        {"ready": False, "letters": 1},
        {"ready": False, "phase": Phase.NEEDS_RESYNC, "gap": "trimmed"},
        {"ready": False, "phase": Phase.LOADED},
    ],
    ids=["backfilling", "dead letter", "gap", "no tail"],
)
def test_one_table_that_is_not_ready_keeps_the_whole_from_it_and_is_named(late):
    both = whole("shop", [table("orders"), table("customers", **late)])
    assert not both.ready.readers
    assert both.ready.since is None
    assert both.phase is late.get("phase", Phase.REPLICATING)
    assert "customers" in both.message


def test_lag_is_the_longest_and_without_a_bound_as_soon_as_one_is():
    assert whole("shop", [table("a", lag=1.0), table("b", lag=4.0)]).lag.seconds == 4.0
    loading = table("b", ready=False, phase=Phase.BACKFILLING)
    unbounded = whole("shop", [table("a"), loading])
    assert (unbounded.lag.seconds, unbounded.lag.applied_through) == (None, None)


def test_counts_are_sums_and_the_time_left_is_of_what_is_left_in_all():
    both = whole("shop", [table("a", items=(5, 10)), table("b", items=(10, 20), letters=2)])
    assert (both.backfill.items_done, both.backfill.items_total, both.backfill.eta_seconds) == (15, 30, 0.8)
    assert both.tail == Tail(2, 4, 6, 8, 10, 12, 14)
    assert both.dead_letters.open == 2


def test_a_condition_that_fails_for_one_table_fails_and_names_it():
    both = whole("shop", [table("a"), table("b", ready=False, letters=1)])
    failed = [condition for condition in both.conditions if not condition.status]
    assert [(condition.type, condition.message) for condition in failed] == [("DeadLettersResolved", "b: 1 wait")]


def test_it_expires_with_the_oldest_and_reads_back_as_a_client_reads_it():
    old = msgspec.structs.replace(table("a"), ready=msgspec.structs.replace(table("a").ready, valid_until="2020"))
    both = whole("shop", [old, table("b")])
    assert both.ready.valid_until == "2020"
    assert msgspec.json.decode(msgspec.json.encode(both), type=Document) == both


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        (Routes(100), Routes(20), Routes(20)),
        (Routes(100, "target"), Routes(100, "target"), Routes(100, "target")),
        (Routes(100, "target"), Routes(100, "source"), Routes(100, "source")),
        (Routes(100, "source", writes_fenced=True), Routes(100), Routes(100, "source", writes_fenced=True)),
    ],
)
def test_whoever_follows_the_whole_is_sent_to_no_target_too_early(a, b, both):
    for tables in ([a, b], [b, a]):
        each = [published(routes=routes, table=name) for routes, name in zip(tables, "ab", strict=True)]
        assert whole("shop", each).routes == both


def test_writers_may_switch_when_those_of_every_table_may():
    may, not_yet = published(writers=True, table="a"), published(writers=False, table="b")
    assert whole("shop", [may, may]).ready.writers
    assert not whole("shop", [may, not_yet]).ready.writers


def test_a_change_of_any_tables_route_raises_the_epoch_of_the_whole():
    before = whole("shop", [published(epoch=5, table="a"), published(epoch=1, table="b")])
    after = whole("shop", [published(epoch=5, table="a"), published(epoch=2, table="b")])
    assert after.epoch > before.epoch


def test_the_weakest_proof_speaks_for_all():
    proven = published(table="a")
    quiet = msgspec.structs.replace(proven, lag=msgspec.structs.replace(proven.lag, proof="quiet"))
    assert whole("shop", [proven, quiet]).lag.proof == whole("shop", [quiet, proven]).lag.proof == "quiet"


def run(state, bound=0.01, **differences):
    found = {"missing": 0, **differences}
    return Verification(1, state, 300, 600, found, open=1, upper_bound=bound, began_at="2026-01-01", finished_at="2026")


def test_verification_is_the_sum_and_done_when_every_tables_is():
    both = [published(verification=run("finished", missing=2), table="a"), published(verification=run("finished", 0.5))]
    found = whole("shop", both).verification
    assert (found.state, found.compared, found.total, found.open) == ("finished", 600, 1200, 2)
    assert (found.differences, found.upper_bound, found.finished_at) == ({"missing": 2}, 0.5, "2026")
    for other, state in ((run("running"), "running"), (run("failed"), "failed"), (None, "running")):
        mixed = whole("shop", [both[0], published(verification=other, table="b")]).verification
        assert mixed.state == state
        assert mixed.message.startswith("b: ")
    assert whole("shop", [both[0], published()]).verification.upper_bound is None
    assert whole("shop", [published(), published()]).verification is None


def test_the_switch_of_the_first_table_that_has_one_is_told():
    switch = Switch("1", Step.FENCE, 1.0, 2.0)
    switching = msgspec.structs.replace(published(table="b"), switch=switch)
    assert whole("shop", [published(table="a"), switching]).switch == switch

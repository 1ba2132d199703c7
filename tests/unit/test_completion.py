"""The end of a migration, and what the target's settings were: all of it in the control table."""

from types import SimpleNamespace

import msgspec
import pytest
from fakes import MemoryControl

from daemon import target_settings
from daemon.completion import Completion, complete, completion, refuse_if_begun, too_early
from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.signal.document import Document, Progress, Tail, document
from daemon.target_settings import Guard
from sinks.memory import MemorySink
from sinks.provision import SchemaStep
from sinks.sink import SinkUnavailable

NOW = 1_700_000_000.0
READY = Migration(phase=Phase.REPLICATING, settled=True, ready_since=NOW - 60)
SHORT = SchemaStep("ALTER TABLE t WITH gc_grace_seconds = 9", "gc_grace_seconds is 0", before={"gc_grace_seconds": "0"})


class GuardedSink(MemorySink):
    """A target with a setting that somebody may alter."""

    def __init__(self):
        super().__init__()
        self.unsafe, self.restored, self.away = [], [], False

    def hazards(self):
        if self.away:
            raise SinkUnavailable("no node answers")
        return self.unsafe

    def restore(self, before, told):
        if self.away:
            raise SinkUnavailable("no node answers")
        self.restored.append(dict(before))
        told("restored")


@pytest.fixture
def known():
    sink = GuardedSink()
    return SimpleNamespace(
        control=MemoryControl(),
        clock=SimpleNamespace(time=lambda: NOW),
        target=sink,
        sink=lambda **_: sink,
    )


def published(known, at):
    letters = {"open": 0, "settled": 0, "retried": 0, "waived": 0}
    seen = Observation(at, 0, 0, 0, 0, None, at, "", None)
    told = document("orders", READY, seen, Limits(9, 9), Progress(1, 0.0, Tail(*[0] * 7), letters))
    known.control.update("signal", Document, lambda _: told)


def moved(known, migration=READY):
    known.control.update("migration", Migration, lambda _: migration)
    return known


@pytest.mark.parametrize(
    "migration",
    [
        Migration(),
        Migration(phase=Phase.BACKFILLING),
        Migration(phase=Phase.REPLICATING),
        Migration(phase=Phase.NEEDS_RESYNC),
    ],
    ids=lambda migration: migration.phase.value,
)
def test_a_migration_that_is_not_ready_is_not_completed(known, migration):
    assert migration.message in too_early(moved(known, migration))


def test_one_that_has_not_begun_is_not_completed(known):
    assert "created" in too_early(known)


def test_a_service_that_still_runs_is_to_be_stopped_first(known):
    moved(known)
    published(known, NOW - 29)
    assert "stop `moveout run` first" in too_early(known)
    published(known, NOW - 31)
    assert too_early(known) is None


def test_a_backfill_without_a_tail_is_completed_once_it_is_loaded(known):
    assert too_early(moved(known, Migration(phase=Phase.LOADED, mode="backfill"))) is None


def test_completing_gives_back_what_was_noted_first_and_says_so(known):
    target_settings.remember(known.control, {"gc_grace_seconds": "60"})
    # A second --apply, after somebody else's ALTER: what is noted stays, and what is new is added.
    target_settings.remember(known.control, {"gc_grace_seconds": "0", "default_time_to_live": "5"})
    told = []
    assert complete(known, told.append)
    assert known.target.restored == [{"gc_grace_seconds": "60", "default_time_to_live": "5"}]
    assert told == ["restored"]


def test_after_it_nothing_of_the_migration_may_write(known):
    refuse_if_begun(known.control)
    complete(known, lambda _: None)
    with pytest.raises(CheckFailed, match="another `migration` name"):
        refuse_if_begun(known.control)


def test_an_interrupted_one_keeps_everything_else_out_and_goes_on(known):
    moved(known)
    known.target.away = True
    with pytest.raises(SinkUnavailable):
        complete(known, lambda _: None, "the last day")
    assert completion(known.control) == Completion(NOW, 0, "the last day")
    with pytest.raises(CheckFailed):
        refuse_if_begun(known.control)
    known.target.away = False
    assert too_early(moved(known, Migration())) is None
    assert complete(known, lambda _: None)
    assert completion(known.control) == Completion(NOW, NOW, "the last day")


def test_completing_twice_changes_nothing_more(known):
    complete(known, lambda _: None)
    first = completion(known.control)
    known.clock.time = lambda: NOW + 99
    complete(known, lambda _: None)
    assert completion(known.control) == first


def test_a_target_that_keeps_nothing_for_a_move_is_left_alone(known):
    known.sink = lambda **_: MemorySink()
    assert not complete(known, lambda _: None)
    assert completion(known.control) is None


class Completing(GuardedSink):
    def complete(self, told):
        told("completed")


def test_settings_are_given_back_before_the_rest_is_removed(known):
    known.sink = lambda **_: Completing()
    told = []
    complete(known, told.append)
    assert told == ["restored", "completed"]


def test_a_setting_that_is_altered_while_the_move_runs_is_seen_with_what_mends_it(known):
    guard = Guard(known)
    guard.look()
    assert guard.hazard() is None
    known.target.unsafe = [SHORT]
    guard.look()
    assert guard.hazard() == f"{SHORT.why}. {SHORT.statement}; or: moveout schema --apply"
    known.target.unsafe = []
    guard.look()
    assert guard.hazard() is None


def test_a_new_leader_knows_what_the_last_one_saw_before_it_has_looked(known):
    known.target.unsafe = [SHORT]
    Guard(known).look()
    assert SHORT.why in Guard(known).hazard()


def test_a_replica_that_leads_again_does_not_believe_what_it_saw_the_last_time(known):
    first, second = Guard(known), Guard(known)
    known.target.unsafe = [SHORT]
    first.look()
    known.target.unsafe = []
    second.look()
    first.forget()
    assert first.hazard() is None


def test_a_target_that_does_not_answer_changes_no_verdict(known):
    guard = Guard(known)
    known.target.unsafe = [SHORT]
    guard.look()
    known.target.away = True
    guard.look()
    assert SHORT.why in guard.hazard()


def test_what_is_found_again_is_not_written_again(known):
    guard = Guard(known)
    for _ in range(3):
        guard.look()
    assert known.control.records == {}
    known.target.unsafe = [SHORT]
    for _ in range(3):
        guard.look()
    assert known.control.get("target_hazard", msgspec.Raw)[1] == 1

"""What the commands of the switch refuse, write and tell."""

from types import SimpleNamespace

import msgspec
import pytest
import typer
from fakes import MemoryControl
from typer.testing import CliRunner

from daemon import cutting_over
from daemon.abort import aborted, refused
from daemon.cli import app
from daemon.completion import refuse_if_begun, refuse_if_switched, too_early
from daemon.config import Config
from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.cutover_cli import _followed
from daemon.final_check import final_check
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.routes import Routes
from daemon.signal.document import Document, Progress, Tail, document
from daemon.switching import Step
from sinks.memory import MemorySink

NOW = 1_700_000_000.0
READY = Migration(phase=Phase.REPLICATING, settled=True, ready_since=NOW - 60, caught_up_since=NOW - 99, epoch=3)
ALL_READ = msgspec.structs.replace(READY, routes=Routes(100))
CONFIG = Config(
    migration="orders",
    source={"table": "orders", "region": "r"},
    backfill={"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json"},
    target={"kind": "dynamodb", "table": "moved", "region": "r"},
)


class Known:
    def __init__(self, migration=READY, at=NOW, lag=1.0):
        self.control, self.config = MemoryControl(), CONFIG
        self.clock = SimpleNamespace(time=lambda: NOW)
        self.sink = lambda **_: MemorySink()
        self.control.put("migration", migration, 0)
        letters = {"open": 0, "settled": 0, "retried": 0, "waived": 0}
        seen = Observation(at, 0, 0, 0, 0, None, at - lag, "", None)
        told = document("orders", migration, seen, Limits(9, 9), Progress(1, 0.0, Tail(*[0] * 7), letters))
        self.control.update("signal", Document, lambda _: told)

    @property
    def migration(self):
        return self.control.get("migration", Migration)[0]


def test_readers_are_routed_by_percent_each_change_raising_the_epoch_and_saying_so():
    known = Known()
    assert cutting_over.readers_refused(known, 25) == []
    assert "25 % of the readers" in cutting_over.route_readers(known, 25)
    assert (known.migration.routes.reads_percent, known.migration.epoch) == (25, 4)
    cutting_over.route_readers(known, 25)
    assert known.migration.epoch == 4  # nothing changed


@pytest.mark.parametrize(
    ("known", "missing"),
    [
        (Known(lag=99.0), "CaughtUp"),
        (Known(at=NOW - 31), "silent since"),
        (Known(Migration(phase=Phase.REPLICATING)), "not ready"),
        (Known(Migration(phase=Phase.BACKFILLING)), "BackfillComplete"),
    ],
    ids=["behind", "silent", "not stable yet", "loading"],
)
def test_more_readers_need_what_ready_needs_and_are_told_what_is_missing(known, missing):
    assert missing in " ".join(cutting_over.readers_refused(known, 1))


def hooked(tmp_path, migration=READY):
    """A migration with a hook that says no, and writes down what it was asked."""
    program = tmp_path / "says-no"
    program.write_text(
        '#!/bin/sh\necho "$MOVEOUT_EVENT_TYPE $MOVEOUT_EVENT_SUBJECT" >> "$0.asked"\necho not tonight\nexit 1\n'
    )
    program.chmod(0o755)
    known = Known(migration)
    known.config = Config(
        **{
            **CONFIG.model_dump(by_alias=True),
            "hooks": [{"on": ["route", "switch"], "pre": True, "exec": [str(program)]}],
        }
    )
    return known, program.with_name("says-no.asked")


def test_a_hook_that_says_no_keeps_readers_where_they_are_but_never_from_going_back(tmp_path):
    known, asked = hooked(tmp_path, msgspec.structs.replace(READY, routes=Routes(50)))
    with pytest.raises(CheckFailed, match="not tonight"):
        cutting_over.route_readers(known, 60)
    assert known.migration.routes.reads_percent == 50
    assert asked.read_text() == "moveout.route.readers 60\n"
    cutting_over.route_readers(known, 0)
    assert known.migration.routes.reads_percent == 0


def test_a_hook_that_says_no_to_commit_is_what_keeps_the_writers_from_switching(tmp_path):
    known, asked = hooked(tmp_path, ALL_READ)
    cutting_over.request_writers(known, 30)
    assert "not tonight" in final_check(known)
    assert asked.read_text() == f"moveout.switch.commit {known.migration.switch.id}\n"


def test_writers_do_not_switch_without_heartbeats():
    known = Known(ALL_READ)
    known.config = Config(**{**CONFIG.model_dump(by_alias=True), "tail": {"proof": "quiet"}})
    assert any("tail.proof is quiet" in line for line in cutting_over.writers_refused(known))


def test_a_seal_needs_its_quiet_minute_within_the_timeout():
    known = Known(ALL_READ)
    known.config = Config(**{**CONFIG.model_dump(by_alias=True), "tail": {"proof": "seal"}})
    assert any("Give --timeout 5m" in line for line in cutting_over.writers_refused(known))
    assert any("Give --timeout 5m" in line for line in cutting_over.writers_refused(known, 60))
    known.dynamodb = TtlOf(None)
    assert cutting_over.writers_refused(known, 300) == []
    known.dynamodb = TtlOf("expires")
    assert any("deletes by TTL (expires)" in line for line in cutting_over.writers_refused(known, 300))
    assert any("sealed (disabled)" in line for line in cutting_over.plan(known, 300))


class TtlOf:
    """A source that has TTL on this attribute, or none."""

    def __init__(self, attribute):
        self._attribute = attribute

    def describe_time_to_live(self, TableName):  # noqa: N803
        assert TableName == CONFIG.source.table
        if self._attribute is None:
            return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": self._attribute}}


def test_readers_go_back_at_any_time_also_when_nothing_is_ready():
    known = Known(msgspec.structs.replace(ALL_READ, ready_since=None), at=NOW - 999)
    assert cutting_over.readers_refused(known, 0) == []
    cutting_over.route_readers(known, 0)
    assert known.migration.routes.reads_percent == 0


def test_ready_that_fell_between_the_look_and_the_write_routes_nobody():
    known = Known()
    known.control.update("migration", Migration, lambda now: msgspec.structs.replace(now, ready_since=None))
    with pytest.raises(CheckFailed, match="not ready any more"):
        cutting_over.route_readers(known, 5)


def test_a_hook_that_may_refuse_more_readers_is_asked_also_when_somebody_lowers_them_meanwhile(tmp_path):
    known, _ = hooked(tmp_path, msgspec.structs.replace(READY, routes=Routes(100)))
    read, looked = known.control.get, []

    def get(record, kind):
        found = read(record, kind)
        if record == "migration" and not looked:
            looked.append(known.control.put(record, READY, found[1]))  # back to 0 % behind our look
        return found

    known.control.get = get
    with pytest.raises(CheckFailed, match="somebody else"):
        cutting_over.route_readers(known, 50)
    assert known.migration.routes.reads_percent == 0


def followed(known, capsys, turns=5000):
    """What a person reads until the command ends."""
    clock = SimpleNamespace(now=0.0, left=turns)

    def sleep(seconds):
        clock.now, clock.left = clock.now + seconds, clock.left - 1
        assert clock.left, "it does not end"

    with pytest.raises(typer.Exit) as ended:
        _followed(known, lambda: clock.now, sleep)
    return ended.value.exit_code, capsys.readouterr().err.replace("\n", " "), clock.now


def reopening(known):
    """A sealed switch that fails: its stream is enabled again, which takes its time, under a service that lives."""
    found, revision = known.control.get("migration", Migration)
    switch = msgspec.structs.replace(found.switch, step=Step.REOPEN, sealing=True, waits_for="the table is UPDATING")
    known.control.put("migration", msgspec.structs.replace(found, switch=switch), revision)
    return known


def test_a_service_that_lives_and_waits_is_not_taken_for_one_that_is_gone(capsys):
    code, told, after = followed(reopening(switching()), capsys)
    assert (code, after > 599) == (1, True)
    assert "the table is UPDATING" in told
    assert "Is `moveout run` up?" not in told
    gone = reopening(switching())
    gone.clock = SimpleNamespace(time=lambda: NOW + 99)
    code, told, after = followed(gone, capsys)
    assert (code, after < 70, "Is `moveout run` up?" in told) == (1, True, True)


def test_writers_wait_for_all_readers():
    assert "backfilling" in cutting_over.writers_refused(Known(Migration(phase=Phase.BACKFILLING)))[0]
    assert "CaughtUp" in cutting_over.writers_refused(Known(ALL_READ, lag=99.0))[0]
    assert "first `moveout cutover readers --percent 100`" in cutting_over.writers_refused(Known())[0]
    assert cutting_over.writers_refused(Known(ALL_READ)) == []


def switching():
    known = Known(ALL_READ)
    cutting_over.request_writers(known, 12.0)
    return known


def test_a_request_is_a_record_with_a_deadline_that_is_written_once():
    known = switching()
    asked = known.migration
    assert (asked.phase, asked.switch.step, asked.switch.deadline) == (Phase.SWITCHING, Step.FENCE, NOW + 12)
    assert asked.routes == ALL_READ.routes  # the leader changes them
    with pytest.raises(CheckFailed):
        cutting_over.request_writers(known, 12.0)
    assert "switching-writers" in cutting_over.readers_refused(known, 0)[0]
    assert not cutting_over.followed(known).done


def test_it_can_be_cancelled_before_commit_and_not_behind_it():
    known = switching()
    cutting_over.cancel_writers(known)
    assert known.migration.switch.step is Step.UNFENCE
    known.control.update("migration", Migration, lambda _: msgspec.structs.replace(ALL_READ, phase=Phase.SWITCHED))
    with pytest.raises(CheckFailed, match="no way back"):
        cutting_over.cancel_writers(known)


def test_an_abort_brings_everybody_back_and_keeps_every_process_out():
    known = switching()
    given_up = aborted(known.migration, NOW)
    assert (given_up.phase, given_up.routes, given_up.switch.step) == (Phase.ABORTED, Routes(), Step.UNFENCE)
    assert given_up.epoch > known.migration.epoch
    assert aborted(given_up, NOW + 9) == given_up
    known.control.update("migration", Migration, lambda _: given_up)
    with pytest.raises(CheckFailed, match="aborted"):
        refuse_if_begun(known.control)


def test_behind_commit_nothing_is_aborted_and_nothing_old_applied_by_hand_but_it_can_be_completed():
    switched = msgspec.structs.replace(ALL_READ, phase=Phase.SWITCHED, ready_since=None)
    known = Known(switched, at=NOW - 31)
    assert "no way back" in refused(known, None)
    with pytest.raises(CheckFailed):
        aborted(switched, NOW)
    with pytest.raises(CheckFailed):
        refuse_if_switched(known.control)
    assert too_early(known) is None
    assert too_early(Known(switching().migration, at=NOW - 31)) is not None


def test_only_a_target_that_is_named_again_is_dropped():
    known = Known()
    assert "cannot be dropped" in refused(known, "moved")
    known.sink = lambda **_: SimpleNamespace(drop=lambda _: None)
    assert "is not the target" in refused(known, "orders")
    assert refused(known, "moved") is None


CONFIG_FILE = """
migration: orders
source: {table: orders, region: r}
backfill: {manifest: "s3://b/AWSDynamoDB/01/manifest-summary.json"}
target: {kind: dynamodb, table: moved, region: r}
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["abort"], "--keep-target or --drop-target"),
        (["abort", "--drop-target", "--yes"], "--name TARGET"),
        (["cutover", "readers", "--percent", "101"], "100"),
    ],
)
def test_what_is_not_said_clearly_is_refused_before_anything_is_asked(tmp_path, arguments, said):
    (tmp_path / "m.yaml").write_text(CONFIG_FILE)
    found = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "m.yaml")])
    assert found.exit_code == 2
    assert said in found.output

import re

import pytest
from simulation.dynamodb_store import DynamoStore
from simulation.dynamodb_wire import Client
from simulation.faults import Faults
from typer.testing import CliRunner

from daemon import aws
from daemon.cli import app
from daemon.config import Config
from daemon.control import Control, Settings
from daemon.preflight import CheckFailed
from daemon.settings_cli import KEYS, parsed
from daemon.warm import tellable

CAPACITY = {
    "a-table": {"ProvisionedThroughput": {"ReadCapacityUnits": 100}},
    "b-table": {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}},
    "a-moved": {"ProvisionedThroughput": {"WriteCapacityUnits": 100}},
    "b-moved": {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}},
}


class Source(Client):
    """The control table over the simulated store, and two source tables beside it."""

    def describe_table(self, *, TableName):  # noqa: N803  boto3's names
        if TableName in CAPACITY:
            return {"Table": CAPACITY[TableName]}
        return super().describe_table(TableName=TableName)

    def close(self):
        """Nothing is open."""


@pytest.fixture
def client(monkeypatch):
    made = Source(DynamoStore(), Faults())
    monkeypatch.setattr(aws, "client", lambda _service, _place: made)
    return made


@pytest.fixture
def moveout(tmp_path, client):
    path = tmp_path / "m.yaml"
    entry = "{{source: {{table: {0}-table}}, target: {{table: {0}-moved}}}}"
    path.write_text(
        "migration: orders\nsource: {region: r}\nbackfill: {from: scan, items_per_second: 500}\n"
        "target: {kind: dynamodb, region: r}\ndead_letters: {to: /nowhere}\n"
        f"tables: [{entry.format('a')}, {entry.format('b')}]\n"
    )

    def run(*arguments):
        result = CliRunner().invoke(app, [*arguments, "--config", str(path)])
        return result.exit_code, re.sub(r"\s+", " ", result.output)

    run.control = lambda table: Control(client, "moveout-control", f"orders.{table}")
    return run


@pytest.fixture
def begun(moveout):
    moveout.control("a-table").create_table()
    return moveout


def settings(moveout, table="a-table"):
    found = moveout.control(table).get("settings", Settings)
    return found[0] if found else Settings()


def test_a_limit_is_kept_told_and_cleared_again_for_every_table(begun):
    code, told = begun("set", "backfill.rate=1500", "backfill.read_units=7.5")
    assert code == 0
    assert "backfill.rate 1500 items per second (set)" in told
    assert "backfill.read_units 7.5 read units per second (set)" in told
    assert settings(begun, "a-table") == settings(begun, "b-table")
    assert settings(begun) == Settings(items_per_second=1500.0, read_units_per_second=7.5)
    code, told = begun("set", "backfill.rate=none")
    assert (code, settings(begun)) == (0, Settings(read_units_per_second=7.5))
    assert "backfill.rate 500 items per second (configured)" in told


def test_one_table_of_several_can_be_named(begun):
    assert begun("set", "backfill.rate=7", "--table", "b-table")[0] == 0
    assert (settings(begun, "a-table"), settings(begun, "b-table")) == (Settings(), Settings(items_per_second=7.0))
    code, told = begun("pause", "--table", "c-table")
    assert (code, "no table 'c-table'" in told) == (2, True)


def test_a_percentage_takes_the_place_of_units_and_the_other_way_round(begun):
    one = ("--table", "a-table")
    begun("set", "backfill.read_units=7", *one)
    begun("set", "backfill.read_percent=50", *one)
    assert settings(begun) == Settings(read_percent=50.0)
    _, told = begun("set", "backfill.read_units=7", *one)
    assert settings(begun) == Settings(read_units_per_second=7.0)
    assert "backfill.read_percent not in force: the other one is set" in told


def test_a_percentage_of_a_table_that_tells_no_capacity_is_refused_and_nothing_is_set(begun):
    code, told = begun("set", "backfill.read_percent=50", "--table", "b-table")
    assert (code, "moveout set backfill.read_units" in told) == (3, True)
    assert settings(begun, "b-table") == Settings()


def test_a_percentage_of_a_target_that_tells_no_capacity_is_refused_with_what_to_set_instead(begun):
    # It used to be taken, and every worker ended with it.
    code, told = begun("set", "target.write_percent=50", "--table", "b-table")
    assert (code, "moveout set target.write_units" in told) == (3, True)
    assert "target.write_units_per_second" in told
    assert settings(begun, "b-table") == Settings()
    assert begun("set", "target.write_percent=50", "--table", "a-table")[0] == 0
    assert settings(begun, "a-table") == Settings(write_percent=50.0)
    assert begun("set", "target.write_units=50", "--table", "b-table")[0] == 0


def test_a_configured_percentage_of_such_a_target_is_refused_before_the_move(client):  # noqa: ARG001  it answers
    def refused(target):
        file = {"migration": "orders", "source": {"table": "a-table", "region": "r"}, "backfill": {"from": "scan"}}
        move = Config(**file, target={"kind": "dynamodb", "region": "r", **target}, dead_letters={"to": "/nowhere"})
        try:
            tellable(move, Settings())
        except CheckFailed:
            return True
        return False

    assert refused({"table": "b-moved", "write_percent": 50})
    assert not refused({"table": "a-moved", "write_percent": 50})
    assert not refused({"table": "b-moved"})
    assert not refused({"table": "not-there-yet", "write_percent": 50})


@pytest.mark.parametrize(
    ("what", "backfill", "tail"), [((), True, True), (("tail",), False, True), (("backfill",), True, False)]
)
def test_a_pause_is_of_what_is_named_and_resume_takes_it_back(begun, what, backfill, tail):
    code, told = begun("pause", *what)
    assert (code, settings(begun)) == (0, Settings(backfill_paused=backfill, tail_paused=tail))
    assert ("`moveout status` tells how long is left" in told) == tail
    begun("set", "backfill.rate=5")
    assert settings(begun).tail_paused == tail
    code, told = begun("resume", *what)
    assert (code, settings(begun)) == (0, Settings(items_per_second=5.0))
    assert "paused nothing" in told


def test_without_a_control_table_there_is_one_clear_error(moveout):
    for command in (("set", "backfill.rate=5"), ("pause",), ("resume", "tail")):
        code, told = moveout(*command)
        assert code == 1
        assert "the control table does not exist" in told
        assert "moveout run" in told
        assert "Traceback" not in told


@pytest.mark.parametrize(
    "wrong",
    [
        ["backfill.speed=1"],
        ["backfill.rate"],
        ["backfill.rate=0"],
        ["backfill.rate=-3"],
        ["backfill.rate=fast"],
        ["backfill.rate=inf"],
        ["backfill.rate=nan"],
        ["backfill.read_percent=101"],
        ["backfill.rate="],
        ["backfill.rate=1", "backfill.rate=2"],
        ["backfill.read_percent=10", "backfill.read_units=5"],
        ["backfill.read_units=5", "backfill.read_percent=10"],
    ],
)
def test_what_is_not_known_is_refused_with_what_is_and_changes_nothing(begun, wrong):
    with pytest.raises(ValueError, match=r"backfill\."):
        parsed(wrong)
    code, told = begun("set", *wrong)
    assert (code, settings(begun)) == (2, Settings())
    assert "Traceback" not in told


def test_an_unknown_key_is_answered_with_the_list():
    with pytest.raises(ValueError, match=", ".join(KEYS)):
        parsed(["rate=1"])


def test_clearing_one_limit_does_not_clear_the_other():
    assert parsed(["backfill.read_percent=none"]) == {"read_percent": None}
    percent, units = "backfill.read_percent=none", "backfill.read_units=5"
    for both in ([percent, units], [units, percent]):
        assert parsed(both) == {"read_percent": None, "read_units_per_second": 5.0}


def test_an_unknown_part_of_a_pause_is_refused(begun):
    assert begun("pause", "everything")[0] == 2

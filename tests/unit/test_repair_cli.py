"""`moveout repair`: what it refuses, before anything is read or written."""

import re

import pytest
from simulation.dynamodb_store import DynamoStore
from simulation.dynamodb_wire import Client
from simulation.faults import Faults
from typer.testing import CliRunner

from daemon import aws
from daemon.cli import app
from daemon.control import Control, Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.verify.repairing import allowed


class Source(Client):
    """The control table over the simulated store, and a source table beside it."""

    def describe_table(self, *, TableName):  # noqa: N803  boto3's names
        if TableName == "orders":
            key = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
            arn = "arn:aws:dynamodb:r:1:table/orders"
            schema = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "TableArn": arn}
            return {"Table": {**key, **schema, "TableStatus": "ACTIVE", "ItemCount": 0, "TableSizeBytes": 0}}
        return super().describe_table(TableName=TableName)


@pytest.fixture
def moveout(tmp_path, monkeypatch):
    client = Source(DynamoStore(), Faults())
    monkeypatch.setattr(aws, "client", lambda _service, _place: client)
    path = tmp_path / "m.yaml"

    def run(*arguments, mode="exact"):
        path.write_text(
            "migration: orders\nmode: tail\nsource: {table: orders, region: r}\ndead_letters: {to: /nowhere}\n"
            f"target: {{kind: dynamodb, table: moved, region: r, mode: {mode}}}\n"
        )
        result = CliRunner().invoke(app, ["repair", *arguments, "--config", str(path)])
        return result.exit_code, re.sub(r"\s+", " ", result.output)

    run.control = Control(client, "moveout-control", "orders")
    run.control.create_table()
    return run


def begun(moveout, phase):
    moveout.control.update("migration", Migration, lambda _: Migration(phase=phase, generation=1))


def test_it_wants_to_be_told_which_rows(moveout):
    assert moveout()[0] == 2
    assert moveout("--all", "--key", '{"id":{"S":"a"}}')[0] == 2


@pytest.mark.parametrize("phase", [Phase.BACKFILLING, Phase.SWITCHING, Phase.SWITCHED, Phase.NEEDS_RESYNC])
def test_outside_of_replicating_it_refuses_and_names_the_phase(moveout, phase):
    begun(moveout, phase)
    code, said = moveout("--all")
    assert (code, f"the migration is in phase {phase.value}" in said) == (3, True), said


def test_a_move_that_was_given_up_is_repaired_no_more(moveout):
    begun(moveout, Phase.ABORTED)
    code, said = moveout("--all")
    assert (code, "A new move needs another `migration` name" in said) == (3, True), said


def test_before_the_move_there_is_nothing_to_repair(moveout):
    code, said = moveout("--all")
    assert (code, "not begun" in said) == (3, True)


def test_a_target_without_versions_is_refused_with_the_other_way(moveout):
    begun(moveout, Phase.REPLICATING)
    code, said = moveout("--all", mode="ordered")
    assert (code, "Write the item once more in the source table" in said) == (3, True)


def test_without_differences_it_says_so(moveout):
    begun(moveout, Phase.REPLICATING)
    assert moveout("--all") == (0, "No difference stands: there is nothing to repair. ")


@pytest.mark.parametrize("key", ["order-17", '{"other":{"S":"a"}}', '{"id":{"S":"moveout#heartbeat#1"}}'])
def test_what_is_no_key_of_the_table_is_refused(moveout, key):
    begun(moveout, Phase.REPLICATING)
    assert moveout("--key", key)[0] == 3


def test_a_resync_that_began_meanwhile_stops_a_repair(moveout):
    from types import SimpleNamespace

    begun(moveout, Phase.REPLICATING)
    tail = SimpleNamespace(proof="heartbeat")
    known = SimpleNamespace(control=moveout.control, config=SimpleNamespace(target=None, tail=tail))
    assert allowed(known, 1).generation == 1
    with pytest.raises(CheckFailed, match="a resync has begun meanwhile"):
        allowed(known, 2)

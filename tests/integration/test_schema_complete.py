"""`moveout schema` and `moveout complete` from the command line, from DynamoDB Local to a real node."""

import json

import pytest
import yaml
from sink_contract import KEY, TEXT_KEYS, apply, deleted, put
from typer.testing import CliRunner
from unit.test_whole import table as published

from daemon.cli import app
from daemon.config import load
from daemon.control import Control, Migration
from daemon.phase import Phase
from daemon.signal.document import Document
from sinks.change import Key
from sinks.dynamodb.sink import DynamoDbSink

pytestmark = pytest.mark.server

CONTROL = "schema-control"


@pytest.fixture
def source(client, fresh_name):
    name = fresh_name()
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("customer", "order", "city")],
        KeySchema=[
            {"AttributeName": "customer", "KeyType": "HASH"},
            {"AttributeName": "order", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, attribute in (("by-order", "order"), ("by-city", "city"))
        ],
    )
    return name


@pytest.fixture
def written(tmp_path, source, dynamodb):
    def write(target):
        path = tmp_path / "moveout.yaml"
        place = {"table": source, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
        described = {
            "migration": source,
            "source": place,
            "mode": "backfill",
            "backfill": {"from": "scan"},
            "dead_letters": {"to": str(tmp_path)},
            "control": {"table": CONTROL},
            "target": target,
        }
        path.write_text(yaml.safe_dump(described))
        return path

    return write


@pytest.fixture
def target(cassandra, source):
    replication = {"class": "SimpleStrategy", "replication_factor": 1}
    return {
        "kind": "cassandra",
        "contact_points": [cassandra.host],
        "port": cassandra.port,
        "local_datacenter": "datacenter1",
        "keyspace": f"of_{source}",
        "create_keyspace": {"replication": replication},
        "table": "orders",
    }


@pytest.fixture
def moveout(written, target):
    path = written(target)

    def run(*arguments):
        result = CliRunner().invoke(app, [*arguments, "--config", str(path)])
        return result.exit_code, result.stdout, result.stderr

    return run


def grace(session, target):
    query = "SELECT gc_grace_seconds FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s"
    return session.execute(query, (target["keyspace"], target["table"])).one()[0]


def test_what_is_missing_is_shown_made_and_then_there(moveout):
    code, told, why = moveout("schema")
    assert (code, "2 step(s) are missing" in why) == (3, True)
    assert "CREATE KEYSPACE" in told
    assert "CREATE TABLE" in told
    code, _, progress = moveout("schema", "--apply")
    assert (code, progress.count("done: ")) == (0, 2)
    code, told, _ = moveout("schema")
    assert code == 0
    assert "CREATE TABLE" not in told
    assert moveout("schema", "--apply")[0] == 0


def test_the_whole_definition_is_printed_whatever_is_there(moveout):
    moveout("schema", "--apply")
    code, told, _ = moveout("schema", "--print")
    assert (code, told.count("CREATE KEYSPACE"), told.count("CREATE TABLE")) == (0, 1, 1)


def test_what_is_printed_is_cql_that_makes_the_target(moveout, session):
    statements = [
        " ".join(line for line in part.splitlines() if not line.startswith("--"))
        for part in moveout("schema", "--print")[1].split(";\n")
    ]
    for statement in statements:
        if statement.strip():
            session.execute(statement)
    assert moveout("schema")[0] == 0


def test_indexes_are_proposed_by_hand_and_block_nothing(moveout):
    moveout("schema", "--apply")
    code, told, _ = moveout("schema", "--output", "json")
    (table,) = json.loads(told)["tables"]
    assert (code, table["missing"]) == (0, [])
    none, view = sorted(table["by_hand"], key=lambda step: step["why"])
    assert view["statement"].startswith('CREATE MATERIALIZED VIEW IF NOT EXISTS "')
    assert "'city' would lie in attrs" in none["why"]


def test_unsafe_settings_are_altered_noted_and_given_back_at_the_end(moveout, session, client, source, target):
    moveout("schema", "--apply")
    table = f'"{target["keyspace"]}"."{target["table"]}"'
    session.execute(f"ALTER TABLE {table} WITH gc_grace_seconds = 60")
    code, told, _ = moveout("check")
    assert (code, "moveout schema --apply" in told) == (3, True)
    assert moveout("schema")[0] == 3
    assert moveout("schema", "--apply")[0] == 0
    assert grace(session, target) == 3 * 86_400

    code, _, why = moveout("complete")
    assert (code, "too early to complete" in why) == (3, True)
    assert grace(session, target) == 3 * 86_400
    Control(client, CONTROL, source).update("migration", Migration, lambda _: Migration(phase=Phase.LOADED))
    code, told, progress = moveout("complete")
    assert (code, grace(session, target)) == (0, 60)
    assert "gc_grace_seconds" in progress
    assert "can be applied again" in told
    assert moveout("complete")[0] == 0
    Control(client, CONTROL, source).update("signal", Document, lambda _: published(source))
    code, told, _ = moveout("status")
    assert (code, f"{source}: completed at " in told, "silent" in told) == (0, True, False)
    for refused in (("schema", "--apply"), ("resync",), ("dead-letter", "retry", "--all")):
        code, _, why = moveout(*refused)
        assert (code, "was completed" in why) == (3, True)


def test_with_a_reason_it_is_done_although_it_is_too_early(moveout):
    moveout("schema", "--apply")
    code, told, _ = moveout("complete", "--force", "given up")
    assert (code, "completed" in told) == (0, True)


def test_a_target_without_a_schema_says_so_plainly(written, tmp_path):
    path = written({"kind": "jsonl", "to": str(tmp_path / "lines")})
    shown = CliRunner().invoke(app, ["schema", "--config", str(path)])
    assert (shown.exit_code, "a target of kind jsonl has no schema" in shown.stdout) == (0, True)
    ended = CliRunner().invoke(app, ["complete", "--force", "test", "--config", str(path)])
    assert (ended.exit_code, "nothing to take back" in ended.stdout) == (0, True)


def test_a_dynamodb_target_is_cloned_and_freed_of_what_the_move_needed(written, client, dynamodb, source):
    name = f"{source}-moved"
    path = written({"kind": "dynamodb", "table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url})

    def moveout(*arguments):
        result = CliRunner().invoke(app, [*arguments, "--config", str(path)])
        return result.exit_code, result.stdout + result.stderr

    code, told = moveout("schema")
    assert (code, "aws dynamodb create-table" in told) == (3, True)
    assert moveout("schema", "--apply")[0] == 0
    assert moveout("schema")[0] == 0
    made = client.describe_table(TableName=name)["Table"]
    assert {index["IndexName"] for index in made["GlobalSecondaryIndexes"]} == {"by-order", "by-city"}

    sink = DynamoDbSink(load(path).target, TEXT_KEYS)
    sink.open()
    apply(sink, put(KEY, 1, a="x"), deleted(Key("bob", "1"), 2))
    sink.close()
    code, told = moveout("complete", "--force", "the switch is rehearsed")
    assert (code, "completed" in told) == (0, True)
    assert client.scan(TableName=name)["Items"] == [{"customer": {"S": "alice"}, "order": {"S": "1"}, "a": {"S": "x"}}]
    assert f"{name}-moveout-tombstones" not in client.list_tables()["TableNames"]
    assert moveout("complete")[0] == 0

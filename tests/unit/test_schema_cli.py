"""`moveout schema` and what it asks the source; and the refusals of `moveout complete`."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from fakes import MemoryControl
from typer.testing import CliRunner

from daemon.cli import app
from daemon.completion import Completion
from daemon.config import Config
from daemon.preflight import CheckFailed
from daemon.schema_cli import applied, script
from daemon.source_table import source_table
from daemon.target_settings import before
from sinks.provision import SchemaStep, SourceTable

TABLE = {"TableName": "orders", "TableArn": "arn:aws:dynamodb:r:1:table/orders"}
CONFIG = Config(
    migration="orders",
    source={"table": "orders", "region": "r"},
    backfill={"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json"},
    target={
        "kind": "cassandra",
        "contact_points": ["127.0.0.1"],
        "local_datacenter": "dc",
        "keyspace": "k",
        "table": "t",
    },
)
MAKE = SchemaStep("CREATE TABLE t (\n  a int\n)", "it is missing")
ALTER = SchemaStep("ALTER TABLE t WITH x = 1", "x is 0", before={"x": "0"})
VIEW = SchemaStep("CREATE MATERIALIZED VIEW v", "index v", by_hand=True)


def refused(*_, **__):
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "X")


def asked(ttl="DISABLED", **calls):
    pages = {
        None: {"Tags": [{"Key": "a", "Value": "1"}], "NextToken": "2"},
        "2": {"Tags": [{"Key": "b", "Value": "2"}]},
    }
    told = {"TimeToLiveStatus": ttl, "AttributeName": "expires"}
    dynamodb = {
        "describe_table": lambda **_: {"Table": TABLE},
        "describe_time_to_live": lambda **_: {"TimeToLiveDescription": told},
        "list_tags_of_resource": lambda **request: pages[request.get("NextToken")],
        **calls,
    }
    return source_table(SimpleNamespace(config=CONFIG, dynamodb=SimpleNamespace(**dynamodb)))


@pytest.mark.parametrize(("ttl", "attribute"), [("ENABLED", "expires"), ("ENABLING", "expires"), ("DISABLED", None)])
def test_the_source_is_told_with_its_ttl_and_all_pages_of_its_tags(ttl, attribute):
    assert asked(ttl) == SourceTable(TABLE, attribute, {"a": "1", "b": "2"})


def test_what_may_not_be_asked_is_a_note_with_the_right_that_is_missing():
    found = asked(describe_time_to_live=refused, list_tags_of_resource=refused)
    assert (found.ttl_attribute, found.tags) == (None, {})
    assert [note.partition("(")[2] for note in found.notes] == [
        "dynamodb:DescribeTimeToLive: AccessDeniedException)",
        "dynamodb:ListTagsOfResource: AccessDeniedException)",
    ]


def test_a_table_that_cannot_be_described_is_a_failure():
    with pytest.raises(CheckFailed, match="AccessDeniedException"):
        asked(describe_table=refused)


def test_the_script_is_statements_and_comments_only():
    told = script(CONFIG, SourceTable(TABLE, notes=("one note",)), [MAKE, VIEW])
    plain = [line for line in told.splitlines() if line and not line.startswith("--")]
    assert plain == ["CREATE TABLE t (", "  a int", ");"]
    assert "-- one note" in told
    assert "-- by hand: index v\n-- CREATE MATERIALIZED VIEW v;" in told


def test_a_target_that_has_all_is_told_so():
    assert "-- nothing is missing" in script(CONFIG, SourceTable(TABLE), [])


class Target:
    """Provisioned: remembers what it was asked to do, and what was known by then."""

    def __init__(self, control):
        self.control, self.did = control, []

    def apply_schema(self, steps, _):
        self.did.append((*(step.statement for step in steps), dict(before(self.control))))


@pytest.fixture
def known():
    control = MemoryControl()
    control.create_table = lambda: None
    return SimpleNamespace(control=control)


def test_what_was_there_is_noted_before_it_is_altered(known):
    target = Target(known.control)
    applied(known, target, [MAKE, ALTER])
    assert target.did == [(MAKE.statement, {}), (ALTER.statement, {"x": "0"})]


def test_after_the_end_of_the_move_nothing_is_altered(known):
    known.control.put("completion", Completion(1.0, 2.0), 0)
    target = Target(known.control)
    with pytest.raises(CheckFailed, match="was completed"):
        applied(known, target, [ALTER])
    assert target.did == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("schema", "--print", "--apply"), "one of them"), (("complete", "--force", " "), "say why with --force")],
)
def test_what_makes_no_sense_is_exit_code_2(arguments, told):
    result = CliRunner().invoke(app, [*arguments, "--config", "nowhere.yaml"])
    assert (result.exit_code, told in result.stderr) == (2, True)


@pytest.mark.parametrize("command", ["schema", "complete"])
def test_each_command_teaches_and_misses_its_configuration(command):
    assert len(CliRunner().invoke(app, [command, "--help"]).stdout) > 500
    result = CliRunner().invoke(app, [command, "--config", "nowhere.yaml"])
    assert (result.exit_code, "nowhere.yaml" in result.stderr) == (2, True)

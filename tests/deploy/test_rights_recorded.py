"""The table of rights against the calls that a whole move makes, those of the JVM and the raw ones included."""

from fnmatch import fnmatchcase

import pytest
import recorded_move
from recorded_move import play, said_by

from daemon.rights import files, policies, table
from daemon.rights.table import NEEDS, ROLES

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

# Rows whose calls this move does not make: why, or who sees them instead. (call, resource), a command before it or not.
POLICIES = "DynamoDB Local has no resource policies: tests/unit/test_fence.py"
SECRET = "the target is no CQL table: tests/integration/test_secrets.py"
LINES = "the target is no JSON lines: tests/integration/test_jsonl_s3.py, test_dry_run.py"
WINDOWS = "incremental exports, whose rows are looked up or deleted: tests/e2e/test_heal.py"
GAP = "no gap is healed here: tests/e2e/test_heal.py"
RETRIED = "what is retried is refused again: tests/unit/test_dead_letter.py"
FILES = "of files of older tools: tests/integration/test_foreign_files.py"
NOT_REACHED = {
    ("dynamodb:GetResourcePolicy", "source-table"): POLICIES,
    ("dynamodb:PutResourcePolicy", "source-table"): POLICIES,
    ("dynamodb:DeleteResourcePolicy", "source-table"): POLICIES,
    ("secretsmanager:GetSecretValue", "secret"): SECRET,
    ("run", "s3:PutObject", "lines"): LINES,
    ("backfill", "s3:PutObject", "lines"): LINES,
    ("run", "s3:HeadBucket", "lines-bucket"): LINES,
    ("backfill", "s3:HeadBucket", "lines-bucket"): LINES,
    ("check", "s3:HeadBucket", "lines-bucket"): LINES,
    ("s3:ListObjectsV2", "export-bucket"): FILES,
    ("backfill", "dynamodb:GetItem", "source-table"): WINDOWS,
    ("backfill", "dynamodb:DeleteItem", "target-table"): WINDOWS,
    ("backfill", "dynamodb:UpdateItem", "target-tombstones"): WINDOWS,
    ("backfill", "dynamodb:ConditionCheckItem", "target-tombstones"): WINDOWS,
    ("resync", "dynamodb:DescribeTable", "source-table"): GAP,
    ("resync", "dynamodb:Scan", "source-table"): GAP,
    ("resync", "dynamodb:DescribeStream", "source-stream"): GAP,
    ("resync", "dynamodb:PutItem", "control-table"): GAP,
    ("resync", "dynamodb:Query", "control-table"): GAP,
    ("resync", "s3:GetObject", "export-objects"): GAP,
    ("resync", "s3:HeadObject", "export-objects"): GAP,
    ("dead-letter retry", "dynamodb:GetItem", "source-table"): GAP,
    ("dead-letter retry", "dynamodb:PutItem", "control-table"): RETRIED,
    ("dead-letter retry", "dynamodb:Query", "control-table"): RETRIED + "; and --all",
    ("dead-letter waive", "dynamodb:Query", "control-table"): "--all: tests/unit/test_dead_letter.py",
    ("dead-letter retry", "dynamodb:PutItem", "target-table"): RETRIED,
    ("dead-letter retry", "dynamodb:DeleteItem", "target-table"): RETRIED,
    ("dead-letter retry", "dynamodb:UpdateItem", "target-tombstones"): RETRIED,
    ("dead-letter retry", "dynamodb:ConditionCheckItem", "target-tombstones"): RETRIED,
    ("repair", "dynamodb:DeleteItem", "target-table"): "a row that is only in the target: integration/test_repair.py",
    ("repair", "dynamodb:UpdateItem", "target-tombstones"): "as well",
    ("dynamodb:ListTagsOfResource", "target-table"): "DynamoDB Local has no tags: tests/unit/test_clone.py",
    ("dynamodb:BatchWriteItem", "target-table"): "mode ordered: tests/e2e/test_target_modes.py",
    (
        "backfill",
        "dynamodb:CreateTable",
        "target-table",
    ): "the service was first: tests/integration/test_target_table.py",
    ("backfill", "dynamodb:CreateTable", "target-tombstones"): "as well",
    ("backfill", "dynamodb:Scan", "source-table"): "the scan was the service's own workers'",
    ("run", "dynamodb:UpdateTable", "source-table"): "proof: seal: tests/integration/test_seal.py",
    (
        "run",
        "dynamodb:UpdateTable",
        "kcl-tables",
    ): "the KCL adds its index by it to a table that FirstStart has not made",
    ("run", "dynamodb:ListExports", "source-table"): "a token older than 7 hours: tests/integration/test_export_api.py",
    (
        "run",
        "dynamodb:DeleteItem",
        "control-table",
    ): "shards that leave the stream after a day: tests/property/test_lag.py",
    ("check", "dynamodb:DescribeExport", "source-export"): "export_arn: tests/unit/test_export_plans.py",
    (
        "abort",
        "dynamodb:DeleteItem",
        "source-heartbeats",
    ): "the move that is given up writes none: integration/test_heartbeats.py",
    (
        "cutover cancel",
        "dynamodb:PutItem",
        "control-table",
    ): "nothing is left to cancel: tests/unit/test_cutting_over.py",
    ("export", "dynamodb:PutItem", "control-table"): "--again: tests/unit/test_export_cli.py",
    ("schema --apply", "dynamodb:PutItem", "control-table"): "what is noted of a CQL table: test_schema_complete.py",
    ("schema --apply", "dynamodb:UpdateTable", "target-table"): "a missing index: tests/unit/test_clone.py",
    ("verify stop", "dynamodb:PutItem", "control-table"): "no run is under way: tests/unit/test_verify_keeping.py",
}


@pytest.fixture(scope="module")
def calls(request, tmp_path_factory):
    """(migration, command), call in IAM's spelling, resource's name in the table, the ARN's end, requests."""
    if not request.config.getoption("--deploy"):
        pytest.skip("takes minutes: make deploy-test")
    found = play(tmp_path_factory.mktemp("rights"))
    return [made for call, requests in found.items() for made in _told(call, requests)]


def _told(call, requests):
    migration, command = said_by(call.who)
    name = f"{'dynamodb' if call.service == 'dynamodbstreams' else call.service}:{call.operation}"
    for resource in call.resources or [f"{recorded_move.SOURCE}/stream/by an iterator"]:
        end = resource.rpartition(":table/")[2]
        yield (migration, command), name, _resource(end, call, requests), end, requests


def _resource(end, call, requests):
    """As the table names it."""
    if call.service == "s3":
        bucket, _, key = end.partition("/")
        names = {"exports": "export", "letters": "letters", "lines": "lines"}[bucket]
        return {
            "export": "export-objects" if key else "export-bucket",
            "lines": "lines" if key else "lines-bucket",
        }.get(names, names)
    if end.startswith(recorded_move.SOURCE + "/"):
        return f"source-{end.split('/')[1]}"
    if end == recorded_move.SOURCE:
        return "source-heartbeats" if _heartbeats(call, requests) else "source-table"
    if end.startswith("moveout-") and end != recorded_move.CONTROL:
        return "kcl-index" if "/index/" in end else "kcl-tables"
    if end.endswith("-moveout-tombstones"):
        return "target-tombstones"
    return {recorded_move.CONTROL: "control-table", recorded_move.SIGNAL: "signal-table"}.get(end, "target-table")


def _heartbeats(call, requests):
    keys = [_partition(request) for request in requests] if call.operation in ("PutItem", "DeleteItem") else []
    return bool(keys) and all(key.startswith("moveout#heartbeat#") for key in keys)


def _partition(request):
    return (request.get("Item") or request["Key"])["customer"]["S"]


def rows():
    return {(verb, call, need.resource) for need in NEEDS for verb in need.verbs for call in need.calls}


def not_reached(row):
    return row in NOT_REACHED or row[1:] in NOT_REACHED


def test_every_call_that_was_made_is_in_the_table(calls):
    made = {(command, call, resource) for (_, command), call, resource, _, _ in calls}
    assert {command for command, _, _ in made} == {verb for verbs in ROLES.values() for verb in verbs}
    assert sorted(made - rows()) == []


def test_every_row_of_the_table_was_seen_or_says_why_not(calls):
    made = {(command, call, resource) for (_, command), call, resource, _, _ in calls}
    assert sorted(row for row in rows() - made if not not_reached(row)) == []
    stale = [known for known in NOT_REACHED if known in made or known in {row[1:] for row in made}]
    assert stale == []
    assert [known for known in NOT_REACHED if known not in rows() and known not in {row[1:] for row in rows()}] == []


def test_the_policies_would_have_allowed_every_call(calls):
    """By an evaluator of our own, for no stand-in has one: actions, ARNs with wildcards, dynamodb:LeadingKeys."""
    refused = []
    for (migration, command), call, _, end, requests in calls:
        for role in [role for role, verbs in ROLES.items() if command in verbs]:
            document = policies.document(role, _values(migration), options=table.OPTIONS)
            for action in table.ACTIONS.get(call, (call,)):
                arn = "*" if action in table.NO_RESOURCE else _arn(action, end)
                if not allowed(document, action, arn, requests):
                    refused.append((role, command, action, arn))
    assert refused == []


def test_the_evaluator_refuses_what_a_policy_does_not_say():
    document = policies.document("service", files.ONE_ACCOUNT, options=table.OPTIONS)
    orders = f"arn:aws:dynamodb:us-east-1:{files.SOURCE}:table/orders"
    heartbeat = {"Item": {"customer": {"S": "moveout#heartbeat#1"}}}
    assert allowed(document, "dynamodb:PutItem", orders, [heartbeat])
    assert not allowed(document, "dynamodb:PutItem", orders, [heartbeat, {"Item": {"customer": {"S": "a customer"}}}])
    assert not allowed(document, "dynamodb:DeleteTable", orders, [{}])
    assert not allowed(document, "dynamodb:DescribeTable", orders + "-2", [{}])


def allowed(document, action, arn, requests):
    return any(
        action in statement["Action"]
        and any(fnmatchcase(arn, pattern) for pattern in statement["Resource"])
        and all(_holds(statement.get("Condition"), request) for request in requests)
        for statement in document["Statement"]
    )


def _holds(condition, request):
    if condition is None:
        return True
    patterns = condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    return any(fnmatchcase(_partition(request), pattern) for pattern in patterns)


def _values(migration):
    moves = {"first": recorded_move.TARGET, "second": "orders-again", "third": recorded_move.TARGET}
    own = {
        "export_bucket": recorded_move.EXPORTS,
        "letters_bucket": recorded_move.LETTERS,
        "letters_prefix": f"{migration}/",
        "lines_bucket": recorded_move.LINES,
        "lines_prefix": "dry",
        "target_table": moves[migration],
        "tombstone_table": f"{moves[migration]}-moveout-tombstones",
        "migration": migration,
    }
    return {**files.ONE_ACCOUNT, **own}


def _arn(action, end):
    if action.startswith("s3:"):
        return f"arn:aws:s3:::{end}"
    return f"arn:aws:dynamodb:us-east-1:{files.SOURCE}:table/{end}"

"""The table of rights against the calls that a whole move makes, those of the JVM and the raw ones included."""

from fnmatch import fnmatchcase

import pytest
import recorded_move
from recorded_move import play, said_by

from daemon.rights import files, policies, table
from daemon.rights.table import NEEDS, ROLES

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

# Rows whose calls this move does not make, and who holds them instead. (call, resource) or (command, call, resource).
NOT_REACHED = {}


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
    for (migration, command), call, resource, end, requests in calls:
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
    moves = {"first": recorded_move.TARGET, "second": "orders-again"}
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

"""The table of rights and the policies made of it: complete, as narrow as they say, good by IAM's linter."""

import json

import botocore.session
import pytest
import typer
from iam_linter import actions, findings

from daemon.cli import app
from daemon.rights import files, policies, table
from daemon.rights.__main__ import main
from daemon.rights.table import NEEDS, ROLES

MADE = files.files()
SHARED = ("bucket-policy.json", "key-policy.json", "trust-policy.json")
# Policies of identities; those that hang on a resource name a principal, which the linter has no rule for.
POLICIES = [name for name in MADE if name not in ("statements.json", "README.md")]
OF_IDENTITIES = [name for name in POLICIES if not name.endswith(SHARED)]
# What the linter says and why it stands: (file, finding) -> reason.
ACCEPTED = {
    ("cross-account/own-identity.json", "CREDENTIALS_EXPOSURE"): "to take the roles is all that this identity is for",
    ("options/service.json", "PERMISSIONS_MANAGEMENT_ACTIONS"): "cutover.fence.resource_policy is a policy, and opt-in",
    ("options/operator.json", "PERMISSIONS_MANAGEMENT_ACTIONS"): "`moveout abort` takes that fence off again",
    ("options/service.json", "RESOURCE_MISMATCH"): "*ResourcePolicy is on a table or on a stream: here on the table",
    ("options/operator.json", "RESOURCE_MISMATCH"): "*ResourcePolicy is on a table or on a stream: here on the table",
}
# botocore has these in a service of its own, and those only inside of TransactWriteItems.
STREAM_CALLS = ("DescribeStream", "GetShardIterator", "GetRecords")
IN_TRANSACTIONS = ("ConditionCheckItem",)
CHANGES_NOTHING = ("Get", "Query", "Describe", "BatchGet", "List")


def statements(name):
    return json.loads(MADE[name])["Statement"]


def listed(value):
    return value if isinstance(value, list) else [value]


def test_every_command_is_in_the_table_and_no_other():
    commands = typer.main.get_command(app).commands
    nested = {f"{name} {inner}" for name, one in commands.items() for inner in getattr(one, "commands", {})}
    flat = {name for name, one in commands.items() if not getattr(one, "commands", {})}
    of_roles = {verb.split(" --")[0] for verbs in ROLES.values() for verb in verbs}
    assert of_roles | set(table.NOT_ON_AWS) == nested | flat


def test_every_row_is_of_commands_sides_resources_and_options_that_there_are():
    verbs = {verb for of_role in ROLES.values() for verb in of_role}
    for need in NEEDS:
        assert set(need.verbs) <= verbs, need
        assert need.side in table.SIDES, need
        assert need.resource in table.ARNS, need
        assert need.option in {"", *table.OPTIONS}, need
    assert {need.option for need in NEEDS} - {""} == set(table.OPTIONS)


def test_every_call_of_the_table_is_one_that_aws_has():
    session = botocore.session.get_session()
    for call in {call for need in NEEDS for call in need.calls}:
        service, _, operation = call.partition(":")
        service = "dynamodbstreams" if operation in STREAM_CALLS else service
        assert operation in {*session.get_service_model(service).operation_names, *IN_TRANSACTIONS}, call


@pytest.mark.parametrize("name", OF_IDENTITIES)
def test_the_linter_finds_nothing_but_what_is_accepted_with_a_reason(name):
    assert [(issue, detail) for issue, detail in findings(MADE[name]) if (name, issue) not in ACCEPTED] == []


def test_what_is_accepted_is_what_the_linter_still_says():
    assert {(name, issue) for name in OF_IDENTITIES for issue, _ in findings(MADE[name])} == set(ACCEPTED)


@pytest.mark.parametrize("name", POLICIES)
def test_no_action_has_a_star_and_no_resource_but_where_aws_allows_nothing_else(name):
    for statement in statements(name):
        allowed = listed(statement.get("Action"))
        assert [action for action in allowed if "*" in action or action not in actions()] == []
        of_a_key = name.endswith("key-policy.json")  # there `*` is that key
        if "*" in listed(statement.get("Resource", [])) and not of_a_key:
            assert [action for action in allowed if actions()[action] != [""]] == []


def test_actions_without_a_resource_are_those_that_aws_lists_so():
    granted = {action for need in NEEDS for action in policies.actions_of(need)}
    assert {action for action in granted if actions()[action] == [""]} == set(table.NO_RESOURCE)


@pytest.mark.parametrize("name", OF_IDENTITIES)
def test_a_policy_is_short_enough_for_iam(name):
    assert len("".join(MADE[name].split())) <= policies.CHARACTERS_MAX


def test_writes_to_the_source_table_are_held_to_heartbeats():
    writes = {"dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"}
    for name in OF_IDENTITIES:
        for statement in statements(name):
            on_source = f"arn:aws:dynamodb:us-east-1:{files.SOURCE}:table/orders" in statement["Resource"]
            if on_source and writes.intersection(statement["Action"]):
                leading = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                assert leading[0] == "moveout#heartbeat#*"


def test_who_only_looks_can_change_nothing():
    for statement in policies.statements("status"):
        assert [a for a in statement.actions if not a.split(":")[1].startswith(CHANGES_NOTHING)] == []


def test_a_target_that_is_not_to_be_dropped_cannot_be():
    on_target = [s for s in statements("one-account/operator.json") if s["Resource"][0].endswith("table/orders-moved")]
    assert on_target
    assert not [s for s in on_target if "dynamodb:DeleteTable" in s["Action"]]


def test_what_an_option_needs_is_allowed_with_it_only():
    def allowed(*options):
        made = policies.document("service", files.ONE_ACCOUNT, options=options)
        return {action for statement in made["Statement"] for action in statement["Action"]}

    assert "dynamodb:PutResourcePolicy" not in allowed(*table.OPTIONS.keys() - {"fence-policy"})
    assert "dynamodb:PutResourcePolicy" in allowed("fence-policy")


def test_a_role_of_another_account_asks_for_the_external_id():
    (told,) = statements("cross-account/trust-policy.json")
    assert told["Condition"] == {"StringEquals": {"sts:ExternalId": files.EXTERNAL_ID}}
    assert "Condition" not in policies.trust(["arn:aws:iam::111111111111:role/x"], None)["Statement"][0]


def test_a_policy_for_names_and_options_of_ones_own(capsys):
    assert main(["service", "source_table=carts", "--with", "seal", "--without", "heartbeat", "--side", "source"]) == 0
    made = json.loads(capsys.readouterr().out)["Statement"]
    assert {arn.split("/")[1] for s in made for arn in s["Resource"]} == {"carts"}
    assert "dynamodb:UpdateTable" in {action for s in made for action in s["Action"]}
    assert "dynamodb:PutItem" not in {action for s in made for action in s["Action"]}


@pytest.mark.parametrize("words", [[], ["service", "tabel=x"], ["service", "--with", "sael"]])
def test_a_name_that_nobody_knows_is_refused(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err

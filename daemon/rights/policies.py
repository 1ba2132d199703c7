"""Statements and policy documents out of the table. Pure.

A policy is made for a role (who), the sides that its account has (where), and the options that the move uses (what).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from string import Template
from typing import Any, NamedTuple

from daemon.rights.table import (
    ACTIONS,
    ARNS,
    CONDITIONS,
    DEFAULT_OPTIONS,
    NEEDS,
    NO_RESOURCE,
    ROLES,
    SIDES,
    Need,
)

VERSION = "2012-10-17"
# A managed policy's, white space not counted (IAM user guide, "IAM and AWS STS quotas").
CHARACTERS_MAX = 6144
Json = dict[str, Any]


class Statement(NamedTuple):
    """What one role may do on one resource of one side; `option`: only where the move uses it, "" always."""

    sid: str
    side: str
    option: str
    resource: str
    actions: tuple[str, ...]


def actions_of(need: Need) -> Iterator[str]:
    """The IAM actions that its calls need: most have the call's own name, some none, a few others."""
    for call in need.calls:
        yield from ACTIONS.get(call, (call,))
    yield from need.beside


def statements(role: str) -> list[Statement]:
    """All that this role may ever need, one statement for each resource and option. Raises KeyError."""
    verbs = set(ROLES[role])
    grouped: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for need in NEEDS:
        if verbs.intersection(need.verbs):
            for action in actions_of(need):
                resource = NO_RESOURCE.get(action, need.resource)
                grouped[need.side, need.option, resource].add(action)
    return [
        Statement(_sid(resource, option), side, option, resource, tuple(sorted(actions)))
        for (side, option, resource), actions in sorted(grouped.items(), key=_in_order)
        if actions
    ]


def _in_order(entry: tuple[tuple[str, str, str], set[str]]) -> tuple[int, str, str]:
    (side, option, resource), _ = entry
    return SIDES.index(side), option, resource


def _sid(resource: str, option: str) -> str:
    """Letters and digits only (IAM reference, Sid)."""
    named = "Any" if resource == "*" else resource
    return "".join(word.title() for word in f"{named}-{option}".split("-"))


def document(role: str, values: Mapping[str, str], sides: Iterable[str] = SIDES, options: Iterable[str] = ()) -> Json:
    """The policy of this role on these sides. `values`: what ARNS is filled with. Raises KeyError where one lacks."""
    chosen, wanted = set(sides), {"", *options}
    return _policy(
        [
            granted(statement, values)
            for statement in statements(role)
            if statement.side in chosen and statement.option in wanted
        ]
    )


def granted(statement: Statement, values: Mapping[str, str]) -> Json:
    """As IAM wants it."""
    made = {
        "Sid": statement.sid,
        "Effect": "Allow",
        "Action": list(statement.actions),
        "Resource": [Template(arn).substitute(values) for arn in ARNS[statement.resource]],
    }
    condition = CONDITIONS.get(statement.resource)
    return made if condition is None else {**made, "Condition": condition}


def data() -> Json:
    """What deploy/terraform reads: the statements of each role, with names in the place of ARNs."""
    return {
        "arns": {name: list(templates) for name, templates in ARNS.items()},
        "options": {"default": sorted(DEFAULT_OPTIONS), "known": sorted({n.option for n in NEEDS} - {""})},
        "roles": {role: [_told(statement) for statement in statements(role)] for role in ROLES},
    }


def _told(statement: Statement) -> Json:
    # A condition that is not there is {}: in Terraform all elements of a list have one type.
    condition = CONDITIONS.get(statement.resource, {})
    return {**statement._asdict(), "actions": list(statement.actions), "condition": condition}


def _policy(made: list[Json]) -> Json:
    return {"Version": VERSION, "Statement": made}


def trust(principals: Collection[str], external_id: str | None) -> Json:
    """The trust policy of a role in another account: who may take it, and with which external id."""
    made: Json = {
        "Sid": "MoveoutTakesIt",
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": sorted(principals)},
    }
    if external_id is not None:
        made["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return _policy([made])


def takes(roles: Collection[str]) -> Json:
    """What moveout's own identity needs where every side has a role: nothing but to take them."""
    made = {"Sid": "Roles", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": sorted(roles)}
    return _policy([made])


def bucket_policy(values: Mapping[str, str], readers: Collection[str], writer: str) -> Json:
    """Of an export's bucket in another account: who reads it, and the role whose export AWS writes there.

    AWS developer guide, "Requesting a table export", "Permissions": the caller's own policy must allow it as well.
    """
    objects, bucket = (Template(ARNS[name][0]).substitute(values) for name in ("export-objects", "export-bucket"))
    writes = ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"]
    return _policy(
        [
            _shared("MoveoutReads", readers, ["s3:GetObject"], objects),
            _shared("MoveoutLists", readers, ["s3:ListBucket"], bucket),
            _shared("MoveoutExports", [writer], writes, objects),
        ]
    )


def key_policy(values: Mapping[str, str], principals: Collection[str]) -> Json:
    """Statements to add to the policies of keys: the export's, and the tables', which DynamoDB uses for the caller.

    Beside these a key's policy needs its administrators' statement: without it nobody could change it again.
    `Resource: *` is this key, for a key's policy has no other (KMS developer guide, "Key policies").
    """
    of_tables = sorted({f"dynamodb.{values[name]}.amazonaws.com" for name in ("source_region", "target_region")})
    via = {"StringEquals": {"kms:ViaService": of_tables}}
    calls = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"]
    return _policy(
        [
            _shared("MoveoutExport", principals, ["kms:Decrypt", "kms:GenerateDataKey"], "*"),
            {**_shared("MoveoutTables", principals, calls, "*"), "Condition": via},
        ]
    )


def _shared(sid: str, principals: Collection[str], actions: list[str], resource: str) -> Json:
    who = {"AWS": sorted(principals)}
    return {"Sid": sid, "Effect": "Allow", "Principal": who, "Action": actions, "Resource": resource}

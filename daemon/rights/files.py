"""The files in deploy/iam, with an example's names. `python -m daemon.rights --write` makes them of the table."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.rights import policies
from daemon.rights.table import ARNS, CONDITIONS, DEFAULT_OPTIONS, OPTIONS, ROLES, SIDES

# A move over three accounts, as the run book tells it; moveout itself runs in 999999999999.
SOURCE, BUCKET, TARGET, OWN = "111111111111", "222222222222", "333333333333", "999999999999"
_KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
EXAMPLE: Mapping[str, str] = {
    "partition": "aws",
    "migration": "orders",
    "source_account": SOURCE,
    "source_region": "us-east-1",
    "source_table": "orders",
    "source_key_arn": f"arn:aws:kms:us-east-1:{SOURCE}:key/{_KEY}",
    "export_bucket": "my-exports",
    "export_prefix": "",
    "export_key_arn": f"arn:aws:kms:us-east-1:{BUCKET}:key/{_KEY}",
    "letters_bucket": "my-exports",
    "letters_prefix": "moveout/orders/dead-letters/",
    "letters_key_arn": f"arn:aws:kms:us-east-1:{BUCKET}:key/{_KEY}",
    "lines_bucket": "my-lines",
    "lines_prefix": "dry-run/",
    "control_account": SOURCE,
    "control_region": "us-east-1",
    "control_table": "moveout-control",
    "signal_table": "settings",
    "target_account": TARGET,
    "target_region": "us-east-1",
    "target_table": "orders-moved",
    "tombstone_table": "orders-moved-moveout-tombstones",
    "target_key_arn": f"arn:aws:kms:us-east-1:{TARGET}:key/{_KEY}",
    "secret_arn": f"arn:aws:secretsmanager:us-east-1:{OWN}:secret:moveout/cassandra-AbCdEf",
    "secret_key_arn": f"arn:aws:kms:us-east-1:{OWN}:key/{_KEY}",
}
ONE_ACCOUNT = {**EXAMPLE, "target_account": SOURCE}
EXTERNAL_ID = "the-same-as-external_id"


def role_arn(account: str, name: str) -> str:
    """As deploy/terraform names it."""
    return f"arn:aws:iam::{account}:role/moveout-{name}"


def files() -> dict[str, str]:
    """Path below deploy/iam -> content."""
    return {"README.md": readme(), **{path: _text(made) for path, made in _documents()}}


def _documents() -> Iterator[tuple[str, Any]]:
    yield "statements.json", {**policies.data(), "values": sorted(EXAMPLE)}
    for role in ROLES:
        yield f"one-account/{role}.json", policies.document(role, ONE_ACCOUNT, options=DEFAULT_OPTIONS)
        made = _beyond_default(role)
        if made["Statement"]:
            yield f"options/{role}.json", made
        for side in SIDES:
            made = policies.document(role, EXAMPLE, [side], DEFAULT_OPTIONS)
            if made["Statement"]:
                yield f"cross-account/{side}/{role}.json", made
    yield from _shared()


def _beyond_default(role: str) -> dict[str, Any]:
    """What the other options add, each in statements of its own: a Sid ends with the option's name."""
    made = [s for s in policies.statements(role) if s.option and s.option not in DEFAULT_OPTIONS]
    return {"Version": policies.VERSION, "Statement": [policies.granted(one, ONE_ACCOUNT) for one in made]}


def _shared() -> Iterator[tuple[str, Any]]:
    """What the accounts tell of each other."""
    services = [role_arn(account, "service") for account in (SOURCE, BUCKET, TARGET)]
    yield "cross-account/trust-policy.json", policies.trust([role_arn(OWN, "service")], EXTERNAL_ID)
    yield "cross-account/own-identity.json", policies.takes(services)
    readers = [role_arn(SOURCE, name) for name in ("backfill-worker", "operator", "service")]
    yield "cross-account/bucket-policy.json", policies.bucket_policy(EXAMPLE, readers, role_arn(SOURCE, "service"))
    yield "cross-account/key-policy.json", policies.key_policy(EXAMPLE, readers)


def _text(made: Any) -> str:
    return json.dumps(made, indent=2) + "\n"


README = """\
# What moveout may do on AWS

Made by `python -m daemon.rights --write` of [its table](../../daemon/rights/table.py): change that, not these. The run
book says [how to use it](../README.md#which-rights-does-it-need-per-account).

| role | side | may | on | option |
|---|---|---|---|---|
{rows}
An empty option: always. The options:

| option | is used by |
|---|---|
{options}"""


def readme() -> str:
    """Every statement of every role, and what asks for the options."""
    rows = "".join(_row(role, one) for role in ROLES for one in policies.statements(role))
    return README.format(rows=rows, options="".join(f"| {name} | {told} |\n" for name, told in OPTIONS.items()))


def _row(role: str, one: policies.Statement) -> str:
    return f"| {role} | {one.side} | {_actions(one)} | {_where(one)} | {one.option} |\n"


def _actions(one: policies.Statement) -> str:
    """The service once, then the names."""
    service = one.actions[0].partition(":")[0]
    names = ", ".join(f"`{action.partition(':')[2]}`" for action in one.actions)
    return f"{service}: {names}"


def _where(one: policies.Statement) -> str:
    limited = " (heartbeats only)" if one.resource in CONDITIONS else ""
    return ", ".join(f"`{arn.rpartition(':')[2]}`" for arn in ARNS[one.resource]) + limited

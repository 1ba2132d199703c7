"""A Deny in the source table's resource-based policy, for everyone but us. **Not run against AWS.**

From AWS's documentation: an explicit Deny overrides every Allow; `aws:PrincipalArn` of an assumed role is the role's
ARN; GetResourcePolicy gives a revision, on which PutResourcePolicy and DeleteResourcePolicy can be conditioned
(`NO_POLICY` where there is none), so another's change is never overwritten; a policy is in force "eventually", which is
what the rounds of heartbeats behind it are for. Deletions by TTL are DynamoDB's own and go on.

The statement's name ends in the attempt's epoch, so that a leader that slept in the middle of lifting does not take off
what a later attempt relies on.

After the writers' switch the Deny stays: it keeps stray writers from the source, until a person takes it off.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from daemon.fence import Attempt, FenceFailed
from daemon.routes import Side

SID = "MoveoutFence"
_OURS = re.compile(SID + "([0-9]+)")
# TransactWriteItems is allowed and denied by those of its actions.
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete")
NO_POLICY = "NO_POLICY"


class ResourcePolicyFence:
    """The fence of that table. `client` is boto3's of DynamoDB."""

    def __init__(self, client: Any, table: str, except_role_arns: Sequence[str]) -> None:
        self._client = client
        self._table = table
        self._except = list(except_role_arns)

    def hold(self, attempt: Attempt) -> None:
        """As Fence."""
        arn = self._arn()
        policy, revision = self._policy(arn)
        deny = self._deny(arn, attempt)
        if deny in policy["Statement"]:
            return
        if any(_epoch(statement) > attempt.epoch for statement in policy["Statement"]):
            raise FenceFailed(f"a later attempt holds the resource policy of {self._table}: this one is over")
        statements = [*_left(policy, attempt), deny]
        self._put(arn, {**policy, "Statement": statements}, revision)

    def lift(self, attempt: Attempt, writes: Side) -> None:
        """As Fence; towards the target nothing is taken off."""
        if writes == "target":
            return
        arn = self._arn()
        policy, revision = self._policy(arn)
        left = _left(policy, attempt)
        if len(left) == len(policy["Statement"]):
            return
        if left:
            self._put(arn, {**policy, "Statement": left}, revision)
            return
        self._changed(self._client.delete_resource_policy, ResourceArn=arn, ExpectedRevisionId=revision)

    def _arn(self) -> str:
        return str(self._client.describe_table(TableName=self._table)["Table"]["TableArn"])

    def _policy(self, arn: str) -> tuple[dict[str, Any], str]:
        try:
            found = self._client.get_resource_policy(ResourceArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "PolicyNotFoundException":
                return {"Version": "2012-10-17", "Statement": []}, NO_POLICY
            raise
        policy = json.loads(found["Policy"])
        statements = policy["Statement"]  # one alone may stand without a list
        return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}, found[
            "RevisionId"
        ]

    def _deny(self, arn: str, attempt: Attempt) -> dict[str, Any]:
        return {
            "Sid": f"{SID}{attempt.epoch}",
            "Effect": "Deny",
            "Principal": "*",
            "Action": [f"dynamodb:{action}" for action in WRITES],
            "Resource": arn,
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": self._except}},
        }

    def _put(self, arn: str, policy: dict[str, Any], revision: str) -> None:
        text = json.dumps(policy)
        self._changed(self._client.put_resource_policy, ResourceArn=arn, Policy=text, ExpectedRevisionId=revision)

    def _changed(self, change: Any, **request: Any) -> None:
        try:
            change(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "PolicyNotFoundException":
                raise FenceFailed(f"somebody else changes the resource policy of {self._table}: try again") from error
            raise


def _left(policy: dict[str, Any], attempt: Attempt) -> list[Any]:
    """What others have said, and what a later attempt has."""
    return [one for one in policy["Statement"] if not 0 <= _epoch(one) <= attempt.epoch]


def _epoch(statement: dict[str, Any]) -> int:
    """Of the attempt whose fence it is; -1: it is none of ours."""
    found = _OURS.fullmatch(statement.get("Sid", ""))
    return int(found[1]) if found else -1

"""A request to DynamoDB as the command line of `aws` that does the same: what a person is shown is what is done."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from sinks.dynamodb.options import DynamoDbOptions
from sinks.sink import SinkMisconfigured

INPUT = "--cli-input-json"


def command(options: DynamoDbOptions, operation: str, request: Mapping[str, Any]) -> str:
    """`aws dynamodb create-table --region … --cli-input-json '{…}'` for the operation `CreateTable`, on the target."""
    verb = re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()
    return shlex.join(["aws", "dynamodb", verb, *_at(options), INPUT, msgspec.json.encode(request).decode()])


def waiting(options: DynamoDbOptions, table: str) -> str:
    """The command that waits until a table is ACTIVE; `requested` makes `wait` of it."""
    request = msgspec.json.encode({"TableName": table}).decode()
    return shlex.join(["aws", "dynamodb", "wait", "table-exists", *_at(options), INPUT, request])


def _at(options: DynamoDbOptions) -> list[str]:
    endpoint = [] if options.endpoint_url is None else ["--endpoint-url", options.endpoint_url]
    return ["--region", options.region, *endpoint]


def requested(statement: str) -> tuple[str, dict[str, Any]]:
    """The inverse: the method of boto3's client and its arguments. Raises SinkMisconfigured for what we did not write.

    Region and endpoint are not read: it is done where the target is.
    """
    words = shlex.split(statement)
    if words[:2] != ["aws", "dynamodb"] or len(words) < 5 or words[-2] != INPUT:  # noqa: PLR2004
        raise SinkMisconfigured(f"not a statement of `moveout schema`, so it is not run: {statement}")
    arguments: dict[str, Any] = msgspec.json.decode(words[-1])
    return words[2].replace("-", "_"), arguments

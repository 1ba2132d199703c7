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
    words = ["aws", "dynamodb", re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower(), "--region", options.region]
    if options.endpoint_url is not None:
        words += ["--endpoint-url", options.endpoint_url]
    return shlex.join([*words, INPUT, msgspec.json.encode(request).decode()])


def requested(statement: str) -> tuple[str, dict[str, Any]]:
    """The inverse: the method of boto3's client and its arguments. Raises SinkMisconfigured for what we did not write.

    Region and endpoint are not read: it is done where the target is.
    """
    words = shlex.split(statement)
    if words[:2] != ["aws", "dynamodb"] or len(words) < 5 or words[-2] != INPUT:  # noqa: PLR2004
        raise SinkMisconfigured(f"not a statement of `moveout schema`, so it is not run: {statement}")
    arguments: dict[str, Any] = msgspec.json.decode(words[-1])
    return words[2].replace("-", "_"), arguments

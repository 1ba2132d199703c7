"""The source table as its service describes it, for whoever makes a target like it (sinks/provision.py)."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from daemon import preflight
from daemon.app import Parts
from sinks.provision import SourceTable

TTL_ON = ("ENABLED", "ENABLING")


def source_table(known: Parts) -> SourceTable:
    """DescribeTable, DescribeTimeToLive, ListTagsOfResource. What is not granted, or not known there, is a note.

    Raises CheckFailed where the table itself cannot be described, BotoCoreError.
    """
    name, dynamodb = known.config.source.table, known.dynamodb
    table = preflight.described(known.config, dynamodb)["Table"]
    ttl = _asked("whether its TTL is on", "DescribeTimeToLive", lambda: _ttl(dynamodb, name))
    tags = _asked("its tags", "ListTagsOfResource", lambda: _tags(dynamodb, table["TableArn"]))
    notes = tuple(answer for answer in (ttl, tags) if isinstance(answer, _Note))
    return SourceTable(
        table,
        None if isinstance(ttl, _Note) else ttl,
        {} if isinstance(tags, _Note) else tags,
        tuple(map(str, notes)),
    )


class _Note(str):
    """What could not be asked, and why."""

    __slots__ = ()


def _asked(what: str, operation: str, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return _Note(f"not known of the source: {what} (dynamodb:{operation}: {code})")


def _ttl(dynamodb: Any, name: str) -> str | None:
    told = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return told["AttributeName"] if told["TimeToLiveStatus"] in TTL_ON else None


def _tags(dynamodb: Any, arn: str) -> Mapping[str, str]:
    tags: dict[str, str] = {}
    page: dict[str, str] = {}
    while True:
        answer = dynamodb.list_tags_of_resource(ResourceArn=arn, **page)
        tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
        if not answer.get("NextToken"):
            return tags
        page = {"NextToken": answer["NextToken"]}

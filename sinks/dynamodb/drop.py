"""Deletes the target's tables, when a move is given up. `moveout abort --drop-target` for this target."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sinks.dynamodb.clone import client_of
from sinks.dynamodb.errors import as_sink_error, code_of
from sinks.dynamodb.options import DynamoDbOptions


def drop_tables(options: DynamoDbOptions, tables: Sequence[str], told: Callable[[str], None]) -> None:
    """Delete those that are there. Raises SinkMisconfigured, SinkUnavailable."""
    with closing(client_of(options)) as client:
        for table in tables:
            try:
                told(f"table {table} is {_dropped(client, table)}")
            except (ClientError, BotoCoreError) as error:
                raise as_sink_error(error) from error


def _dropped(client: Any, table: str) -> str:
    try:
        client.delete_table(TableName=table)
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return "not there any more"
        raise
    return "deleted"

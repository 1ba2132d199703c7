"""The AWS clients of the engine: one session, credentials from AWS's own chain."""

from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from daemon.sections import Backfill, Source
from sinks.dynamodb.call import Calls

READ_SECONDS = 20


def _client(service: str, region: str, endpoint_url: str | None) -> Any:
    config = ClientConfig(
        connect_timeout=5, read_timeout=READ_SECONDS, retries={"mode": "standard", "total_max_attempts": 5}
    )
    return boto3.session.Session().client(service, region_name=region, endpoint_url=endpoint_url, config=config)


def dynamodb(source: Source) -> Any:
    """DynamoDB, in the source's account and region."""
    return _client("dynamodb", source.region, source.endpoint_url)


def calls(source: Source) -> Calls:
    """As `dynamodb`, for answers that are not to be taken apart by boto3."""
    session = boto3.session.Session()
    client = session.client("dynamodb", region_name=source.region, endpoint_url=source.endpoint_url)
    return Calls(client, session, READ_SECONDS)


def streams(source: Source) -> Any:
    """DynamoDB Streams: another service with endpoints of its own."""
    return _client("dynamodbstreams", source.region, source.endpoint_url)


def s3(source: Source, backfill: Backfill) -> Any:
    """S3, where the export lies."""
    return _client("s3", backfill.s3_region or source.region, backfill.s3_endpoint_url)

"""The AWS clients of the engine, and whose credentials each side's requests are signed with."""

from functools import partial
from typing import Any, NamedTuple

from botocore.config import Config as ClientConfig

from daemon.config import Config
from sinks import access
from sinks.access import Access
from sinks.dynamodb.call import Calls
from sinks.dynamodb.options import DynamoDbOptions

NO_ROLE = "none"
READ_SECONDS = 20


class Place(NamedTuple):
    """Where a service of one side is, and who asks there."""

    access: Access
    region: str
    endpoint_url: str | None


def source(config: Config) -> Place:
    """DynamoDB, in the source's account and region."""
    asked = config.source
    who = Access("source", asked.region, asked.role_arn, asked.external_id, asked.sts_endpoint_url, _name(config))
    return Place(who, asked.region, asked.endpoint_url)


def stream(config: Config) -> Place:
    """DynamoDB Streams: another service with endpoints of its own; an endpoint of a stand-in serves both."""
    return source(config)._replace(endpoint_url=config.source.streams_endpoint_url or config.source.endpoint_url)


def bucket(config: Config) -> Place:
    """S3, where the export lies."""
    backfill, of_source = config.backfill, source(config)
    region = backfill.s3_region or of_source.region
    own = (backfill.s3_role_arn, backfill.s3_external_id, backfill.s3_sts_endpoint_url)
    who = _other(of_source.access, "bucket", region, *own)
    return Place(who, region, backfill.s3_endpoint_url)


def state(config: Config) -> Place:
    """DynamoDB, where the control table and the KCL's are: what is not said is as for the source."""
    asked, of_source = config.control, source(config)
    region = asked.region or of_source.region
    # An endpoint of the source's region is none of another one's.
    endpoint_url = asked.endpoint_url or (of_source.endpoint_url if region == of_source.region else None)
    who = _other(of_source.access, "control", region, asked.role_arn, asked.external_id, asked.sts_endpoint_url)
    return Place(who, region, endpoint_url)


def target(config: Config) -> Place | None:
    """DynamoDB as the target; None for another kind."""
    options = config.target
    if not isinstance(options, DynamoDbOptions):
        return None
    from sinks.dynamodb.connect import access_of

    return Place(access_of(options, _name(config)), options.region, options.endpoint_url)


def client(service: str, place: Place) -> Any:
    """A client. Nothing is asked yet."""
    config = ClientConfig(
        connect_timeout=5, read_timeout=READ_SECONDS, retries={"mode": "standard", "total_max_attempts": 5}
    )
    return access.client(place.access, service, place.region, place.endpoint_url, config)


def calls(place: Place) -> Calls:
    """As a client of DynamoDB, for answers that boto3 is not to take apart. The caller closes it."""
    explain = partial(access.advice, place.access, "dynamodb", place.region)
    return Calls(client("dynamodb", place), access.session(place.access), READ_SECONDS, explain)


def _other(
    of_source: Access, side: str, region: str, role: str | None, external_id: str | None, sts: str | None
) -> Access:
    """The source's access, but for what is said of this side."""
    if role is None:
        return of_source._replace(sts_endpoint_url=sts) if sts else of_source
    arn = None if role == NO_ROLE else role
    return Access(side, region, arn, external_id, sts or of_source.sts_endpoint_url, of_source.session_name)


def _name(config: Config) -> str:
    return access.session_name(config.migration)

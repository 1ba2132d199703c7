"""From options to a connected target: its tables checked, its calls, its exchange, its capacity."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sinks import access
from sinks.access import Access
from sinks.change import KeySchema
from sinks.dynamodb import capacity
from sinks.dynamodb.call import Calls, Threads
from sinks.dynamodb.capacity import Capacity
from sinks.dynamodb.errors import as_sink_error
from sinks.dynamodb.exchange import Exchange
from sinks.dynamodb.lane.lane import Lane
from sinks.dynamodb.lane.signature import Signer, keys_of
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.table import prepare


class Connected(NamedTuple):
    """A target whose tables are in order.

    `calls` are made on `pool`'s threads, one by one; `exchange` takes what comes in numbers. `sleep` is the pause
    between rounds of it.
    """

    calls: Calls
    pool: Executor
    exchange: Exchange
    capacity: Capacity = Capacity(None, "not asked")
    sleep: Callable[[float], None] = time.sleep

    def close(self) -> None:
        """Wait for what is in flight and drop the connections."""
        self.pool.shutdown()
        self.exchange.close()
        self.calls.close()


Connect = Callable[[DynamoDbOptions, KeySchema], Connected]


def access_of(options: DynamoDbOptions, session_name: str) -> Access:
    """Whose credentials the target is written with."""
    return Access(
        "target",
        options.region,
        options.role_arn,
        options.external_id,
        options.sts_endpoint_url,
        session_name,
        options.profile,
    )


def connected(options: DynamoDbOptions, keys: KeySchema, session_name: str = "moveout") -> Connected:
    """Connect. `session_name` is what CloudTrail shows where a role is taken.

    Raises SinkMisconfigured, SinkUnavailable.
    """
    asker = access_of(options, session_name)
    try:
        client = _client(options, asker)
    except BotoCoreError as error:  # a profile that does not exist
        raise as_sink_error(error) from error
    prepare(client, options, keys)
    return _ways(options, asker, client, _capacity(client, options))


def unchecked(options: DynamoDbOptions, keys: KeySchema) -> Connected:  # noqa: ARG001  as Connect
    """As `connected`, but nothing is asked: for a server that only takes writes (tests/bench)."""
    asker = access_of(options, "moveout")
    return _ways(options, asker, _client(options, asker), Capacity(None, "not asked"))


def _client(options: DynamoDbOptions, asker: Access) -> Any:
    return access.client(
        asker,
        "dynamodb",
        options.region,
        options.endpoint_url,
        Config(
            connect_timeout=options.request_timeout_seconds,
            read_timeout=options.request_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": 4},
        ),
    )


def _ways(options: DynamoDbOptions, asker: Access, client: Any, known: Capacity) -> Connected:
    explain = partial(access.advice, asker, "dynamodb", options.region)
    session = access.session(asker)
    calls = Calls(client, session, options.request_timeout_seconds, explain)
    pool = ThreadPoolExecutor(options.concurrency, thread_name_prefix="dynamodb-sink")
    exchange = Threads(calls, pool) if options.transport == "threads" else _lane(client, session, options, explain)
    return Connected(calls, pool, exchange, known)


def _lane(client: Any, session: Any, options: DynamoDbOptions, explain: Callable[[str], str | None]) -> Lane:
    url = client.meta.endpoint_url
    signer = Signer(host_of(url), client.meta.region_name, keys_of(session))
    return Lane(url, signer, options.request_timeout_seconds, explain)


def host_of(url: str) -> str:
    """The Host of requests to this URL: with the port, unless it is the scheme's own (RFC 9110, "Host")."""
    parts = urlsplit(url)
    own = {"http": 80, "https": 443}[parts.scheme]
    return parts.netloc.removesuffix(f":{own}") if parts.port == own else parts.netloc


def _capacity(client: Any, options: DynamoDbOptions) -> Capacity:
    """What the target can take, where somebody may ask for a share of it."""
    try:
        description = client.describe_table(TableName=options.table)["Table"]
    except (ClientError, BotoCoreError) as error:
        raise as_sink_error(error) from error
    return capacity.of_table(description, capacity.WRITES)

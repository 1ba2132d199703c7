"""Signed DynamoDB calls as plain JSON: what boto3 does, without an object per attribute.

boto3 takes three times the CPU for a PutItem, nearly all of it to take apart JSON that we were given and to
put it together again. Its session, credentials, endpoints, signer and error type are used; its
serializer is not.
"""

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from sinks.dynamodb.errors import TRANSIENT, client_error, code_of
from sinks.dynamodb.exchange import Outcome

ATTEMPTS = 4
PAUSE_SECONDS = 0.1

_decode = msgspec.json.Decoder().decode


class Calls:
    """Calls to one endpoint. Safe to share between threads: each has a connection of its own.

    `explain` has more to say of some error codes: it is added to the service's own words.
    """

    def __init__(
        self,
        client: Any,
        session: Any,
        timeout_seconds: float,
        explain: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._endpoint = urlsplit(client.meta.endpoint_url)
        self._url = f"{self._endpoint.scheme}://{self._endpoint.netloc}/"
        self._region = client.meta.region_name
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._explain = explain
        self._of_thread = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def call(self, operation: str, request: Any) -> dict[str, Any]:
        """The decoded answer. Tries again what is transient. Raises ClientError, BotoCoreError."""
        body = msgspec.json.encode(request)
        for attempt in range(1, ATTEMPTS):
            try:
                return self._once(operation, body)
            except ClientError as error:
                if code_of(error) not in TRANSIENT:
                    raise
            except HTTPClientError:
                # Most often a connection that the server closed while it lay idle. Every write here is
                # conditional on its version: one that was applied after all changes nothing.
                pass
            self._pause(attempt)
        return self._once(operation, body)

    def raw(self, operation: str, request: Any) -> bytes:
        """The answer as it came, after one attempt. Raises ClientError, BotoCoreError."""
        return self.sent(operation, msgspec.json.encode(request))

    def sent(self, operation: str, body: bytes) -> bytes:
        """As raw, of a body that is JSON already."""
        return self._answer(operation, body)

    def _pause(self, attempt: int) -> None:
        time.sleep(PAUSE_SECONDS * 2**attempt * random.random())

    def _once(self, operation: str, body: bytes) -> dict[str, Any]:
        return _decode(self._answer(operation, body))  # type: ignore[no-any-return]

    def _answer(self, operation: str, body: bytes) -> bytes:
        try:
            connection = self._connection()
            connection.request("POST", "/", body=body, headers=self._headers(operation, body))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise HTTPClientError(error=error) from error
        if answer.status == http.HTTPStatus.OK:
            return content
        raise client_error(operation, answer.status, content, self._explain)

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            secure = self._endpoint.scheme == "https"
            kind: Callable[..., http.client.HTTPConnection] = (
                http.client.HTTPSConnection if secure else http.client.HTTPConnection
            )
            connection = kind(self._endpoint.netloc, timeout=self._timeout_seconds)
            self._of_thread.connection = connection
            self._open.add(connection)
        return connection

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        # Frozen anew each time: botocore renews a role's credentials that are about to expire (sinks/access.py).
        SigV4Auth(credentials.get_frozen_credentials(), "dynamodb", self._region).add_auth(request)
        return dict(request.headers.items())

    def _drop(self) -> None:
        """This thread's connection is of no more use."""
        connection = getattr(self._of_thread, "connection", None)
        if connection is not None:
            self._open.discard(connection)
            connection.close()
            self._of_thread.connection = None

    def close(self) -> None:
        """Close the connections of all threads; none may be calling."""
        while self._open:
            self._open.pop().close()
        self._of_thread = threading.local()


class Threads:
    """An exchange (exchange.py) without the lane: a thread and a connection of `http.client` for each in flight."""

    def __init__(self, calls: Calls, pool: Executor) -> None:
        self._calls, self._pool = calls, pool

    def send(self, operation: str, bodies: Iterable[bytes], in_flight: int) -> list[Outcome]:
        """As Exchange.send; in portions of what may be in flight."""
        outcomes: list[Outcome] = []
        waiting = iter(bodies)
        while portion := list(islice(waiting, in_flight)):
            outcomes.extend(self._pool.map(partial(self._one, operation), portion))
        return outcomes

    def _one(self, operation: str, body: bytes) -> Outcome:
        try:
            return self._calls.sent(operation, body)
        except (ClientError, BotoCoreError) as error:
            return error

    def close(self) -> None:
        """The calls close their connections, the pool is its maker's."""

"""Signed DynamoDB calls as plain JSON bytes.

boto3 builds and checks a Python object per attribute: reading 50,000 items costs it 6 s of CPU, and this
0.5 s, on a machine where Cassandra and two JVMs want the same two cores. The bytes are DynamoDB's own,
so an export made of them is exact.
"""

import http.client
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
CREDENTIALS = Credentials("demo", "demo")
TRIES_MAX = 8
TIMEOUT_SECONDS = 30
# Without a limit DynamoDB Local reads the rest of the table for every page of 1 MB: 18 s instead of 5 s.
SCAN_PAGE_ITEMS = 1000
# What another try may cure; anything else is a fault of the caller.
TRANSIENT = ("Throttling", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "InternalServerError")


class DynamoDbRefused(Exception):
    """DynamoDB answered with an error that another try cannot cure."""


class DynamoDbUnavailable(OSError):
    """DynamoDB answered that it cannot now; another try may cure it."""


class _Page(msgspec.Struct):
    items: list[msgspec.Raw] = msgspec.field(name="Items")
    last: Any = msgspec.field(name="LastEvaluatedKey", default=None)


_decode_page = msgspec.json.Decoder(_Page).decode


class Wire:
    """One DynamoDB endpoint. Safe to share between threads: each has a connection of its own."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._address = urlsplit(endpoint_url).netloc
        self._auth = SigV4Auth(CREDENTIALS, "dynamodb", REGION)
        self._of_thread = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def call(self, operation: str, request: Any) -> bytes:
        """The body of the answer. Retries what is transient. Raises DynamoDbRefused, OSError."""
        body = msgspec.json.encode(request)
        for attempt in range(TRIES_MAX - 1):
            try:
                return self._send(operation, body)
            except (OSError, http.client.HTTPException):
                self._connection().close()  # opened anew by the next request
                time.sleep(0.05 * 2**attempt)
        try:
            return self._send(operation, body)
        except http.client.HTTPException as error:
            raise DynamoDbUnavailable(f"{operation} at {self.endpoint_url}: {error!r}") from error

    def scan(self, table: str) -> Iterator[msgspec.Raw]:
        """Every item as DynamoDB wrote it, page by page: what is written meanwhile may be in it or not."""
        request: dict[str, Any] = {"TableName": table, "ConsistentRead": True, "Limit": SCAN_PAGE_ITEMS}
        while True:
            page = _decode_page(self.call("Scan", request))
            yield from page.items
            if page.last is None:
                return
            request["ExclusiveStartKey"] = page.last

    def close(self) -> None:
        """Close the connections of all threads; a later call opens its own again."""
        for connection in self._connections:
            connection.close()

    def _send(self, operation: str, body: bytes) -> bytes:
        connection = self._connection()
        connection.request("POST", "/", body=body, headers=self._headers(operation, body))
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == http.HTTPStatus.OK:
            return content
        raise self._error(operation, answer.status, content)

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            # http.client sends head and body in one packet; two of them wait 40 ms for Nagle.
            connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
            self._of_thread.connection = connection
            self._connections.append(connection)
        return connection

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        request = AWSRequest("POST", f"{self.endpoint_url}/", headers=headers, data=body)
        self._auth.add_auth(request)
        return dict(request.headers.items())

    def _error(self, operation: str, status: int, content: bytes) -> Exception:
        message = f"{operation} at {self.endpoint_url}: HTTP {status} {content[:300].decode(errors='replace')}"
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or any(name.encode() in content for name in TRANSIENT):
            return DynamoDbUnavailable(message)
        return DynamoDbRefused(message)

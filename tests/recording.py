"""A proxy before a stand-in of AWS that notes each call: who made it, which one, on what. It changes nothing.

Who: the access key id, which every process of a command inherits, the JVM and raw signed calls included. So one run of
a test tells the commands apart, and nothing in the product has to know.
"""

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from daemon.demo.servers.loopback import serving

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
NO_ID = "(not signed)"
NAMED = ("TableName", "TableArn", "StreamArn", "ResourceArn", "ExportArn")
OF_TRANSACTIONS = {
    "Put": "PutItem",
    "Delete": "DeleteItem",
    "Update": "UpdateItem",
    "ConditionCheck": "ConditionCheckItem",
}


class Call(NamedTuple):
    """`resources`: of DynamoDB table names or ARNs, of S3 bucket/key, of others none."""

    who: str
    service: str
    operation: str
    resources: frozenset


class Recorded:
    """What was called. Safe to use from several threads.

    Each distinct call once with its first request; with all of them where `whole(call)` is true.
    """

    def __init__(self, whole=lambda _: False):
        self._lock = threading.Lock()
        self._calls = {}
        self._whole = whole

    def note(self, call, request):
        with self._lock:
            known = self._calls.setdefault(call, [])
            if not known or self._whole(call):
                known.append(request)

    def calls(self):
        """Call -> its requests."""
        with self._lock:
            return {call: list(requests) for call, requests in self._calls.items()}


def of_dynamodb(who, target, body):
    """Calls with their requests; `target`: the header X-Amz-Target.

    A transaction is the calls that it is made of: by these it is allowed (developer guide, "IAM and transactions").
    """
    service, _, operation = target.partition(".")
    request = json.loads(body or b"{}")
    kind = "dynamodbstreams" if service.startswith("DynamoDBStreams") else "dynamodb"
    if operation == "TransactWriteItems":
        inner = [(OF_TRANSACTIONS[name], told) for action in request["TransactItems"] for name, told in action.items()]
        return [(Call(who, kind, name, frozenset([told["TableName"]])), told) for name, told in inner]
    return [(Call(who, kind, operation, frozenset(_named(operation, request))), request)]


def _named(operation, request):
    if operation.startswith("Batch"):
        return list(request["RequestItems"])
    named = [request[name] for name in NAMED if name in request]
    return [f"{named[0]}/index/{request['IndexName']}"] if "IndexName" in request else named


def of_s3(who, method, path):
    """By method and path alone: no call that moveout makes differs by more."""
    address = urlsplit(path)
    bucket, _, key = unquote(address.path).lstrip("/").partition("/")
    query = parse_qs(address.query)
    if not key:
        operation = "ListObjectsV2" if "list-type" in query else f"{method.title()}Bucket"
    else:
        operation = f"{method.title()}Object"
    return [(Call(who, "s3", operation, frozenset([f"{bucket}/{key}" if key else bucket])), {})]


class _Handler(BaseHTTPRequestHandler):
    """One connection. `behind`: host and port of the stand-in."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self._onward = http.client.HTTPConnection(self.behind, timeout=60)

    def finish(self):
        self._onward.close()
        super().finish()

    def _any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = CREDENTIAL.search(self.headers.get("Authorization", ""))
        who, target = found[1] if found else NO_ID, self.headers.get("X-Amz-Target")
        for call, request in of_dynamodb(who, target, body) if target else of_s3(who, self.command, self.path):
            self.recorded.note(call, request)
        self._hand_on(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815  the base class's names

    def _hand_on(self, body):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            self._onward.request(self.command, self.path, body=body, headers=headers)
            answer = self._onward.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._onward.close()
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Not a line per request."""


def recording(recorded, url):
    """Before `url`, on the loopback address; its own URL."""
    handler = type("Handler", (_Handler,), {"recorded": recorded, "behind": urlsplit(url).netloc})
    return serving(handler)

"""STS and a guarded DynamoDB over HTTP, hand-written: roles with trust policies, and keys that really end.

    with FakeSts({ROLE: "their-id"}) as sts, Gate(sts, server_port) as gate: …

Clients are told that a role's keys last `told_seconds`; the gate refuses them after `real_seconds`. So a test need not
wait for the quarter of an hour by which botocore renews keys early.
"""

import http.client
import json
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs

OWN_KEY = "demo"
CREDENTIAL = re.compile(r"Credential=([^/]+)/")
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class Seen(NamedTuple):
    """A request: who signed it, and what it wanted."""

    key: str
    action: str
    told: dict


class _Server:
    """An HTTP server on a free port of loopback, in threads of its own."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers, answer = outer.answer(dict(self.headers.items()), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                """Tests say what they need themselves."""

        self.seen = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class FakeSts(_Server):
    """`trusted`: the external id that each role's trust policy asks for, or None."""

    def __init__(self, trusted, told_seconds=3600.0, real_seconds=3600.0):
        super().__init__()
        self.trusted = trusted
        self.told_seconds, self.real_seconds = told_seconds, real_seconds
        self.failure = None  # (status, code, message) for whoever asks
        self.keys = {}  # of roles: (role, monotonic time of their end)

    def answer(self, headers, body):
        told = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        key = CREDENTIAL.search(headers["Authorization"])[1]
        self.seen.append(Seen(key, told["Action"], told))
        if self.failure is not None:
            return self._refused(*self.failure)
        if told["Action"] == "GetCallerIdentity":
            role, _ = self.keys.get(key, ("arn:aws:iam::111111111111:user/moveout", 0))
            return self._xml("GetCallerIdentity", f"<Arn>{role}</Arn><UserId>u</UserId><Account>1</Account>")
        role = told["RoleArn"]
        if role not in self.trusted or self.trusted[role] not in (None, told.get("ExternalId")):
            who = "User: arn:aws:iam::111111111111:user/moveout"
            return self._refused(403, "AccessDenied", f"{who} is not authorized to perform: sts:AssumeRole on {role}")
        return self._xml("AssumeRole", self._new_keys(role, told["RoleSessionName"]))

    def taken(self, role):
        """How often the role was given out."""
        return sum(held == role for held, _ in self.keys.values())

    def of_role(self, key, role):
        """True for keys of the role that have not ended."""
        held, until = self.keys.get(key, (None, 0))
        return held == role and time.monotonic() < until

    def _new_keys(self, role, session):
        key = f"ASIA{len(self.keys):08d}"
        self.keys[key] = (role, time.monotonic() + self.real_seconds)
        until = datetime.fromtimestamp(time.time() + self.told_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"<AssumedRoleUser><Arn>{role}/{session}</Arn><AssumedRoleId>A:{session}</AssumedRoleId></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
            f"<SessionToken>token-of-{key}</SessionToken><Expiration>{until}</Expiration></Credentials>"
        )

    @staticmethod
    def _xml(action, inner):
        text = f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{inner}</{action}Result></{action}Response>'
        return 200, {"Content-Type": "text/xml"}, text.encode()

    @staticmethod
    def _refused(status, code, message):
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return (
            status,
            {"Content-Type": "text/xml"},
            f'<ErrorResponse xmlns="{NAMESPACE}">{error}</ErrorResponse>'.encode(),
        )


class Gate(_Server):
    """DynamoDB (or its streams) behind a check of keys: only those of `role` that have not ended get through."""

    def __init__(self, sts, role, server_url=None):
        super().__init__()
        self._sts, self._role = sts, role
        self._server_address = server_url.removeprefix("http://") if server_url else None
        self.refused = []  # requests with keys that had ended, or were another's

    def answer(self, headers, body):
        key = CREDENTIAL.search(headers["Authorization"])[1]
        request = Seen(key, headers["X-Amz-Target"].partition(".")[2], {"token": headers.get("X-Amz-Security-Token")})
        self.seen.append(request)
        if not self._sts.of_role(key, self._role):
            self.refused.append(request)
            error = {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": f"{key} has ended"}
            return 400, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(error).encode()
        if self._server_address is None:
            return 200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}"
        # DynamoDB Local keeps a database per access key.
        headers["Authorization"] = CREDENTIAL.sub(f"Credential={OWN_KEY}/", headers["Authorization"])
        return self._forwarded(headers, body)

    @property
    def keys(self):
        """The access keys seen."""
        return {request.key for request in self.seen}

    def _forwarded(self, headers, body):
        connection = http.client.HTTPConnection(self._server_address, timeout=60)
        try:
            connection.request("POST", "/", body=body, headers=headers)
            answer = connection.getresponse()
            kept = ("content-type", "x-amz-crc32", "x-amzn-requestid")
            told = {name: value for name, value in answer.getheaders() if name.lower() in kept}
            return answer.status, told, answer.read()
        finally:
            connection.close()

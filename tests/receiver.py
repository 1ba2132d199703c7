"""A web server that takes events, or does not: each of `answers` is for one request, the last one for all others."""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    """One that came in."""

    path: str
    headers: dict
    body: bytes

    @property
    def event(self):
        return json.loads(self.body)


class Reply(NamedTuple):
    """`hold` is waited for before it is sent; `drop` sends none; `slowly` sends a byte at a time for ever."""

    status: int = 204
    text: str = ""
    hold: threading.Event | None = None
    drop: bool = False
    slowly: bool = False
    location: str | None = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Who was too late writes to nobody."""


class Receiver:
    """On a free port of the loopback."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers) or [Reply()], []
        self.came, self._over = threading.Semaphore(0), threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _next(self, request):
        with self._lock:
            self.requests.append(request)
            reply = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.came.release()
        return reply

    def _handler(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = receiver._next(Request(self.path, dict(self.headers), body))
                if reply.hold is not None:
                    reply.hold.wait(30)
                if reply.drop:
                    return
                self.send_response(reply.status)
                if reply.location:
                    self.send_header("Location", reply.location)
                if reply.slowly:
                    self._drip()
                self.end_headers()
                self.wfile.write(reply.text.encode())

            def _drip(self):
                self.flush_headers()
                while not receiver._over.wait(0.05):
                    self.wfile.write(b"X-Drip: 1\r\n")

            def log_message(self, *_):
                pass

        return Handler


def verified(secret, request):
    """The signature, computed by other means than the sender's: the time, when it is right."""
    given = dict(part.split("=", 1) for part in request.headers["X-Moveout-Signature"].split(","))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in secret.ljust(64, b"\0")))
    inner.update(given["t"].encode() + b"." + request.body)
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in secret.ljust(64, b"\0")) + inner.digest())
    return int(given["t"]) if hmac.compare_digest(outer.hexdigest(), given["v1"]) else None

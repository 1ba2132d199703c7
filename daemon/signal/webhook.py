"""A request to a web server of the user's, signed and bounded in time: for hooks, and for the lock of the fence.

The signature: `X-Moveout-Signature: t=<epoch seconds>,v1=<hex>`, HMAC-SHA256 with the shared secret over `<t>.<body>`.
A receiver computes it over the bytes it got, compares in constant time, and refuses a `t` of long ago.
"""

import hashlib
import hmac
import http.client
import os
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from daemon.sections import Webhook
from daemon.signal.configmap import NoRedirect

ANSWER_BYTES_MAX = 4096
JSON = "application/json"
SIGNATURE = "X-Moveout-Signature"


class NoAnswer(Exception):
    """Nothing was answered in time, or nothing could be asked. The message names the host only."""


class Answer(NamedTuple):
    """What was answered; `text` is bounded."""

    status: int
    text: str

    @property
    def good(self) -> bool:
        """True for 200 … 299; a redirect is not followed, and is none."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


def post(
    url: str, body: bytes, secret: bytes | None, timeout: float, content_type: str = JSON, now: float | None = None
) -> Answer:
    """Ask once, signed where there is a secret; as `send`."""
    headers = {"Content-Type": content_type}
    if secret is not None:
        headers[SIGNATURE] = signature(secret, int(time.time() if now is None else now), body)
    return send(url, body, headers, timeout)


def send(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
    """POST once, for at most `timeout` seconds in all, names and handshake included. Raises NoAnswer."""
    request = urllib.request.Request(url, body, {"User-Agent": "moveout", **headers}, method="POST")  # noqa: S310  http(s)
    # A socket's own limit is one for each read: whoever answers a byte at a time would never be late.
    answered: queue.Queue[Answer | Exception] = queue.Queue()
    threading.Thread(target=_ask, args=(request, timeout, answered), name="webhook", daemon=True).start()
    try:
        found = answered.get(timeout=timeout)
    except queue.Empty:
        found = TimeoutError()
    if isinstance(found, Answer):
        return found
    if isinstance(_inner(found), TimeoutError):
        raise NoAnswer(f"{place(url)} has not answered within {timeout:g} s") from None
    # Not as its cause: an error of urllib's may quote the address.
    raise NoAnswer(f"{place(url)} cannot be asked: {_reason(found)}") from None


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The header's value. `at` in epoch seconds."""
    return f"t={at},v1={hmac.new(secret, b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def secret_of(webhook: Webhook, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Read anew each time, as it may have been replaced; None where none is asked for. Raises NoAnswer."""
    if webhook.secret_file is not None:
        try:
            found, where = webhook.secret_file.read_bytes().strip(), f"webhook.secret_file {webhook.secret_file}"
        except OSError as error:
            raise NoAnswer(f"webhook.secret_file {webhook.secret_file} cannot be read: {error.strerror}") from error
    elif webhook.secret_env is not None:
        found, where = environment.get(webhook.secret_env, "").encode(), f"the variable {webhook.secret_env}"
    else:
        return None
    if not found:
        raise NoAnswer(f"{where} is empty: a signature with no key proves nothing")
    return found


def place(url: str) -> str:
    """As much of an address as may be logged: no user, no path, no query, for they may be secrets."""
    address = urlsplit(url)
    host = address.hostname or ""
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _ask(request: urllib.request.Request, timeout: float, answered: "queue.Queue[Answer | Exception]") -> None:
    try:
        answered.put(_answer(request, timeout))
    except Exception as error:  # noqa: BLE001  of another thread: told there
        answered.put(error)


def _answer(request: urllib.request.Request, timeout: float) -> Answer:
    opener = urllib.request.build_opener(NoRedirect())
    try:
        with opener.open(request, timeout=timeout) as reply:
            return Answer(reply.status, _text(reply.read(ANSWER_BYTES_MAX)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _text(error.read(ANSWER_BYTES_MAX)))


def _text(said: bytes) -> str:
    return said.decode(errors="replace")


def _inner(error: Exception) -> object:
    return error.reason if isinstance(error, urllib.error.URLError) else error


def _reason(error: Exception) -> str:
    """Without what an error may quote of the request."""
    inner = _inner(error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {inner.verify_message} (SSL_CERT_FILE names other authorities)"
    if isinstance(inner, OSError):
        return inner.strerror or type(inner).__name__
    return "it does not speak HTTP" if isinstance(inner, http.client.HTTPException) else type(inner).__name__

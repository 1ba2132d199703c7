"""Signature Version 4 of a POST to DynamoDB, with everything kept that is the same for the next request.

Source: AWS IAM guide, "Create a signed AWS API request". The bytes are those of botocore's own signer, which tests
compare; it costs ten times as much, for it takes each request apart anew.
"""

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

from botocore.exceptions import NoCredentialsError

_ALGORITHM = b"AWS4-HMAC-SHA256"
_CONTENT_TYPE = b"application/x-amz-json-1.0"


class Keys(NamedTuple):
    """Credentials as they are at one moment."""

    access_key: str
    secret_key: str
    token: str | None


class _Signed(NamedTuple):
    """What is the same for all requests of one operation in one second."""

    canonical: bytes
    to_sign: bytes
    head: bytes
    key: bytes


class Signer:
    """Makes the heads of requests to one endpoint. `keys` is asked once a second, so renewed credentials are taken up.

    `host` as the URL has it: with the port, unless it is the scheme's own.
    """

    def __init__(self, host: str, region: str, keys: Callable[[], Keys], now: Callable[[], float] = time.time) -> None:
        self._host = host.encode()
        self._region = region
        self._keys = keys
        self._now = now
        self._second = -1
        self._of: dict[str, _Signed] = {}
        self._known: Keys | None = None
        self._day_key: tuple[Keys, str, bytes] | None = None

    def head(self, operation: str, body: bytes) -> bytes:
        """The request's head, to the empty line. Raises NoCredentialsError and what renewing credentials raises."""
        second = int(self._now())
        if second != self._second:
            self._known, self._of = self._keys(), {}
            self._second = second
        signed = self._of.get(operation) or self._signed(operation)
        digest = sha256(signed.canonical + sha256(body).hexdigest().encode()).hexdigest()
        signature = hmac.digest(signed.key, signed.to_sign + digest.encode(), "sha256").hex()
        return b"%b%b\r\nContent-Length: %d\r\n\r\n" % (signed.head, signature.encode(), len(body))

    def _signed(self, operation: str) -> _Signed:
        assert self._known is not None  # noqa: S101  asked by head
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._second))
        scope = f"{stamp[:8]}/{self._region}/dynamodb/aws4_request"
        headers = self._headers(operation, stamp, self._known.token)
        names = b";".join(name.lower() for name, _ in headers)
        canonical = b"".join(b"%b:%b\n" % (name.lower(), value) for name, value in headers)
        credential = f"{self._known.access_key}/{scope}".encode()
        shown = b"".join(b"%b: %b\r\n" % header for header in headers)
        authorization = b"%b Credential=%b, SignedHeaders=%b, Signature=" % (_ALGORITHM, credential, names)
        made = _Signed(
            b"POST\n/\n\n%b\n%b\n" % (canonical, names),
            b"%b\n%b\n%b\n" % (_ALGORITHM, stamp.encode(), scope.encode()),
            b"POST / HTTP/1.1\r\n%bAuthorization: %b" % (shown, authorization),
            self._key(self._known, stamp[:8]),
        )
        self._of[operation] = made
        return made

    def _headers(self, operation: str, stamp: str, token: str | None) -> list[tuple[bytes, bytes]]:
        """In the order of their names, as they are signed."""
        session = [(b"X-Amz-Security-Token", token.encode())] if token else []
        return [
            (b"Content-Type", _CONTENT_TYPE),
            (b"Host", self._host),
            (b"X-Amz-Date", stamp.encode()),
            *session,
            (b"X-Amz-Target", f"DynamoDB_20120810.{operation}".encode()),
        ]

    def _key(self, keys: Keys, day: str) -> bytes:
        """The signing key: four HMACs that hold for one day."""
        if self._day_key is not None and self._day_key[:2] == (keys, day):
            return self._day_key[2]
        made = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, "dynamodb", "aws4_request"):
            made = hmac.digest(made, part.encode(), "sha256")
        self._day_key = (keys, day, made)
        return made


def keys_of(session: Any) -> Callable[[], Keys]:
    """The credentials of a botocore session, which renews them (sinks/access.py). Raises NoCredentialsError."""

    def keys() -> Keys:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    return keys

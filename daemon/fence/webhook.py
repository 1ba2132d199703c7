"""A lock that somebody else keeps: one POST to hold it, one to lift it. 2xx is done, everything else is a failure.

A redirect too: a client that follows one asks with GET, and nothing would be held.

The body: {"action": "hold" | "lift", "writes": null | "source" | "target", "migration", "table", "switch", "epoch"}. An
answer to `hold` says that every write begun before has ended. Whoever answers ignores an epoch below one it has seen,
and takes a repetition for done. With a secret, `X-Moveout-Signature` is `sha256=<hex>`, HMAC-SHA256 of the body.
"""

import hmac
import os

import msgspec

from daemon.fence import Attempt, FenceFailed
from daemon.routes import Side
from daemon.sections import LockWebhook
from daemon.signal.webhook import JSON, SIGNATURE, NoAnswer, send

TOLD_CHARS_MAX = 300


class Webhook:
    """The fence of that URL."""

    def __init__(self, options: LockWebhook, migration: str, table: str) -> None:
        self._options = options
        self._migration = migration
        self._table = table

    def hold(self, attempt: Attempt) -> None:
        """As Fence."""
        self._post("hold", None, attempt)

    def lift(self, attempt: Attempt, writes: Side) -> None:
        """As Fence."""
        self._post("lift", writes, attempt)

    def _post(self, action: str, writes: Side | None, attempt: Attempt) -> None:
        told = {"action": action, "writes": writes, "migration": self._migration, "table": self._table}
        body = msgspec.json.encode({**told, **attempt._asdict()})
        headers = {"Content-Type": JSON, **self._signature(body)}
        try:
            answer = send(self._options.url, body, headers, self._options.timeout_seconds)
        except NoAnswer as error:
            raise FenceFailed(f"the lock webhook does not answer to {action}: {error}") from error
        if not answer.good:
            said = answer.text[:TOLD_CHARS_MAX]
            raise FenceFailed(f"the lock webhook refuses to {action}: {answer.status} {said}")

    def _signature(self, body: bytes) -> dict[str, str]:
        name = self._options.secret_env
        if name is None:
            return {}
        secret = os.environ.get(name)
        if not secret:
            raise FenceFailed(f"environment variable {name} (cutover.fence.webhook.secret_env) is not set")
        return {SIGNATURE: f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"}

"""A lock that somebody else keeps: one POST to hold it, one to lift it. 2xx is done, everything else is a failure.

The body: {"action": "hold" | "lift", "writes": null | "source" | "target", "migration", "table", "switch", "epoch"}. An
answer to `hold` says that every write begun before has ended. Whoever answers ignores an epoch below one it has seen,
and takes a repetition for done. With a secret, `X-Moveout-Signature` is `sha256=<hex>`, HMAC-SHA256 of the body.
"""

import hmac
import os
import urllib.error
import urllib.request

import msgspec

from daemon.fence import Attempt, FenceFailed
from daemon.routes import Side
from daemon.sections import LockWebhook

TOLD_BYTES_MAX = 300


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
        headers = {"Content-Type": "application/json", **self._signature(body)}
        # The scheme was checked with the configuration.
        request = urllib.request.Request(self._options.url, body, headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self._options.timeout_seconds):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            said = error.read(TOLD_BYTES_MAX).decode(errors="replace")
            raise FenceFailed(f"the lock webhook refuses to {action}: {error.code} {said}") from error
        except OSError as error:
            raise FenceFailed(f"the lock webhook does not answer to {action}: {error}") from error

    def _signature(self, body: bytes) -> dict[str, str]:
        name = self._options.secret_env
        if name is None:
            return {}
        secret = os.environ.get(name)
        if not secret:
            raise FenceFailed(f"environment variable {name} (cutover.fence.webhook.secret_env) is not set")
        return {"X-Moveout-Signature": f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"}

"""How the demo's application follows the switch: the writers by the signal's file, the readers by the OFREP flag.

It fails static: a file that is missing or a service that does not answer changes nothing (daemon/README.md, "Signals").
"""

import json
import random
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from threading import Event, Thread
from typing import Any

ASK_SECONDS = 2.0
READS_PER_SECOND = 20


class WriteRoute:
    """Where the writes go, by the signal's file: "source", "target", or "fenced" while nobody is to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = 0
        self._epoch = -1
        self._side = "source"

    def side(self) -> str:
        """The route as of now; asked before every write."""
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._changed:
                self._changed = changed
                self._take(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, KeyError):
            return self._side
        return self._side

    def _take(self, document: dict[str, Any]) -> None:
        if document["epoch"] >= self._epoch:  # a lower one comes from a leader that was asleep
            routes, self._epoch = document["routes"], document["epoch"]
            self._side = "fenced" if routes["writes_fenced"] else routes["writes"]


class ReadRoute:
    """Which side this reader is to read, asked of the service each time as any OpenFeature SDK does."""

    def __init__(self, service: str, flag: str) -> None:
        self._url = f"{service}/ofrep/v1/evaluate/flags/{flag}"
        self._last: dict[str, str] = {}

    def side(self, reader: str) -> str:
        """The source or the target."""
        body = json.dumps({"context": {"targetingKey": reader}}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  the demo's own service
        try:
            with urllib.request.urlopen(request, timeout=ASK_SECONDS) as answer:  # noqa: S310
                self._last[reader] = json.load(answer)["value"]
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            pass
        return self._last.get(reader, "source")


class Fence:
    """For how long no write was allowed: from the last write before it to the first one behind it."""

    def __init__(self) -> None:
        self._wrote_at: float | None = None
        self.seconds = 0.0
        self._held = False

    def hold(self) -> None:
        """A write was due, and had to wait."""
        self._held = True

    def wrote(self) -> None:
        """A write was acknowledged."""
        now = time.monotonic()
        if self._held and self._wrote_at is not None:
            self.seconds = max(self.seconds, now - self._wrote_at)
        self._held, self._wrote_at = False, now


class Reader:
    """Readers of the application, in a thread: each asks the flag before it reads; how many were sent where."""

    def __init__(self, route: ReadRoute, readers: int, stopped: Event) -> None:
        self._route = route
        self._readers = readers
        self._stopped = stopped
        self._counts: Counter[str] = Counter()
        self._chance = random.Random(1)
        Thread(target=self._read, name="readers", daemon=True).start()

    def counts(self) -> dict[str, int]:
        """Side -> reads that it got."""
        return dict(self._counts)

    def _read(self) -> None:
        while not self._stopped.wait(1 / READS_PER_SECOND):
            self._counts[self._route.side(f"customer-{self._chance.randrange(self._readers)}")] += 1

"""The application of the demo: writes to the source table at a steady rate until it gets SIGTERM.

    python -m daemon.demo.application --endpoint URL --table NAME --seed N --items N --rate 200 --journal FILE

It knows nothing of the move. The journal is one JSON object: how many writes of which kind were acknowledged.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import FrameType

from daemon.demo.traffic import Traffic, Write
from daemon.demo.wire import Wire

RATE = 200
JOURNAL_SECONDS = 1.0
# After a pause (a slow server) it goes on at its rate, and does not make up for more than this.
BEHIND_SECONDS_MAX = 1.0
DOWN_SECONDS_MAX = 60.0


class Pace:
    """Says how long to wait before the next write so that there are `rate` in a second."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._step = 1 / rate
        self._now = now
        self._next = now()

    def wait_seconds(self) -> float:
        """Seconds until the next write is due; 0 when it is late."""
        now = self._now()
        self._next = max(self._next + self._step, now - BEHIND_SECONDS_MAX)
        return max(self._next - now, 0.0)


class Journal:
    """The count of acknowledged writes, on disk once a second and at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: Counter[str] = Counter()
        self._written = time.monotonic()

    def add(self, kind: str) -> None:
        """Count one acknowledged write."""
        self._counts[kind] += 1
        if time.monotonic() - self._written >= JOURNAL_SECONDS:
            self.save()

    def save(self) -> dict[str, int]:
        """Replace the file in one step, so that a reader never sees half of it."""
        content = {"writes": self._counts.total(), **dict(sorted(self._counts.items()))}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(content) + "\n")
        partial.replace(self._path)
        self._written = time.monotonic()
        return content


def main(arguments: list[str] | None = None) -> int:
    """Write until SIGTERM or SIGINT, then print the journal."""
    options = _options(arguments)
    stopped = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    journal = Journal(options.journal)
    traffic = Traffic(options.seed, options.items)
    wire = Wire(options.endpoint)
    try:
        run(wire, options.table, traffic, rate=options.rate, journal=journal, stopped=stopped)
    finally:
        print(json.dumps(journal.save()), flush=True)
    return 0


def run(wire: Wire, table: str, traffic: Traffic, *, rate: float, journal: Journal, stopped: Event) -> None:
    """Write until `stopped`. The request in flight is finished: what was sent is in the journal."""
    pace = Pace(rate)
    for write in traffic:
        if stopped.wait(pace.wait_seconds()):
            return
        _send(wire, table, write)
        journal.add(write.kind)


def _send(wire: Wire, table: str, write: Write) -> None:
    """Send it again until it is acknowledged: an unanswered write may have happened or not.

    Raises OSError after a minute without an answer, DynamoDbRefused at once.
    """
    give_up = time.monotonic() + DOWN_SECONDS_MAX
    while True:
        try:
            wire.call(write.operation, {"TableName": table, **write.request})
        except OSError as error:  # the wire has tried already; a restart of the server takes longer
            if time.monotonic() > give_up:
                raise
            print(f"no answer, trying again: {error}", file=sys.stderr, flush=True)
            time.sleep(1)
        else:
            return


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="daemon.demo.application", description=__doc__.partition("\n")[0])
    parser.add_argument("--endpoint", required=True, help="URL of DynamoDB")
    parser.add_argument("--table", required=True)
    parser.add_argument("--seed", type=int, default=1, help="the same seed writes the same")
    parser.add_argument("--items", type=int, default=0, help="how many items the table was loaded with")
    parser.add_argument("--rate", type=float, default=RATE, help="writes per second")
    parser.add_argument("--journal", type=Path, required=True, help="file for the counts")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""The application of the demo: writes to the source table at a steady rate until it gets SIGTERM.

    python -m daemon.demo.application --endpoint URL --table NAME --seed N --items N --rate 200 --journal FILE

It knows of the move what any application must: with --signal it follows the writers' route (waits while writes are
fenced, then goes on at the target that --target describes), with --service a second thread reads wherever the flag
sends each reader. The journal is one JSON object: how many writes of which kind were acknowledged, where was read, and
for how long no write was allowed. What was written to the target is in <journal>.target, a line of JSON per key.
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
from typing import Any

from daemon.demo.follower import Fence, Reader, ReadRoute, WriteRoute
from daemon.demo.target_writes import Target, TargetWrite, connected, target_writes
from daemon.demo.traffic import Traffic, Write
from daemon.demo.wire import Wire

RATE = 200
JOURNAL_SECONDS = 1.0
# After a pause (a slow server) it goes on at its rate, and does not make up for more than this.
BEHIND_SECONDS_MAX = 1.0
DOWN_SECONDS_MAX = 60.0
FENCE_LOOK_SECONDS = 0.02


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
    """The count of acknowledged writes, on disk once a second and at the end; of those to the target each by itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()
        self._written = time.monotonic()

    def add(self, kind: str) -> None:
        """Count one acknowledged write."""
        self._counts[kind] += 1
        if time.monotonic() - self._written >= JOURNAL_SECONDS:
            self.save()

    def add_to_target(self, write: TargetWrite) -> None:
        """Keep one acknowledged write: what its key must hold from now on."""
        with of_target(self._path).open("a") as file:
            file.write(json.dumps([write.key, write.attributes]) + "\n")
        self.add(f"target {write.kind}")

    def tell(self, **figures: Any) -> None:
        """Keep a figure that is no count of writes."""
        self._told |= figures

    def save(self) -> dict[str, Any]:
        """Replace the file in one step, so that a reader never sees half of it."""
        content = {"writes": self._counts.total(), **dict(sorted(self._counts.items())), **self._told}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(content) + "\n")
        partial.replace(self._path)
        self._written = time.monotonic()
        return content


def of_target(journal: Path) -> Path:
    """Where the writes to the target stand, a line each: the key, and what it holds (null: deleted)."""
    return journal.with_suffix(".target")


def main(arguments: list[str] | None = None) -> int:
    """Write until SIGTERM or SIGINT, then print the journal."""
    options = _options(arguments)
    stopped = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    journal, fence = Journal(options.journal), Fence()
    wire = Wire(options.endpoint)
    reader = Reader(ReadRoute(options.service, options.flag), options.items, stopped) if options.service else None
    pace = Pace(options.rate)
    try:
        gate = Gate(WriteRoute(options.signal), fence, stopped) if options.signal else None
        run(
            wire,
            options.table,
            Traffic(options.seed, options.items),
            pace=pace,
            journal=journal,
            stopped=stopped,
            gate=gate,
        )
        if gate is not None and not stopped.is_set():
            go_on(connected(options.target, wire), options, pace, journal, gate)
    finally:
        if reader is not None:
            journal.tell(fence_seconds=round(fence.seconds, 2), reads=reader.counts())
        print(json.dumps(journal.save()), flush=True)
    return 0


class Gate:
    """Where the next write goes; while none is allowed, it waits."""

    def __init__(self, route: WriteRoute, fence: Fence, stopped: Event) -> None:
        self._route = route
        self._fence = fence
        self.stopped = stopped

    def side(self) -> str:
        """The source or the target, as soon as a write is allowed. While it waits, nothing is in flight."""
        while (side := self._route.side()) == "fenced" and not self.stopped.wait(FENCE_LOOK_SECONDS):
            self._fence.hold()
        return side

    def wrote(self) -> None:
        """A write was acknowledged."""
        self._fence.wrote()


def run(
    wire: Wire,
    table: str,
    traffic: Traffic,
    *,
    pace: Pace,
    journal: Journal,
    stopped: Event,
    gate: Gate | None = None,
) -> None:
    """Write until `stopped`, or until the writers are sent to the target. The request in flight is finished."""
    for write in traffic:
        if stopped.wait(pace.wait_seconds()) or (gate is not None and gate.side() != "source"):
            return
        _send(wire, table, write)
        journal.add(write.kind)
        if gate is not None:
            gate.wrote()


def go_on(target: Target, options: argparse.Namespace, pace: Pace, journal: Journal, gate: Gate) -> None:
    """Write to the target until SIGTERM."""
    for write in target_writes(options.seed, options.items):
        if gate.stopped.wait(pace.wait_seconds()):
            return
        target.write(write, int(time.time() * 1e6))
        journal.add_to_target(write)
        gate.wrote()


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
    parser.add_argument("--signal", type=Path, help="moveout's signal.file: the writers follow its route")
    parser.add_argument("--target", type=json.loads, help="JSON: where to write to after the switch")
    parser.add_argument("--service", help="URL of moveout: the readers follow its OFREP flag")
    parser.add_argument("--flag", default="demo.reads", help="name of that flag")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

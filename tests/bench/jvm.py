"""`python -m tests.bench.jvm`: how soon the KCL's JVM is there, with its class archive and without, in turns.

One JVM on DynamoDB Local with tests/integration/kcl_probe.py as its child, a restart each time. Seconds to the first
shard's begin and to a record written then, CPU seconds until there, PSS three seconds later.
`--learn FILE` writes the list of classes that an archive is made of (daemon/java/kcl.classes.gz) instead.
"""

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.wire import Wire
from daemon.kcl.jvm import StreamsDaemon
from daemon.kcl.properties import KclSettings, KclSide, render
from daemon.kcl.start import command
from tests.bench import footprint
from tests.bench.sizing import created

PROBE = Path(__file__).parent.parent / "integration" / "kcl_probe.py"
FLAG = "-XX:SharedArchiveFile="
SECONDS_MAX, LOOK_SECONDS, SETTLED_SECONDS = 180, 0.02, 3


class Start(NamedTuple):
    """Of one JVM."""

    begun_seconds: float
    record_seconds: float
    cpu_seconds: float
    pss_mib: float


class Bench:
    """A table, its stream, and what the probe has seen of it."""

    def __init__(self, folder: Path, endpoint_url: str) -> None:
        self._wire, self._seen, self._properties = Wire(endpoint_url), folder / "seen.jsonl", folder / "kcl.properties"
        side = KclSide(region="us-east-1", endpoint_url=endpoint_url)
        settings = KclSettings(
            stream_arn=created(self._wire, "started"),
            application_name="started-kcl",
            worker_id="worker",
            executable=(sys.executable, str(PROBE), str(self._seen)),
            stream=side,
            leases=side,
            failover_millis=5000,
            shard_audit_millis=5000,
            lease_assignment_millis=1000,
        )
        self._properties.write_text(render(settings))
        self._written = 0
        self._write()  # DynamoDB Local takes the iterator of an empty shard for one that was trimmed

    def command(self) -> list[str]:
        """With its archive, where one fits."""
        return command(512, self._properties)

    def start(self, words: list[str]) -> Start:
        """Raises TimeoutError."""
        begun, began = self._count("initialized"), time.monotonic()
        daemon = StreamsDaemon(words, {})
        try:
            self._wait(lambda: self._count("initialized") > begun)
            first = time.monotonic() - began
            self._write()
            self._wait(lambda: self._count("record") >= self._written)
            second, cpu = time.monotonic() - began, footprint.cpu_seconds(daemon.pid)
            time.sleep(SETTLED_SECONDS)
            return Start(first, second, cpu, footprint.of_process(daemon.pid).pss)
        finally:
            daemon.stop(60)

    def close(self) -> None:
        """Its connections."""
        self._wire.close()

    def _write(self) -> None:
        self._written += 1
        item = {"id": {"S": "a"}, "n": {"N": str(self._written)}}
        self._wire.call("PutItem", {"TableName": "started", "Item": item})

    def _count(self, event: str) -> int:
        lines = self._seen.read_text().splitlines() if self._seen.exists() else []
        return sum(1 for line in lines if line.endswith("}") and json.loads(line)["event"] == event)

    def _wait(self, holds: Any) -> None:
        end = time.monotonic() + SECONDS_MAX
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"the JVM or its child is silent for {SECONDS_MAX} s")
            time.sleep(LOOK_SECONDS)


def main(arguments: Sequence[str]) -> int:
    """Measure or learn; 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.jvm", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--learn", metavar="FILE", type=Path, help="write the list of classes there, and measure nothing"
    )
    asked = parser.parse_args(arguments)
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="moveout-jvm-") as folder, DynamoDbLocal(Path(folder)) as server:
        bench = Bench(Path(folder), server.endpoint_url)
        if asked.learn:
            _learn(bench, Path(folder) / "classes", asked.learn)
        else:
            _compare(bench, asked.pairs)
        bench.close()
    return 0


def _compare(bench: Bench, pairs: int) -> None:
    words = bench.command()
    if not any(word.startswith(FLAG) for word in words):
        raise SystemExit("no archive fits here: nothing to compare")
    ways = {"with the archive": words, "without": [word for word in words if not word.startswith(FLAG)]}
    bench.start(words)  # the first one of all makes the KCL's tables
    starts: dict[str, list[Start]] = {name: [] for name in ways}
    for _ in range(pairs):
        for name, way in ways.items():
            starts[name].append(bench.start(way))
    sys.stdout.write(f"{pairs} starts each, in turns, medians (lowest to highest); load {os.getloadavg()[0]:.1f}\n")
    for name, found in starts.items():
        told = [_told(field, [getattr(one, field) for one in found]) for field in Start._fields]
        sys.stdout.write(f"{name:<18}{', '.join(told)}\n")


def _told(field: str, values: Sequence[float]) -> str:
    return f"{field} {statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _learn(bench: Bench, listed: Path, into: Path) -> None:
    """Of a first start, a record and an orderly end."""
    words = [word for word in bench.command() if not word.startswith(FLAG)]
    bench.start([words[0], f"-XX:DumpLoadedClassList={listed}", *words[1:]])
    # What the JVM spins for itself has another name each time.
    kept = [line for line in listed.read_text().splitlines(keepends=True) if line[0] != "#" and "/0x" not in line]
    into.write_bytes(gzip.compress("".join(kept).encode(), mtime=0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

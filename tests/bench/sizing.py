"""`python -m tests.bench.sizing --shards 1 8 64`: what a service with so many shards takes, and how soon it is there.

The real service, the real KCL on the JVM, a real process per shard, DynamoDB Local as source, state and target. More
than one shard come from a stand-in that deals DynamoDB Local's one shard to many (dealt_stream.py). Memory is PSS: what
is shared is shared out. CPU in per mille of one core. Prints a table, and a JSON file when asked.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.process import free_port
from daemon.demo.service import Service
from daemon.demo.wire import Wire
from tests.bench import footprint
from tests.bench.dealt_stream import dealt

REGION = "us-east-1"
LOOK_SECONDS = 0.2
BATCH = 25  # DynamoDB's own limit
ITEM_BYTES = 300

Found = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Measure one number of shards after the other, print, and write the file; 0."""
    asked = _asked(arguments)
    say: Callable[[str], Any] = partial(print, flush=True)
    found: list[Found] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # in order, lest a service stays behind
    with tempfile.TemporaryDirectory(prefix="moveout-sizing-") as folder, DynamoDbLocal(Path(folder)) as server:
        os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")
        for shards in asked.shards:
            found.append(measured(Path(folder), server.endpoint_url, shards, asked))
            say("\n".join(lines_of(found[-1])))
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=2) + "\n")
    return 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sizing", description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=20, help="of each look: idle, and under load")
    parser.add_argument("--items-per-second", type=int, default=200, help="of the load, over all shards")
    parser.add_argument("--heap-mib", type=int, default=512, help="tail.jvm_heap_mib")
    parser.add_argument("--start-seconds", type=float, default=600, help="so long a proven lag is waited for")
    parser.add_argument("--settle", type=float, default=10, help="seconds between the start and the first look")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def measured(folder: Path, endpoint_url: str, shards: int, asked: argparse.Namespace) -> Found:
    """One service from its start to its end."""
    wire, table = Wire(endpoint_url), f"orders{shards}"
    arn = created(wire, table)
    own = folder / table
    own.mkdir()
    with dealt(endpoint_url, arn, shards) as stream:
        config, listen = _configured(own, table, endpoint_url, stream, asked.heap_mib)
        with _running(config, own, listen) as (pid, service):
            started = _started(pid, service, shards, asked.start_seconds)
            time.sleep(asked.settle)
            idle = _look(pid, service, lambda: time.sleep(asked.seconds))
            load = partial(_load, wire, table, asked.items_per_second, asked.seconds)
            loaded = _look(pid, service, load)
            applied = _applied(service)
            began = time.monotonic()
            service.stop()
    wire.close()
    return {
        "shards": shards,
        "heap_mib": asked.heap_mib,
        "load_average": os.getloadavg()[0],
        "started_seconds": started,
        "idle": idle,
        "loaded": {**loaded, "items_per_second": asked.items_per_second, "records_applied": applied},
        "stopped_seconds": round(time.monotonic() - began, 1),
    }


def created(wire: Wire, name: str) -> str:
    """A source table with a stream; the stream's ARN."""
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }
    described: Found = json.loads(wire.call("CreateTable", request))["TableDescription"]
    arn: str = described["LatestStreamArn"]
    return arn


def _configured(folder: Path, table: str, endpoint_url: str, stream: str, heap_mib: int) -> tuple[Path, str]:
    listen = f"127.0.0.1:{free_port()}"
    dynamodb = {"region": REGION, "endpoint_url": endpoint_url}
    written = {
        "migration": table,
        "mode": "tail",
        "source": {"table": table, "streams_endpoint_url": stream, **dynamodb},
        "target": {"kind": "dynamodb", "table": f"{table}-moved", "create_table": True, **dynamodb},
        "tail": {"jvm_heap_mib": heap_mib},
        "dead_letters": {"to": str(folder / "letters")},
        "server": {"listen": listen},
    }
    path = folder / "moveout.yaml"
    path.write_text(json.dumps(written))  # YAML is a superset
    return path, listen


@contextmanager
def _running(config: Path, folder: Path, listen: str) -> Iterator[tuple[int, Service]]:
    service = Service(config, folder / "service.log", listen, lambda _: None, lambda _: None)
    try:
        yield service.start(), service
    finally:
        service.stop()


def _started(pid: int, service: Service, shards: int, seconds_max: float) -> Mapping[str, float]:
    """Seconds from the service's start to its JVM, the first shard's process, the last one, and a proven lag.

    What was not reached within `seconds_max` is left out.
    """
    steps: dict[str, float] = {}
    began = time.monotonic()
    while "proven" not in steps:
        now = time.monotonic() - began
        if now > seconds_max:
            break
        count = Counter(footprint.kinds(pid).values())
        reached = {"jvm": count["jvm"] > 0, "first_shard": count["shard"] > 0, "all_shards": count["shard"] >= shards}
        if reached["all_shards"]:
            reached["proven"] = _is_proven(service)
        steps.update({step: round(now, 1) for step, here in reached.items() if here and step not in steps})
        time.sleep(LOOK_SECONDS)
    return steps


def _is_proven(service: Service) -> bool:
    status = service.status()
    return status is not None and status["lag"]["seconds"] is not None


def _applied(service: Service) -> int:
    status = service.status() or {}
    applied: int = status.get("tail", {}).get("applied", 0)
    return applied


def _look(pid: int, service: Service, meanwhile: Callable[[], None]) -> Found:
    """What each kind takes at the end, what it worked in between, and the greatest lag that was told."""
    before, began = footprint.of_service(pid), time.monotonic()
    with _lags(service) as lags:
        meanwhile()
    after, took = footprint.of_service(pid), time.monotonic() - began
    found: Found = {}
    for kind in footprint.KINDS:
        members = after[kind]
        worked = sum(
            one.cpu_seconds - before[kind].get(pid, footprint.Taken()).cpu_seconds for pid, one in members.items()
        )
        total = footprint.summed(members.values())
        found[kind] = {
            "processes": len(members),
            "rss_mib": round(total.rss, 1),
            "pss_mib": round(total.pss, 1),
            "pss_mib_each": round(statistics.median([one.pss for one in members.values()] or [0.0]), 1),
            "rss_mib_each": round(statistics.median([one.rss for one in members.values()] or [0.0]), 1),
            "cpu_millicores": round(worked / took * 1000),
        }
    found["sum"] = {
        "pss_mib": round(sum(found[kind]["pss_mib"] for kind in footprint.KINDS), 1),
        "cpu_millicores": sum(found[kind]["cpu_millicores"] for kind in footprint.KINDS),
    }
    return {**found, "lag_seconds_max": max(lags, default=None)}


@contextmanager
def _lags(service: Service) -> Iterator[list[float]]:
    """What is told each second."""
    told: list[float] = []
    ends = threading.Event()

    def listen() -> None:
        while not ends.wait(1):
            status = service.status()
            if status is not None and status["lag"]["seconds"] is not None:
                told.append(round(status["lag"]["seconds"], 1))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield told
    finally:
        ends.set()
        thread.join()


def _load(wire: Wire, table: str, per_second: int, seconds: float) -> None:
    """Puts at this rate, of new keys, in batches."""
    began, done = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        if done > now * per_second:
            time.sleep(LOOK_SECONDS)
            continue
        numbers = range(done, done + BATCH)
        puts = [{"PutRequest": {"Item": {"id": {"S": f"order-{n}"}, "text": {"S": "x" * ITEM_BYTES}}}} for n in numbers]
        wire.call("BatchWriteItem", {"RequestItems": {table: puts}})
        done += BATCH


def lines_of(found: Found) -> list[str]:
    """For people."""
    steps = ", ".join(f"{step} {seconds} s" for step, seconds in found["started_seconds"].items())
    lines = [f"{found['shards']} shard(s), load average {found['load_average']:.1f}: {steps}"]
    for state in ("idle", "loaded"):
        for kind in footprint.KINDS:
            row = found[state][kind]
            lines.append(
                f"  {state:<7}{kind:<8}{row['processes']:>3} x {row['pss_mib_each']:>6} MiB PSS "
                f"({row['rss_mib_each']} RSS) = {row['pss_mib']:>7} MiB, {row['cpu_millicores']:>5} m"
            )
        total = found[state]["sum"]
        lines.append(f"  {state:<7}together{total['pss_mib']:>36} MiB, {total['cpu_millicores']:>5} m")
        lines.append(f"  {state:<7}lag at most {found[state]['lag_seconds_max']} s")
    return [*lines, f"  stopped in {found['stopped_seconds']} s, {found['loaded']['records_applied']} records applied"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

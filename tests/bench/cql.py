"""Change -> CQL: the lane against the driver's usual way, a statement at a time with `execute_async` and 64 in flight.

Against a node that keeps nothing (null_cql.c), server and client on a core of their own: what the client costs. And
against a real Cassandra node, `python -m tests.bench.cql --node`: what a machine takes that both share.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster

from daemon.demo.servers.cassandra_node import CassandraNode
from sinks.attributes import without
from sinks.cassandra.lane.dial import Access, dial
from sinks.cassandra.lane.frames import OPTIONS, frame, supported
from sinks.cassandra.lane.lane import LaneTransport
from sinks.cassandra.lane.ring import Node, Ring
from sinks.cassandra.layout import DocumentLayout
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.schema import create_statement
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema, newest
from tests.bench import lines

KEYS = KeySchema(KeyAttribute("id", "S"), KeyAttribute("order", "S"))
BATCH_ROWS = 1000
USUAL_IN_FLIGHT = 64
OURS_TIMES = 5  # as many rows more than the other side: a run must not be over in a moment
WARM_UP_ROWS = 200_000  # until then a node's JIT is cold, and the figures are its own
COMPILER_MISSING = "no C compiler (cc) on this machine: the rows `changes -> CQL, null server` are left out"


class Run(NamedTuple):
    """Of one side, once."""

    rows: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds

    @property
    def cpu_per_100k(self) -> float:
        """Seconds of the client's CPU per 100,000 rows."""
        return self.cpu_seconds / self.rows * 1e5


def changes(seed: int, count: int) -> list[Change]:
    """Puts with keys of their own."""
    chance = random.Random(seed)
    # An export promises no order: the key may stand anywhere.
    items = [_shuffled(chance, lines.item(chance, number)) for number in range(count)]
    return [
        Change(Key(item["id"]["S"], item["order"]["S"]), 10**15 + number, Item(msgspec.json.encode(item)))
        for number, item in enumerate(items)
    ]


def _shuffled(chance: random.Random, item: Mapping[str, Any]) -> dict[str, Any]:
    return dict(chance.sample(list(item.items()), len(item)))


class Lane:
    """As the sink does it: newest, mutation, write."""

    def __init__(self, node: Node, options: CassandraOptions) -> None:
        self._layout = DocumentLayout(options, KEYS)
        access = Access(self._layout.statements, ConsistencyLevel.LOCAL_QUORUM, 30.0)
        self._lane = LaneTransport(lambda: Ring([node]), access)

    def write(self, given: Sequence[Change]) -> None:
        """All of them, by batches."""
        for begin in range(0, len(given), BATCH_ROWS):
            batch = newest(given[begin : begin + BATCH_ROWS])
            answers = self._lane.write([self._layout.mutation(change) for change in batch])
            if any(answers):
                raise AssertionError(f"not written: {next(filter(None, answers))}")

    def close(self) -> None:
        """Disconnect."""
        self._lane.close()


class Usual:
    """What everybody writes, from the same changes."""

    def __init__(self, node: Node, options: CassandraOptions) -> None:
        self._cluster = Cluster(
            [node.address],
            port=node.port,
            protocol_version=4,
            schema_metadata_enabled=False,
            token_metadata_enabled=False,
        )
        self._session = self._cluster.connect()
        self._session.default_consistency_level = ConsistencyLevel.LOCAL_QUORUM
        self._insert = self._session.prepare(DocumentLayout(options, KEYS).statements[0])
        self.failed: list[Any] = []

    def rows(self, given: Sequence[Change]) -> list[tuple[Any, ...]]:
        """What is bound: key, attrs, version, timestamp."""
        return [
            (
                change.key.partition,
                change.key.sort,
                without(change.item.json, KEYS.names).decode(),
                change.version,
                change.version,
            )
            for change in given
            if change.item is not None
        ]

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """All of them."""
        room = threading.Semaphore(USUAL_IN_FLIGHT)

        def refused(error: Any) -> None:
            self.failed.append(error)
            room.release()

        for row in rows:
            room.acquire()
            self._session.execute_async(self._insert, row).add_callbacks(lambda _: room.release(), refused)
        for _ in range(USUAL_IN_FLIGHT):
            room.acquire()
        if self.failed:
            raise AssertionError(f"not written: {self.failed[0]}")

    def close(self) -> None:
        """Disconnect."""
        self._cluster.shutdown()


def _timed(act: Callable[[], None], rows: int) -> Run:
    begin, cpu = time.perf_counter(), time.process_time()
    act()
    return Run(rows, time.perf_counter() - begin, time.process_time() - cpu)


def _told(node: Node) -> tuple[int, int]:
    """Rows and sum of the null server."""
    line = dial(node, Access([], ConsistencyLevel.ONE, 10.0))
    with line.socket as connection:
        connection.settimeout(10)
        connection.sendall(frame(OPTIONS, b""))
        head = connection.recv(9, 256)
        said = supported(connection.recv(int.from_bytes(head[5:]), 256))
    return int(said["NULL_ROWS"][0]), int(said["NULL_SUM"][0])


def _contest(node: Node, options: CassandraOptions, pairs: int, rows: int, seed: int, *, null: bool) -> dict[str, Any]:
    """Both sides in turns, after one run of each that does not count."""
    given = changes(seed, rows)
    with ExitStack() as stack:
        lane, usual = Lane(node, options), Usual(node, options)
        stack.callback(lane.close)
        stack.callback(usual.close)
        taken = []
        for _ in range(pairs + 1):
            marks = [_told(node)] if null else []
            ours = _timed(lambda: [lane.write(given) for _ in range(OURS_TIMES)] and None, rows * OURS_TIMES)
            marks += [_told(node)] if null else []
            other = _timed(lambda: usual.write(usual.rows(given)), rows)
            marks += [_told(node)] if null else []
            if null:
                _same(marks, rows)
            taken.append((ours, other))
    return _figures(taken[1:])


def _same(marks: Sequence[tuple[int, int]], rows: int) -> None:
    """No speed without equality: the same cells have arrived, ours so many times."""
    (before, sum_before), (between, sum_between), (after, sum_after) = marks
    ours, other = (sum_between - sum_before) % 2**64, (sum_after - sum_between) % 2**64
    if (between - before, after - between) != (rows * OURS_TIMES, rows) or ours != other * OURS_TIMES % 2**64:
        raise AssertionError(f"{between - before} and {after - between} rows have arrived, and not the same cells")


def _figures(taken: Sequence[tuple[Run, Run]]) -> dict[str, Any]:
    by_cpu = [other.cpu_per_100k / ours.cpu_per_100k for ours, other in taken]
    ratios = [ours.rate / other.rate for ours, other in taken]
    return {
        "rows_per_second": round(statistics.median(ours.rate for ours, _ in taken)),
        "cpu_seconds_per_100k": round(statistics.median(ours.cpu_per_100k for ours, _ in taken), 2),
        "other_rows_per_second": round(statistics.median(other.rate for _, other in taken)),
        "other_cpu_seconds_per_100k": round(statistics.median(other.cpu_per_100k for _, other in taken), 2),
        "cpu_ratio": round(statistics.median(by_cpu), 1),
        "cpu_range": [round(min(by_cpu), 1), round(max(by_cpu), 1)],
        "ratio": round(statistics.median(ratios), 1),
        "range": [round(min(ratios), 1), round(max(ratios), 1)],
    }


@contextmanager
def null_server() -> Iterator[Node]:
    """null_cql.c, built and running on the first core; this process on the last."""
    with tempfile.TemporaryDirectory() as folder:
        binary, source = Path(folder) / "null_cql", Path(__file__).with_name("null_cql.c")
        subprocess.run(["cc", "-O2", "-o", binary, source], check=True, timeout=60)
        cores = sorted(os.sched_getaffinity(0))
        server = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            os.sched_setaffinity(server.pid, cores[:1])
            os.sched_setaffinity(0, cores[-1:])
            assert server.stdout is not None
            yield Node("127.0.0.1", int(server.stdout.readline()))
        finally:
            os.sched_setaffinity(0, cores)
            server.communicate(timeout=10)


def _options(table: str = "bench") -> CassandraOptions:
    return CassandraOptions(contact_points=["127.0.0.1"], local_datacenter="datacenter1", keyspace="bench", table=table)


def measure(pairs: int, rows: int, seed: int = 1) -> Mapping[str, Any] | None:
    """Against the null server; None where it cannot be built."""
    if shutil.which("cc") is None:
        return None
    with null_server() as node:
        return _contest(node, _options(), pairs, rows, seed, null=True)


def lines_of(found: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """For the table of `make bench`."""
    if found is None:
        return [(COMPILER_MISSING, "", "")]
    (low, high), (few, many) = found["range"], found["cpu_range"]
    by_cpu = f"{found['cpu_ratio']:.1f}x ({few:.1f} to {many:.1f})"
    ours = f"{found['rows_per_second']:,} rows/s"
    other = f"{found['other_rows_per_second']:,} rows/s"
    return [
        ("changes -> CQL, null server, one core", ours, f"{found['ratio']:.1f}x ({low:.1f} to {high:.1f})"),
        ("  CPU per 100,000 rows", f"{found['cpu_seconds_per_100k']} s", by_cpu),
        (f"cassandra-driver execute_async, {USUAL_IN_FLIGHT} in flight", other, "1"),
        ("  CPU per 100,000 rows", f"{found['other_cpu_seconds_per_100k']} s", ""),
    ]


def measure_node(pairs: int, rows: int, warm_up: int, seed: int = 1) -> dict[str, Any]:
    """Against a real node that is started for it; every row is counted in the table at the end."""
    with tempfile.TemporaryDirectory() as folder, CassandraNode(Path(folder)) as server:
        node, options = Node(server.host, server.port), _options()
        cluster = Cluster([node.address], port=node.port, protocol_version=4)
        session = cluster.connect()
        session.execute("CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.execute(create_statement(options, KEYS))
        warm, given = Lane(node, options), changes(seed + 1, min(rows, warm_up))
        for _ in range(0, warm_up, max(1, len(given))):
            warm.write(given)
        warm.close()
        found = _contest(node, options, pairs, rows, seed, null=False)
        held = sum(1 for _ in session.execute('SELECT "id" FROM bench.bench'))
        cluster.shutdown()
    if held != rows + len(given):
        raise AssertionError(f"{held} rows are in the table, {rows + len(given)} were written")
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure and print as JSON; 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cql", description=__doc__)
    parser.add_argument("--node", action="store_true", help="a real Cassandra node; some minutes")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=10_000, help="of the driver's runs; ours have five times as many")
    parser.add_argument("--warm-up", type=int, default=WARM_UP_ROWS, help="rows before anything counts, with --node")
    asked = parser.parse_args(arguments)
    node = asked.node
    found = measure_node(asked.pairs, asked.rows, asked.warm_up) if node else measure(asked.pairs, asked.rows)
    sys.stdout.write((json.dumps(found, indent=2) if found else COMPILER_MISSING) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

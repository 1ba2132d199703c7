"""The table of metrics for deploy/metrics.md, from the code: `python -m daemon.metrics_doc > deploy/metrics.md`."""

import platform
import sys
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from daemon import __version__, metrics
from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.metrics import ProcessHealth
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import Document, Paused, Progress, Tail, Verification, document

NOW = 1_772_366_400.0  # 2026-03-01T12:00:00Z
MIB = 1 << 20
# Versions in the page would change it with every release.
VERSIONS = {f'"{__version__}"': '"1.2.3"', f'"{platform.python_version()}"': '"3.12.1"'}
HEAD = """\
# Metrics

What `http://<server.listen>/metrics` tells, as text or as OpenMetrics, whichever the `Accept` header asks for. Made by
`python -m daemon.metrics_doc > deploy/metrics.md`; a test compares. Figures of a migration are made from the control
table, so that each replica tells the same and a restart loses nothing: join them by `max by (migration, table)`. Those
without a label `migration` are the replica's own. `+Inf` is "not known", never "very much".

| metric | type | labels | meaning | for example |
|---|---|---|---|---|
"""


class Told(NamedTuple):
    """One metric, as the page shows it."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str
    example: str


class _Only(Collector):
    """One family by itself, so that its lines can be had."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def example() -> Document:
    """A document in which everything that can be told is told."""
    migration = Migration(phase=Phase.REPLICATING, epoch=3, ready_since=NOW - 60, routes=Routes(5))
    seen = Observation(
        now=NOW,
        parts_total=700,
        parts_done=700,
        items_total=59_871_000,
        items_done=59_871_000,
        part_error=None,
        applied_through=NOW - 1.4,
        lag_reason="round 17",
        trouble=None,
        applied=59_870_990,
        rejected=2,
        skipped=8,
        bytes_read=41_017_344_000,
        proven_at=NOW - 0.6,
    )
    tail = Tail(120_400, 118_200, 31, 4, 2, 0, 1, retries=7, preimages=1_180, owners={"moveout-0": 3, "moveout-1": 1})
    letters = {"open": 1, "settled": 0, "retried": 1, "waived": 0}
    verified = Verification(1, "finished", 59_871_000, 59_871_000, {"missing": 0, "extra": 0}, upper_bound=0.000005)
    slowest = [("shardId-00000001772362800000-0a1b2c3d", NOW - 1.4)]
    progress = Progress(17, 990.0, tail, letters, Paused(trims_in_seconds=82_798), verified, slowest)
    return document("orders", migration, seen, Limits(5, 60), progress, "orders")


def families() -> list[Metric]:
    """Every metric that the code declares, with samples of the example."""
    health = ProcessHealth(leader=True, jvm_restarts=1, worker_restarts=0, observed_at=NOW - 0.4)
    memory = {"service": 96 * MIB, "kcl": 310 * MIB, "shard": 272 * MIB}
    return list(metrics.registry(example, lambda: health, lambda: memory, NOW - 86_400).collect())


def told(family: Metric) -> Told:
    """As the page shows it; the example is the first line that is not zero, if there is one."""
    registry = CollectorRegistry()
    registry.register(_Only(family))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    line = next((line for line in lines if not line.endswith(" 0.0")), lines[0])
    for ours, shown in VERSIONS.items():
        line = line.replace(ours, shown)
    name = family.samples[0].name
    return Told(name, family.type, tuple(family.samples[0].labels), family.documentation, line)


def page() -> str:
    """The whole of deploy/metrics.md."""
    return HEAD + "".join(_row(told(family)) for family in sorted(families(), key=lambda family: family.name))


def _row(one: Told) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.type} | {labels} | {one.meaning} | `{one.example}` |\n"


if __name__ == "__main__":
    sys.stdout.write(page())

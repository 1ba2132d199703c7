"""The Prometheus metrics, all declared here, made from the published document at each scrape.

They come from the control table and not from counters in memory, so every replica tells the same and a
restart loses nothing.
"""

import math
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon import __version__
from daemon.memory import resident_bytes
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import Document, Verification, epoch_seconds


class ProcessHealth(NamedTuple):
    """What only this replica knows."""

    leader: bool
    jvm_restarts: int
    worker_restarts: int
    observed_at: float  # epoch seconds of the last good look at the control table; 0 before the first
    verify_restarts: int = 0


class _Gauge(NamedTuple):
    name: str
    help: str
    value: Callable[[Document], float]


class _Counter(NamedTuple):
    name: str
    help: str
    value: Callable[[Document], float]


def _epoch(iso: str | None) -> float:
    return epoch_seconds(iso) if iso else 0.0


def _or_infinite(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


GAUGES = (
    _Gauge(
        "moveout_lag_seconds",
        "Proven lag: every write older than this is durable in the target. +Inf while nothing is proven.",
        lambda d: _or_infinite(d.lag.seconds),
    ),
    _Gauge(
        "moveout_applied_through_timestamp_seconds",
        "Every write acknowledged before this instant is durable in the target. 0 while nothing is proven.",
        lambda d: _epoch(d.lag.applied_through),
    ),
    _Gauge(
        "moveout_lag_proof_age_seconds",
        "Since the last proof was concluded, as of the last publication. +Inf while nothing is proven.",
        lambda d: _or_infinite(d.lag.proof_age_seconds),
    ),
    _Gauge(
        "moveout_lag_is_proven",
        "1 when moveout_lag_seconds rests on a proof, 0 when it is only likely (tail.proof: quiet, or seal before it).",
        lambda d: float(d.lag.proof in ("heartbeat", "seal")),
    ),
    _Gauge(
        "moveout_published_timestamp_seconds",
        "When the replica that leads concluded what is told here. Old: nobody leads.",
        lambda d: _epoch(d.published_at),
    ),
    _Gauge("moveout_epoch", "Rises with each committed change of route.", lambda d: d.epoch),
    _Gauge(
        "moveout_reads_target_percent", "So many percent of readers read the target.", lambda d: d.routes.reads_percent
    ),
    _Gauge(
        "moveout_backfill_parts",
        "Parts of the backfill: files, or segments of the table.",
        lambda d: d.backfill.parts_total,
    ),
    _Gauge("moveout_backfill_parts_done", "Parts loaded and accounted for.", lambda d: d.backfill.parts_done),
    _Gauge(
        "moveout_backfill_items", "Items by the export's manifest, or an estimate.", lambda d: d.backfill.items_total
    ),
    _Gauge("moveout_backfill_items_done", "Items loaded.", lambda d: d.backfill.items_done),
    _Gauge("moveout_backfill_items_applied", "Of the items loaded, taken by the target.", lambda d: d.backfill.applied),
    _Gauge(
        "moveout_backfill_items_rejected", "Of the items loaded, refused by the target.", lambda d: d.backfill.rejected
    ),
    _Gauge(
        "moveout_backfill_items_skipped",
        "Of the items loaded, heartbeats of our own, left out.",
        lambda d: d.backfill.skipped,
    ),
    _Gauge("moveout_backfill_items_per_second", "Loading, over the last 15 s.", lambda d: d.backfill.items_per_second),
    _Gauge(
        "moveout_backfill_eta_seconds",
        "Until all is loaded, at this rate. +Inf while that is not known, or nothing moves.",
        lambda d: _or_infinite(d.backfill.eta_seconds),
    ),
    _Gauge("moveout_backfill_read_bytes", "Bytes read, unpacked.", lambda d: d.backfill.bytes_read),
    _Gauge(
        "moveout_stream_trims_in_seconds",
        "Until the oldest record that may not be applied yet counts as trimmed (23 hours). +Inf when nothing waits.",
        lambda d: _or_infinite(d.paused.trims_in_seconds),
    ),
    _Gauge(
        "moveout_stream_seconds_to_trim",
        "The same as moveout_stream_trims_in_seconds.",
        lambda d: _or_infinite(d.paused.trims_in_seconds),
    ),
    _Gauge("moveout_unowned_shards", "The same as moveout_shards_unowned.", lambda d: d.tail.shards_unowned),
    _Gauge("moveout_shards_open", "Shards that records arrive in.", lambda d: d.tail.shards_open),
    _Gauge("moveout_shards_unowned", "Shards that nobody reads yet.", lambda d: d.tail.shards_unowned),
)
COUNTERS = (
    _Counter("moveout_stream_records", "Stream records applied, replays counted again.", lambda d: d.tail.records),
    _Counter("moveout_changes_applied", "Changes of the stream handed to the target.", lambda d: d.tail.applied),
    _Counter(
        "moveout_ttl_deletes", "Deletions by the source table's TTL, replays counted again.", lambda d: d.tail.expired
    ),
    _Counter(
        "moveout_target_retries",
        "Attempts of the tail at the target that failed, and were made again.",
        lambda d: d.tail.retries,
    ),
    _Counter(
        "moveout_stray_writes",
        "Writes that came to the source after the writers' switch: kept, not applied.",
        lambda d: d.tail.strays,
    ),
    _Counter(
        "moveout_preimages_compared",
        "Live changes whose old image was held against the target's row.",
        lambda d: d.tail.preimages,
    ),
    _Counter(
        "moveout_preimages_differing",
        "Live changes that met another row than their old image. They have replaced it since.",
        lambda d: d.tail.preimages_wrong,
    ),
)

VERIFICATION: tuple[tuple[str, str, Callable[[Verification], float]], ...] = (
    ("moveout_verification_compared", "Items compared in the last run.", lambda v: v.compared),
    ("moveout_verification_open", "Candidates that live writes have kept from being settled.", lambda v: v.open),
    (
        "moveout_verification_upper_bound",
        "At most this share of items differs, at 95 %. 1 while nothing is known.",
        lambda v: 1.0 if v.upper_bound is None else v.upper_bound,
    ),
    ("moveout_verification_running", "1 while a run compares.", lambda v: float(v.state == "running")),
)


class MigrationMetrics(Collector):
    """Collects from the last document and from this replica's own health."""

    def __init__(
        self,
        document: Callable[[], Document | None],
        health: Callable[[], ProcessHealth],
        memory: Callable[[], Mapping[str, int]],
        started_at: float,
    ) -> None:
        self._document = document
        self._health = health
        self._memory = memory
        self._started_at = started_at

    def collect(self) -> Iterable[Metric]:
        """What a scrape gets."""
        versions = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("moveout_build", "Version of the service, and of what it runs on.", versions)
        yield from self._replica(self._health())
        document = self._document()
        if document is not None:
            ready = GaugeMetricFamily(
                "moveout_migration_ready", "1 when readers of every table may switch.", labels=["migration"]
            )
            ready.add_metric([document.migration], float(document.ready.readers))
            yield ready
            tables = document.tables or (document,)
            yield from _tables(document.migration, tables)
            yield from _signals(document.migration, tables)
            yield from _verifications(document.migration, tables)

    def _replica(self, health: ProcessHealth) -> Iterable[Metric]:
        yield GaugeMetricFamily("moveout_leader", "1 on the replica that decides.", float(health.leader))
        restarts = CounterMetricFamily(
            "moveout_process_restarts", "Child processes started again by this replica.", labels=["process"]
        )
        restarts.add_metric(["kcl"], health.jvm_restarts)
        restarts.add_metric(["backfill"], health.worker_restarts)
        restarts.add_metric(["verify"], health.verify_restarts)
        yield restarts
        yield GaugeMetricFamily(
            "moveout_observed_timestamp_seconds",
            "When this replica last looked at the control table. Old: every other figure is old as well.",
            health.observed_at,
        )
        yield GaugeMetricFamily(
            "moveout_start_timestamp_seconds", "When this replica's service was started.", self._started_at
        )
        memory = GaugeMetricFamily(
            "moveout_process_resident_memory_bytes",
            "Resident memory of this replica's processes, summed by kind. What they share is counted in each.",
            labels=["process"],
        )
        for process, size in self._memory().items():
            memory.add_metric([process], size)
        yield memory


def _tables(migration: str, tables: Sequence[Document]) -> Iterable[Metric]:
    """Every metric of every table."""
    labels = ["migration", "table"]
    for gauge in GAUGES:
        family = GaugeMetricFamily(gauge.name, gauge.help, labels=labels)
        for table in tables:
            family.add_metric([migration, table.table], gauge.value(table))
        yield family
    for counter in COUNTERS:
        total = CounterMetricFamily(counter.name, counter.help, labels=labels)
        for table in tables:
            total.add_metric([migration, table.table], counter.value(table))
        yield total
    phases = GaugeMetricFamily("moveout_phase", "1 for the phase that holds.", labels=[*labels, "phase"])
    letters = GaugeMetricFamily(
        "moveout_dead_letters",
        "Changes that the target refused, by what became of them. Any that is open keeps readers from switching.",
        labels=[*labels, "state"],
    )
    conditions = GaugeMetricFamily("moveout_condition", "1 while the condition holds.", labels=[*labels, "condition"])
    paused = GaugeMetricFamily(
        "moveout_paused",
        "1 while a person has paused it (`moveout pause`); tail-ordered: while the tail waits for the backfill.",
        labels=[*labels, "part"],
    )
    for table in tables:
        for phase in Phase:
            phases.add_metric([migration, table.table, phase.value], float(table.phase is phase))
        for state, count in msgspec.structs.asdict(table.dead_letters).items():
            letters.add_metric([migration, table.table, state], float(count))
        for condition in table.conditions:
            conditions.add_metric([migration, table.table, condition.type], float(condition.status))
        for part, holds in _paused(table):
            paused.add_metric([migration, table.table, part], float(holds))
    yield from (phases, letters, conditions, paused, _slowest(migration, tables), _owners(migration, tables))


def _paused(table: Document) -> Iterable[tuple[str, bool]]:
    halted = table.paused
    return (("backfill", halted.backfill), ("tail", halted.tail), ("tail-ordered", halted.tail_waits))


def _slowest(migration: str, tables: Sequence[Document]) -> Metric:
    """Bounded: a stream of a thousand shards tells of ten."""
    shards = GaugeMetricFamily(
        "moveout_shard_lag_seconds",
        "Proven lag of the shards that are furthest behind, ten at most. +Inf while nothing is known of one.",
        labels=["migration", "table", "shard"],
    )
    for table in tables:
        for slow in table.lag.slowest:
            shards.add_metric([migration, table.table, slow.shard], _or_infinite(slow.seconds))
    return shards


def _owners(migration: str, tables: Sequence[Document]) -> Metric:
    """Bounded by the replicas that there are."""
    owners = GaugeMetricFamily(
        "moveout_shards_owned",
        "Shards that are not read to their end, by the host that claimed them last.",
        labels=["migration", "table", "owner"],
    )
    for table in tables:
        for host, count in table.tail.owners.items():
            owners.add_metric([migration, table.table, host], count)
    return owners


def _signals(migration: str, tables: Sequence[Document]) -> Iterable[Metric]:
    """Who may switch, and where clients are told to go."""
    labels = ["migration", "table", "kind"]
    ready = GaugeMetricFamily("moveout_ready", "1 while these may switch.", labels=labels)
    route = GaugeMetricFamily(
        "moveout_route",
        "1 for each side that clients are told to use: both while readers are split.",
        labels=[*labels, "to"],
    )
    for table in tables:
        for kind, may in (("readers", table.ready.readers), ("writers", table.ready.writers)):
            ready.add_metric([migration, table.table, kind], float(may))
        for kind, to, used in _routes(table.routes):
            route.add_metric([migration, table.table, kind, to], float(used))
    yield from (ready, route)


def _routes(routes: Routes) -> Iterable[tuple[str, str, bool]]:
    yield ("reads", "source", routes.reads_percent < 100)  # noqa: PLR2004
    yield ("reads", "target", routes.reads_percent > 0)
    for side in ("source", "target"):
        yield ("writes", side, routes.writes == side and not routes.writes_fenced)
    yield ("writes", "fenced", routes.writes_fenced)


def _verifications(migration: str, tables: Sequence[Document]) -> Iterable[Metric]:
    """Nothing at all of a table of which none was begun."""
    labels = ["migration", "table"]
    begun = [(table.table, table.verification) for table in tables if table.verification is not None]
    for name, text, value in VERIFICATION:
        family = GaugeMetricFamily(name, text, labels=labels)
        for table, found in begun:
            family.add_metric([migration, table], value(found))
        yield family
    differences = GaugeMetricFamily(
        "moveout_verification_differences",
        "Differences between source and target that were found.",
        labels=[*labels, "kind"],
    )
    for table, found in begun:
        for kind, count in found.differences.items():
            differences.add_metric([migration, table, kind], count)
    yield differences


def registry(
    document: Callable[[], Document | None],
    health: Callable[[], ProcessHealth],
    memory: Callable[[], Mapping[str, int]] = resident_bytes,
    started_at: float | None = None,
) -> CollectorRegistry:
    """A registry of our own, so that tests can have many. `started_at`: epoch seconds; None is now."""
    made = CollectorRegistry()
    made.register(MigrationMetrics(document, health, memory, time.time() if started_at is None else started_at))
    return made

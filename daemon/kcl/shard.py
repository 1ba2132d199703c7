"""The process of one shard, which the JVM starts through daemon/lean.py.

Its stdin and stdout are the KCL's protocol, so the real stdout is moved aside before anything can print.
"""

import os
import secrets
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog
from amazon_kclpy.kcl import KCLProcess

from daemon import empties, log, stray
from daemon.app import Parts, parts
from daemon.completion import refuse_if_begun
from daemon.config import Config
from daemon.control import Conflict, Control, Migration, ShardState, shards_of
from daemon.freeze import Freeze
from daemon.kcl.processor import TOUCH_SECONDS, Claimed, OrDie, ShardProcessor
from daemon.lineage import StateMissing, inherited, resumed
from daemon.ordered import Hold, is_ordered
from daemon.retry import Retrying
from daemon.source import shards
from daemon.source.stream import record_reader
from daemon.verify import preimage
from daemon.verify.watching import ShardWatch
from sinks.cassandra.options import CassandraOptions
from sinks.sink import Readable

PIPE_BYTES = 1 << 20  # a page is 2-3 MB of JSON: the default 8 KiB buffer costs more than decoding it


def main(config: Config, generation: int) -> int:
    """Speak the KCL's protocol until stdin ends; 0."""
    protocol = _protocol_out()
    # An orderly stop comes through the KCL; a signal to the whole group must not cut a batch short.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    names = {"migration": config.migration, "table": config.source.table}
    log.configure(config.log.format, config.log.level, **names, role="shard")
    requests = open(0, encoding="utf-8", buffering=PIPE_BYTES, newline="\n")  # noqa: SIM115  lives as long as we do
    KCLProcess(OrDie(LazyProcessor(parts(config), generation)), requests, protocol, sys.stderr).run()
    return 0


def _protocol_out() -> Any:
    """The real stdout; what is printed from now on goes to stderr."""
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return protocol


class LazyProcessor:
    """Connects when the shard begins, inside OrDie, so that a failure to connect ends the process as well."""

    version = 3

    def __init__(self, known: Parts, generation: int) -> None:
        self._parts = known
        self._generation = generation
        self._inner: Any = None

    def initialize(self, start: Any) -> None:
        """Build the processor, open the sink, begin."""
        self._inner = processor(self._parts, self._generation, start.shard_id)
        self._inner.initialize(start)

    def trouble(self, message: str | None) -> None:
        """Written down in the shard's record, once there is one."""
        if self._inner is not None:
            self._inner.trouble(message)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the processor's."""
        return getattr(self._inner, name)


def processor(known: Parts, generation: int, shard: str) -> ShardProcessor:
    """The processor of one shard, with a sink that waits for its target. The sink is opened when the shard begins."""
    parent = os.getppid()

    def trouble(message: str | None) -> None:
        made.trouble(message)

    def wanted() -> bool:
        # The JVM may be gone while the target is away: then nobody waits for this batch any more.
        return os.getppid() == parent

    waits, orders = Hold(known, generation), Freeze(known, generation)

    def may_apply() -> bool:
        # Whoever waits for its target through a switch of the writers must not write behind it.
        return wanted() and not orders().stands_still

    sampled = preimage.sampler(known.config.verify.preimage_percent)
    sink = Retrying(known.sink(), on_trouble=trouble, wanted=may_apply, sleep=known.clock.sleep)
    assertion = _assertion(known, generation, sink) if sampled else None
    made = ShardProcessor(
        claim=lambda shard, sequence: claim(known, generation, shard, sequence),
        open_sink=sink.open,
        read=record_reader(known.keys, _mark(known, generation), sampled if assertion else None),
        apply=sink.apply,
        keep=lambda rejections: known.dead_letters.keep(rejections, f"shard {shard}"),
        checkpoint_seconds=known.config.tail.checkpoint_seconds,
        clock=known.clock,
        paused=lambda: known.settings.now().tail_paused or waits(),
        wanted=wanted,
        touch_seconds=TOUCH_SECONDS if known.config.tail.proof == "heartbeat" else empties.TOUCH_SECONDS,
        orders=orders,
        keep_stray=partial(stray.keep, known),
        watch=ShardWatch(known.control, known.clock),
        assertion=assertion,
    )
    return made


def _mark(known: Parts, generation: int) -> str:
    """Of the heartbeats that count. Another generation is in force: none does, and nobody asks any more."""
    found = known.control.get("migration", Migration)
    return found[0].mark if found is not None and found[0].generation == generation else "of no generation in force"


def _assertion(known: Parts, generation: int, sink: Retrying) -> preimage.Preimages | None:
    """None where the target cannot be read, or keeps no versions: then no row can be told from a replay's."""
    inner = sink.inner
    if not isinstance(inner, Readable) or is_ordered(known.config):
        return None
    facts = preimage.ControlFacts(
        known.control, known.keys, generation, known.config.backfill.clock_margin_seconds, known.clock
    )
    ttl = known.config.target.ttl if isinstance(known.config.target, CassandraOptions) else None
    expires = ttl.attribute if ttl is not None and ttl.as_ == "ttl" else None
    return preimage.Preimages(lambda keys: sink.insist(lambda: inner.read(keys)), facts, expires, known.clock)


def claim(known: Parts, generation: int, shard: str, sequence: str) -> Claimed:
    """The shard's state as of the KCL's checkpoint, durably ours. Raises StateMissing."""
    refuse_if_begun(known.control)  # an aborted one too: nothing may be written, and no table made
    record = shards_of(generation) + shard
    # The token makes every claim another owner: a process id alone comes again, in the same pod even soon.
    owner = f"{os.uname().nodename}/{os.getpid()}/{secrets.token_hex(4)}"
    while True:
        found = known.control.get(record, ShardState)
        state, revision = found if found is not None else (_first(known, generation, shard), 0)
        claimed = Claimed(state, revision, _put(known.control, record), resumed(shard, state, sequence), known.clock)
        try:
            claimed.claim(owner)
        except Conflict:
            structlog.get_logger().info("shard_claim_repeated", shard=shard)
            continue
        return claimed


def _put(control: Control, record: str) -> Callable[[ShardState, int], int]:
    """Writes the record by compare-and-set, and knows its own writes. Raises Conflict for another's."""

    def put(state: ShardState, revision: int) -> int:
        try:
            return control.put(record, state, revision)
        except Conflict:
            # A write whose answer was lost is sent again by the client, and finds itself. Ours is known by its owner
            # and its time; to take it for another's would end this process, and with it the JVM.
            found = control.get(record, ShardState)
            if found is not None and _same(found[0], state) and found[1] == revision + 1:
                return revision + 1
            raise

    return put


def _same(found: ShardState, wrote: ShardState) -> bool:
    return msgspec.json.encode(found) == msgspec.json.encode(wrote)


def _first(known: Parts, generation: int, shard: str) -> ShardState:
    """The state of a shard that began after the anchor."""
    migration = known.control.get("migration", Migration)
    if migration is None:
        raise StateMissing(f"shard {shard} started, but migration {known.config.name!r} was never anchored")
    if migration[0].generation != generation:
        raise StateMissing(f"shard {shard} is of generation {generation}, which a resync has put an end to")
    stream = shards.describe(known.streams, migration[0].stream_arn)
    listed = stream.shards.get(shard, shards.Shard(shard, None, closed=False))
    parent = known.control.get(shards_of(generation) + listed.parent, ShardState) if listed.parent else None
    return inherited(listed, parent[0] if parent else None)

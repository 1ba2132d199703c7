"""The process of one shard, started by the JVM: `python -m daemon.kcl.shard CONFIG`.

Its stdin and stdout are the KCL's protocol, so the real stdout is moved aside before anything can print.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import structlog
from amazon_kclpy.kcl import KCLProcess

from daemon import log
from daemon.app import Parts, parts
from daemon.config import load
from daemon.control import Conflict, Migration, ShardState
from daemon.kcl.processor import Claimed, OrDie, ShardProcessor
from daemon.lineage import StateMissing, inherited, resumed
from daemon.prove import SHARDS
from daemon.retry import Retrying
from daemon.source import shards
from daemon.source.stream import record_reader

PIPE_BYTES = 1 << 20  # a page is 2-3 MB of JSON: the default 8 KiB buffer costs more than decoding it


def main(config_path: Path) -> None:
    """Speak the KCL's protocol until stdin ends."""
    protocol = _protocol_out()
    # An orderly stop comes through the KCL; a signal to the whole group must not cut a batch short.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config = load(config_path)
    log.configure(config.log.format, config.log.level, migration=config.migration, role="shard")
    requests = open(0, encoding="utf-8", buffering=PIPE_BYTES, newline="\n")  # noqa: SIM115  lives as long as we do
    KCLProcess(OrDie(LazyProcessor(parts(config))), requests, protocol, sys.stderr).run()


def _protocol_out() -> Any:
    """The real stdout; what is printed from now on goes to stderr."""
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return protocol


class LazyProcessor:
    """Connects when the shard begins, inside OrDie, so that a failure to connect ends the process as well."""

    version = 3

    def __init__(self, known: Parts) -> None:
        self._parts = known
        self._inner: Any = None

    def initialize(self, start: Any) -> None:
        """Build the processor, open the sink, begin."""
        self._inner = _processor(self._parts)
        self._inner.initialize(start)

    def trouble(self, message: str | None) -> None:
        """Written down in the shard's record, once there is one."""
        if self._inner is not None:
            self._inner.trouble(message)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the processor's."""
        return getattr(self._inner, name)


def _processor(known: Parts) -> ShardProcessor:
    parent = os.getppid()

    def trouble(message: str | None) -> None:
        processor.trouble(message)

    # The JVM may be gone while the target is away: then nobody waits for this batch any more.
    sink = Retrying(known.sink(), on_trouble=trouble, wanted=lambda: os.getppid() == parent)
    processor = ShardProcessor(
        claim=lambda shard, sequence: claim(known, shard, sequence),
        open_sink=sink.open,
        read=record_reader(known.keys),
        apply=sink.apply,
        checkpoint_seconds=known.config.tail.checkpoint_seconds,
    )
    return processor


def claim(known: Parts, shard: str, sequence: str) -> Claimed:
    """The shard's state as of the KCL's checkpoint, durably ours. Raises StateMissing."""
    record = SHARDS + shard

    def put(state: ShardState, revision: int) -> int:
        try:
            return known.control.put(record, state, revision)
        except Conflict:
            # A write whose answer was lost is sent again by the client, and finds itself. Ours is known by its owner
            # and its time; to take it for another's would end this process, and with it the JVM.
            if _body(known.control.get(record, ShardState)) == (msgspec.json.encode(state), revision + 1):
                return revision + 1
            raise

    while True:
        found = known.control.get(record, ShardState)
        state, revision = found if found is not None else (_first(known, shard), 0)
        claimed = Claimed(state, revision, put)
        try:
            claimed.claim(resumed(shard, state, sequence), f"{os.uname().nodename}/{os.getpid()}")
        except Conflict:
            structlog.get_logger().info("shard_claim_repeated", shard=shard)
            continue
        return claimed


def _body(found: tuple[ShardState, int] | None) -> tuple[bytes, int] | None:
    return None if found is None else (msgspec.json.encode(found[0]), found[1])


def _first(known: Parts, shard: str) -> ShardState:
    """The state of a shard that began after the anchor."""
    migration = known.control.get("migration", Migration)
    if migration is None:
        raise StateMissing(f"shard {shard} started, but migration {known.config.migration!r} was never anchored")
    stream = shards.describe(known.streams, migration[0].stream_arn)
    listed = stream.shards.get(shard, shards.Shard(shard, None, closed=False))
    parent = known.control.get(SHARDS + listed.parent, ShardState) if listed.parent else None
    return inherited(listed, parent[0] if parent else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

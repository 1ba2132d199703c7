"""A shard's process as the JVM starts it, with the real amazon_kclpy loop, and with fakes behind our processor.

Arguments: a folder for what it did, and a word for what goes wrong.
"""

import json
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from amazon_kclpy.kcl import KCLProcess
from fakes import MemoryControl, no_letters

from daemon.control import ShardState
from daemon.freeze import DETECT, GO_ON, Orders
from daemon.kcl.processor import Claimed, OrDie, ShardProcessor
from daemon.kcl.shard import _protocol_out
from daemon.source.stream import record_reader
from daemon.verify.preimage import Load, Preimages
from daemon.verify.rules import hash_of
from daemon.verify.watching import NOT_WATCHED, WATCH, WATCHED, Head, ShardWatch, Watched
from sinks.change import Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

FOLDER, FAULT = Path(sys.argv[1]), sys.argv[2]
STEPS = (FOLDER / "steps.jsonl").open("a", buffering=1)


def did(step, **details):
    STEPS.write(json.dumps({"step": step, **details}) + "\n")


class Sink(MemorySink):
    def apply(self, changes):
        if FAULT == "sink-raises":
            raise RuntimeError("the target database is on fire")
        if FAULT == "prints":
            print('{"action": "status", "responseFor": "processRecords"}')
        did("applied", keys=[change.key.partition for change in changes])
        return super().apply(changes)


def orders():
    """What the test has written beside us."""
    told = FOLDER / "orders"
    return {"": GO_ON, "freeze": Orders(hold=True, acknowledge=7), "detect": DETECT}[
        told.read_text() if told.exists() else ""
    ]


def keep_stray(shard, event, _json):
    did("stray", sequence=event.sequence, shard=shard)


def claim(shard, _):
    control = MemoryControl()

    def put(state, revision):
        did(
            "durable",
            positions=[p.sequence for p in state.positions],
            ended=state.ended,
            trouble=state.trouble,
            frozen=state.frozen_epoch,
            strays=state.strays,
            watch=state.watch,
            touched=len(state.touched),
            compared=[state.preimages, state.preimages_wrong],
        )
        return control.put(shard, state, revision)

    claimed = Claimed(ShardState(anchor=0), 0, put, version=0)
    claimed.claim("test")
    return claimed


def watch():
    """A watch of the key `a`, which began before this process."""
    control = MemoryControl()
    control.put(WATCHED, Watched("w1", [hash_of(Key("a"))]), 0)
    control.put(WATCH, Head("w1"), 0)
    return ShardWatch(control)


class Facts:
    """A backfill that is long over, and no dead letter."""

    load = staticmethod(lambda: Load(version=0, over_since=0))
    refused = staticmethod(set)
    text = staticmethod(str)
    keep = staticmethod(lambda key, named, _: did("differs", key=key.partition, kind=named.kind))


def main():
    protocol = _protocol_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sink, asserted = Sink(), FAULT == "asserted"
    processor = ShardProcessor(
        claim=claim,
        open_sink=lambda: None,
        read=record_reader(KeySchema(KeyAttribute("id", "S")), wants_before=(lambda _: True) if asserted else None),
        apply=sink.apply,
        keep=no_letters,
        checkpoint_seconds=0,
        orders=orders,
        keep_stray=keep_stray,
        watch=watch() if FAULT == "watched" else NOT_WATCHED,
        assertion=Preimages(sink.read, Facts()) if asserted else None,
    )
    guarded = processor if FAULT == "sink-raises" and sys.argv[3:] == ["without-or-die"] else OrDie(processor)
    KCLProcess(guarded, sys.stdin, protocol, sys.stderr).run()
    did("ended")


main()

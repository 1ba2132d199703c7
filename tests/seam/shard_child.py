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
from sinks.change import KeyAttribute, KeySchema
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
        )
        return control.put(shard, state, revision)

    claimed = Claimed(ShardState(anchor=0), 0, put, version=0)
    claimed.claim("test")
    return claimed


def main():
    protocol = _protocol_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    processor = ShardProcessor(
        claim=claim,
        open_sink=lambda: None,
        read=record_reader(KeySchema(KeyAttribute("id", "S"))),
        apply=Sink().apply,
        keep=no_letters,
        checkpoint_seconds=0,
        orders=orders,
        keep_stray=keep_stray,
    )
    guarded = processor if FAULT == "sink-raises" and sys.argv[3:] == ["without-or-die"] else OrDie(processor)
    KCLProcess(guarded, sys.stdin, protocol, sys.stderr).run()
    did("ended")


main()

"""The child of the launcher's tests: writes down what it is told, and checkpoints every page."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from amazon_kclpy import kcl


class Probe:
    version = 3

    def __init__(self, path, start_seconds):
        self._out = path.open("a", buffering=1)
        self._shard = None
        self._start_seconds = start_seconds  # as long as a target is away

    def _say(self, **event):
        self._out.write(json.dumps({**event, "shard": self._shard, "pid": os.getpid()}) + "\n")

    def initialize(self, start):
        self._shard = start.shard_id
        self._say(event="starts")
        time.sleep(self._start_seconds)
        self._say(event="initialized", after=start.sequence_number)

    def process_records(self, page):
        for record in page.records:
            image = json.loads(record.binary_data)["dynamodb"]["NewImage"]
            self._say(event="record", n=int(image["n"]["N"]))
        if page.records:
            page.checkpointer.checkpoint(page.records[-1].sequence_number)

    def shard_ended(self, end):
        end.checkpointer.checkpoint()
        self._say(event="shard_ended")

    def lease_lost(self, _):
        pass

    def shutdown_requested(self, request):
        request.checkpointer.checkpoint()
        self._say(event="shutdown_checkpointed")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kcl.KCLProcess(Probe(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0)).run()

"""The writers' switch of a source that nothing may be written to: its stream is sealed, opened again, sealed for good.

With the real KCL, which follows a stream that is disabled under it, and then the one that begins behind it.
"""

import subprocess
import sys
import time

import boto3
import pytest
from e2e.watched import Watched, ready

from daemon.control import Control, Migration
from daemon.demo.configuration import SOURCE_TABLE
from daemon.demo.dataset import PARTITION, SORT
from daemon.demo.servers.process import free_port
from daemon.demo.stage import Stage
from daemon.seal import SealStep, recorded

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]
SECONDS_MAX = 240
# Before the seal nothing is proven: whoever takes this proof says that what is likely is enough for readers.
SEAL = {
    "  heartbeat_seconds: 1 ": "  proof: seal\n  heartbeat_seconds: 1 ",
    "  max_lag_seconds: 5\n": "  max_lag_seconds: 5\n  allow_unproven: true\n",
}


class Sealed:
    """A move with `tail.proof: seal`, and what a person does with it."""

    def __init__(self, stage, folder):
        self.client = boto3.client("dynamodb", endpoint_url=stage.wire.endpoint_url, region_name="us-east-1")
        self.control = Control(self.client, "moveout-control", "demo")
        listen = f"127.0.0.1:{free_port()}"
        self.config = stage.configure(stage.export(), listen)
        text = self.config.read_text()
        for given, taken in SEAL.items():
            assert given in text
            text = text.replace(given, taken)
        self.config.write_text(text)
        self.service = Watched(self.config, listen, folder / "service.log")

    def command(self, *words):
        command = [sys.executable, "-m", "daemon.cli", *words, "--config", str(self.config)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def done(self, process, code):
        told = process.communicate(timeout=SECONDS_MAX)[0]
        assert process.returncode == code, told
        return told

    def migration(self):
        return self.control.get("migration", Migration)[0]

    def wait_seal(self, *steps):
        end = time.monotonic() + SECONDS_MAX
        while (state := recorded(self.control)) is None or state.step not in steps:
            assert time.monotonic() < end, state
            time.sleep(0.2)
        return state

    def put(self, name):
        self.client.put_item(TableName=SOURCE_TABLE, Item={PARTITION: {"S": name}, SORT: {"S": "1"}})

    def enabled(self):
        found = self.client.describe_table(TableName=SOURCE_TABLE)["Table"].get("StreamSpecification", {})
        return found.get("StreamEnabled", False)


def test_a_sealed_switch_can_be_undone_without_losing_a_write_and_then_be_made(tmp_path):
    with Stage(tmp_path, "dynamodb") as stage:
        stage.open()
        stage.load(1, 300, lambda _: None)
        stage.wait_for_servers()
        stage.start_application(1, 300)
        time.sleep(4)
        move = Sealed(stage, tmp_path)
        try:
            move.service.wait(lambda document: document["tail"]["applied"] > 0)
            stage.stop_application()  # while it writes, nothing can be said
            move.service.wait(ready, SECONDS_MAX)
            move.done(move.command("cutover", "readers", "--percent", "100"), 0)

            switch = move.command("cutover", "writers", "--no-reverse", "--timeout", "5m")
            move.wait_seal(SealStep.DRAINING, SealStep.SEALED)
            assert not move.enabled()
            move.done(move.command("cutover", "cancel"), 0)
            while move.migration().routes.writes_fenced:
                time.sleep(0.1)
            assert move.enabled(), "the writers were let in before the stream was open again"
            move.put("written as soon as the fence had fallen")
            assert "enabled again before the fence is lifted" in move.done(switch, 4)
            move.wait_seal(SealStep.OPEN)
            assert move.migration().generation == 2

            again = move.service.wait(lambda document: ready(document) and document["lag"]["seconds"] < 30, SECONDS_MAX)
            assert stage.compare().differences == 0
            told = move.done(move.command("cutover", "writers", "--no-reverse", "--timeout", "5m"), 0)
            assert "the stream is sealed, and all that was in it is applied" in told
            assert "the writers have switched to the target" in told
            assert not move.enabled()
            assert move.service.wait(lambda document: document["phase"] == "writers-switched")["epoch"] > again["epoch"]
        finally:
            move.service.process.terminate()
            move.service.process.wait(60)

"""What the target refuses, and what the stream loses: told, kept, healed, with a live application and real parts."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime

import boto3
import pytest
from e2e.watched import Watched, ready

from daemon.demo.configuration import SOURCE_TABLE
from daemon.demo.incremental_export import Write, compacted, write_incremental_export
from daemon.demo.servers.process import free_port
from daemon.demo.stage import BUCKET, PREFIX, Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(800)]
POISON = {"customer": {"S": "poison"}, "order": {"N": "1"}}
# The name that the target hides versions under: an item that has it itself cannot be stored.
TAKEN = {"moveout:version": {"N": "1"}}


class Move:
    """A service over a stage, and the commands that a user has."""

    def __init__(self, stage, config, listen):
        self.config = config
        self.service = Watched(config, listen, stage.folder / "service.log")
        self.client = boto3.client("dynamodb", endpoint_url=stage.wire.endpoint_url, region_name="us-east-1")

    def command(self, *words):
        command = [sys.executable, "-m", "daemon.cli", *words, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ, check=False)

    def key(self, name):
        """A key of the source table that the application never uses."""
        table = self.client.describe_table(TableName=SOURCE_TABLE)["Table"]
        types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
        made = {"S": {"S": name}, "N": {"N": "77777"}, "B": {"B": name.encode()}}
        return {k["AttributeName"]: made[types[k["AttributeName"]]] for k in table["KeySchema"]}

    def put(self, name, **attributes):
        self.client.put_item(TableName=SOURCE_TABLE, Item={**self.key(name), **attributes})

    def window(self, history, begin, end):
        """An incremental export of these writes; its manifest's URL."""
        records = compacted(history, int(begin * 1e6), int(end * 1e6))
        arn = self.client.describe_table(TableName=SOURCE_TABLE)["Table"]["TableArn"]
        s3 = boto3.client("s3", endpoint_url=self.stage._s3.result().endpoint_url, region_name="us-east-1")
        return write_incremental_export(s3, BUCKET, PREFIX, arn, records, from_time=begin, to_time=end)

    def disable_and_enable_the_stream(self, meanwhile):
        self.client.update_table(TableName=SOURCE_TABLE, StreamSpecification={"StreamEnabled": False})
        meanwhile()
        self.client.update_table(
            TableName=SOURCE_TABLE,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )


@pytest.fixture
def move(tmp_path):
    with Stage(tmp_path, "dynamodb") as stage:
        stage.open()
        stage.load(1, 1000, lambda _: None)
        stage.wait_for_servers()
        stage.start_application(1, 1000)
        time.sleep(2)
        listen = f"127.0.0.1:{free_port()}"
        moving = Move(stage, stage.configure(stage.export(), listen), listen)
        moving.stage = stage
        try:
            yield moving
        finally:
            moving.service.process.terminate()
            moving.service.process.wait(60)


def test_a_refused_change_and_a_lost_stream_are_told_and_healed_and_nothing_differs(move):
    move.service.wait(ready)

    move.put("poison", **TAKEN)
    refused = move.service.wait(lambda d: d["dead_letters"]["open"] == 1)
    assert not ready(refused)
    assert refused["message"].startswith("waiting for DeadLettersResolved")
    (letter,) = [
        json.loads(line) for line in move.command("dead-letter", "list", "--output", "json").stdout.splitlines()
    ]
    shown = json.loads(move.command("dead-letter", "show", letter["id"]).stdout)
    assert shown["item"] == {**move.key("poison"), **TAKEN}
    assert move.command("dead-letter", "retry", letter["id"]).returncode == 3
    move.put("poison", cured={"BOOL": True})
    cured = move.service.wait(ready)
    assert cured["dead_letters"] == {"open": 0, "settled": 1, "retried": 0, "waived": 0}

    move.put("deleted in the gap")
    move.put("changed in the gap", old={"S": "x"})
    began = time.time()
    move.service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - began - 1)

    def unseen():
        time.sleep(3)
        move.client.delete_item(TableName=SOURCE_TABLE, Key=move.key("deleted in the gap"))
        move.put("changed in the gap", new={"S": "y"})

    move.disable_and_enable_the_stream(unseen)
    lost = move.service.wait(lambda d: d["phase"] == "needs-resync")
    assert not ready(lost)
    assert "disabled" in lost["message"]
    assert move.service.get("/readyz")[0] == 503
    advice = move.command("resync")
    assert "moveout resync --export" in advice.stdout, advice.stderr

    time.sleep(2)
    healed = move.command("resync", "--export", move.stage.export())
    assert healed.returncode == 0, healed.stderr
    move.service.wait(lambda d: d["phase"] == "replicating")
    move.stage.stop_application()
    stopped = time.time()
    move.service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - stopped)
    assert move.stage.compare().differences == 0

    heal_by_a_window(move)
    assert move.stage.compare().differences == 0


def heal_by_a_window(move):
    """Another gap, in which one item changes and one ends that was born just before: no window tells of that one."""
    quiet = time.time()
    move.service.wait(lambda d: applied_through(d) > quiet + 3)
    history = []

    def write(name, **attributes):
        if attributes:
            move.put(name, **attributes)
        else:
            move.client.delete_item(TableName=SOURCE_TABLE, Key=move.key(name))
        item = {**move.key(name), **attributes} if attributes else None
        history.append(Write(int(time.time() * 1e6), move.key(name), item))

    write("born in the overlap", n={"N": "1"})
    born = time.time()
    move.service.wait(lambda d: ready(d) and applied_through(d) > born)

    def unseen():
        write("born in the overlap")
        write("changed in the second gap", n={"N": "2"})

    move.disable_and_enable_the_stream(unseen)
    move.service.wait(lambda d: d["phase"] == "needs-resync")
    time.sleep(2)
    late = move.command("resync", "--window", move.window(history, born + 60, born + 61))
    assert (late.returncode, "the windows do not close the gap" in late.stderr) == (3, True), late.stderr
    healed = move.command("resync", "--window", move.window(history, quiet + 1, time.time()))
    assert healed.returncode == 0, healed.stderr
    began = time.time()
    move.service.wait(lambda d: ready(d) and applied_through(d) > began)


def applied_through(document):
    """Epoch seconds; 0 while nothing is proven."""
    instant = document["lag"]["applied_through"]
    return datetime.fromisoformat(instant).timestamp() if instant else 0.0

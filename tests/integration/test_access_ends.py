"""Keys that end while the move runs: each side behind a gate that refuses other roles' keys, and old ones."""

import contextlib
import sys
import time
from pathlib import Path

import boto3
import pytest
from fake_sts import FakeSts, Gate
from structlog.testing import capture_logs

from daemon import worker
from daemon.anchor import anchor
from daemon.app import Parts
from daemon.config import Config
from daemon.control import Part
from daemon.demo.export import write_export
from daemon.kcl.jvm import EXIT_FAILED, StreamsDaemon
from daemon.kcl.properties import render
from daemon.kcl.start import command, kcl_settings

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]
REGION = "us-east-1"
SOURCE, STATE, TARGET = (f"arn:aws:iam::{digit * 12}:role/moveout" for digit in "234")
PROBE = Path(__file__).with_name("kcl_probe.py")
# botocore renews 900 s before the told end, the SDK for Java at the latest 60 s before it.
PYTHON_KEYS = {"told_seconds": 902.0, "real_seconds": 5.0}
JVM_KEYS = {"told_seconds": 64.0, "real_seconds": 12.0}
ROWS = 3000


class Sides:
    """A source table, and the gates to it, to the state's tables and to the target's."""

    def __init__(self, client, name, sts, gates):
        self.client, self.name, self.sts, self.gates = client, name, sts, gates
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

    def config(self, **sections):
        def side(role):
            told = {"region": REGION, "sts_endpoint_url": self.sts.url, "role_arn": role, "external_id": "theirs"}
            return {**told, "endpoint_url": self.gates[role].url}

        known = {
            "migration": self.name,
            "source": {"table": self.name, **side(SOURCE)},
            "backfill": {"manifest": "s3://none/e/manifest-summary.json"},
            "target": {"kind": "dynamodb", "table": f"{self.name}-moved", "create_table": True, **side(TARGET)},
            "control": {"table": f"{self.name}-control", **side(STATE)},
        }
        return Config(**{**known, **{name: {**known.get(name, {}), **more} for name, more in sections.items()}})


@pytest.fixture
def sides(client, dynamodb, fresh_name):
    trusted = dict.fromkeys((SOURCE, STATE, TARGET), "theirs")
    url = dynamodb.endpoint_url
    with FakeSts(trusted) as sts, contextlib.ExitStack() as gates:
        opened = {role: gates.enter_context(Gate(sts, role, url)) for role in trusted}
        yield Sides(client, fresh_name(), sts, opened)


def test_a_backfill_outlives_many_sets_of_keys_and_never_signs_with_one_that_has_ended(sides, s3):
    for name, value in PYTHON_KEYS.items():
        setattr(sides.sts, name, value)
    store = boto3.client("s3", region_name=REGION, endpoint_url=s3.endpoint_url)
    bucket = f"exports-{sides.name}"
    store.create_bucket(Bucket=bucket)
    arn = sides.client.describe_table(TableName=sides.name)["Table"]["TableArn"]
    manifest = write_export(store, bucket, "e", arn, [{"id": {"S": str(number)}} for number in range(ROWS)])
    store.close()
    backfill = {"manifest": manifest, "s3_endpoint_url": s3.endpoint_url, "s3_role_arn": "none"}
    paced = {"clock_margin_seconds": 0, "items_per_second": 300, "batch_rows": 100}
    known = Parts(sides.config(backfill={**backfill, **paced}))
    known.control.create_table()
    generation = anchor(known).generation
    worker.run(known, 0, 1)
    assert all(part.done for part, _ in known.control.all(f"g{generation}/part#", Part).values())
    assert {role: gate.refused for role, gate in sides.gates.items()} == {SOURCE: [], STATE: [], TARGET: []}
    assert 3 <= sides.sts.taken(TARGET) <= 10
    assert len(sides.gates[TARGET].keys) >= 3


class Tail:
    """The launcher on these sides, with a probe in place of our shard process."""

    def __init__(self, folder, sides):
        self.folder, self.sides, self.daemon = folder, sides, None

    def start(self, **sections):
        config = self.sides.config(tail={"failover_seconds": 5, "worker_id": "worker"}, **sections)
        arn = self.sides.client.describe_table(TableName=self.sides.name)["Table"]["LatestStreamArn"]
        settings = kcl_settings(config, arn, 1, self.folder / "moveout.yaml")
        probe = (sys.executable, str(PROBE), str(self.folder / "seen.jsonl"))
        properties = self.folder / "kcl.properties"
        properties.write_text(render(settings).replace(" ".join(settings.executable), " ".join(probe)))
        self.daemon = StreamsDaemon(command(512, properties), {})

    def write(self, number):
        self.sides.client.put_item(TableName=self.sides.name, Item={"id": {"S": "a"}, "n": {"N": str(number)}})

    def seen(self):
        path = self.folder / "seen.jsonl"
        return path.read_text().count('"record"') if path.exists() else 0

    def wait(self, holds, seconds=120):
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, (self.seen(), self.daemon.poll())
            time.sleep(0.2)


@pytest.fixture
def tail(tmp_path, sides):
    made = Tail(tmp_path, sides)
    yield made
    if made.daemon is not None:
        made.daemon.stop(0.1)


def test_the_jvm_reads_the_stream_as_one_role_keeps_its_tables_as_another_and_renews_both(tail, sides):
    for name, value in JVM_KEYS.items():
        setattr(sides.sts, name, value)
    tail.write(1)
    tail.start()
    tail.wait(lambda: tail.seen() == 1)
    for number in range(2, 22):
        tail.write(number)
        time.sleep(1)
    tail.wait(lambda: tail.seen() == 21, 30)
    assert tail.daemon.stop(30) == 0
    stream, state = sides.gates[SOURCE], sides.gates[STATE]
    assert (stream.refused, state.refused) == ([], [])
    assert {request.action for request in stream.seen} <= {"DescribeStream", "GetShardIterator", "GetRecords"}
    assert {"CreateTable", "PutItem"} <= {request.action for request in state.seen}
    assert min(len(stream.keys), len(state.keys)) >= 2
    told = {request.told.get("RoleSessionName") for request in sides.sts.seen}
    assert told == {f"moveout-{sides.name}"}


def test_a_jvm_whose_role_is_refused_ends_at_once_with_the_role_in_its_last_words(tail):
    with capture_logs() as logs:
        tail.start(source={"external_id": "wrong"})
        tail.wait(lambda: tail.daemon.poll() is not None, 60)
    assert tail.daemon.stop(1) == EXIT_FAILED
    said = [entry["message"] for entry in logs if entry["log_level"] == "error"]
    assert any(f"the role {SOURCE} cannot be taken" in message and "not authorized" in message for message in said)

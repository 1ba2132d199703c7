"""Source and target compared on real servers: an export on S3, DynamoDB Local, a Cassandra node, while a writer writes.

The tail is a stand-in (a queue that lags, and proves its rounds), for the KCL takes minutes to begin: e2e/ has it.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import deque

import boto3
import msgspec
import pytest
import yaml

from daemon import dry_run, worker
from daemon.app import parts
from daemon.config import load
from daemon.control import Migration, Proof
from daemon.demo.export import write_export
from daemon.phase import Phase
from daemon.verify import run as verifying
from daemon.verify import runs
from daemon.verify.record import Records, RunState
from sinks.change import Change, Item, Key

pytestmark = pytest.mark.server
ROWS, EACH = 900, 25
LIVE = [f"live{number}" for number in range(40)]


class Tail(threading.Thread):
    """Writes to the source, and applies the same to the target a moment later, in order. It is its own watch."""

    def __init__(self, known, client, name):
        super().__init__(daemon=True)
        self.known, self.client, self.table, self.chance = known, client, name, random.Random(1)
        self.queue, self.version, self.writes = deque(), 0, 0
        self.ended, self.error = threading.Event(), None
        self.watched, self.touched = set(), set()

    def run(self):
        sink = self.known.sink()
        sink.open()
        try:
            while not self.ended.is_set():
                self.turn(sink)
        except Exception as error:  # noqa: BLE001  told by the test
            self.error = error
        finally:
            sink.close()

    def turn(self, sink):
        key = self.chance.choice(LIVE)
        self.writes += 1
        item = None
        if self.chance.random() < 0.3:
            self.client.delete_item(TableName=self.table, Key={"id": {"S": key}})
        else:
            item = {"id": {"S": key}, "n": {"N": str(self.writes)}}
            self.client.put_item(TableName=self.table, Item=item)
        self.version = max(self.version + 1, int(time.time()) * 1_000_000)
        made = None if item is None else Item(msgspec.json.encode(item))
        self.queue.append(Change(Key(key), self.version, made))
        if self.writes % 20 == 0:
            self.queue.append(self.proof(round=1))
        while len(self.queue) > 15:
            self.applied(sink, self.queue.popleft())

    def applied(self, sink, entry):
        if isinstance(entry, Change):
            assert not sink.apply([entry])
            self.touched |= {entry.key} & self.watched
        else:
            self.proof(proven=entry)

    def proof(self, round=0, proven=None):  # noqa: A002
        def changed(known):
            known = (known or Proof()).of(1)
            if proven:
                return msgspec.structs.replace(known, proven_round=proven, applied_through=time.time())
            return msgspec.structs.replace(known, round=known.round + round)

        return self.known.control.update("proof", Proof, changed).round

    def begin(self, keys):
        self.watched, self.touched = set(keys), set()
        time.sleep(0.2)  # a page that is being applied
        return "watch"

    def knows(self):
        return True

    def untouched(self, keys):
        return set(keys) - self.touched

    def end(self):
        self.watched = set()


class Move:
    """A table with its export, loaded into Cassandra, as it is when the backfill is done."""

    def __init__(self, folder, client, dynamodb, s3, cassandra, session, name):
        self.client, self.session, self.name = client, session, name
        store = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
        store.create_bucket(Bucket=name)
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        items = [self.item(number) for number in range(ROWS)]
        for start in range(0, ROWS, 25):
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            client.batch_write_item(RequestItems={name: puts})
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        self.path = folder / "moveout.yaml"
        self.path.write_text(
            yaml.safe_dump(
                {
                    "migration": name,
                    "source": {"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
                    "backfill": {
                        "manifest": write_export(store, name, "p", arn, items, files=4),
                        "s3_endpoint_url": s3.endpoint_url,
                        "clock_margin_seconds": 0,
                    },
                    "target": {"kind": "cassandra", "contact_points": [cassandra.host], "port": cassandra.port}
                    | {"local_datacenter": "datacenter1", "keyspace": "moved", "table": name, "create_table": True},
                    "control": {"table": f"{name}-control"},
                }
            )
        )
        store.close()
        self.known = parts(load(self.path))
        self.load()

    @staticmethod
    def item(number):
        # Numbers and sets that another encoder would write in another way.
        return {"id": {"S": f"k{number}"}, "n": {"N": f"{number}"}, "s": {"SS": [f"{n}" for n in range(3)]}}

    def load(self):
        control = self.known.control
        control.create_table()
        planned = dry_run.planned(self.known)
        version = int(time.time() - 600) * 1_000_000
        for number, part in enumerate(planned.values()):
            loaded = worker.load(msgspec.structs.replace(part, version=version), self.known.config)
            control.put(f"g1/part#{number:06d}", loaded, 0)
        begun = Migration(phase=Phase.REPLICATING, generation=1, parts=len(planned), backfill_version=version)
        control.put("migration", begun, 0)
        self.version = version

    def cql(self, statement, *values):
        self.session.execute(self.session.prepare(statement.format(f'moved."{self.name}"')), values)

    def damage(self):
        """Plant each kind; id -> kind."""
        planted = {}
        for number in range(EACH):
            missing, stale, changed, extra = (f"k{4 * number + n}" for n in range(4))
            self.cql('DELETE FROM {} WHERE "id" = ?', missing)
            older = msgspec.json.encode({"n": {"N": "424242424242424242"}}).decode()
            update = 'UPDATE {} SET attrs = ?, version = ? WHERE "id" = ?'
            self.cql(update, older, self.version - 1, stale)
            altered = self.item(4 * number + 2) | {"s": {"SS": ["0", "1"]}}
            del altered["id"]
            self.cql(update, msgspec.json.encode(altered).decode(), self.version, changed)
            # A deletion that the target never got: the row is as it was loaded, the source has none.
            if number % 2:
                self.client.delete_item(TableName=self.name, Key={"id": {"S": extra}})
            else:
                extra = f"nobody{number}"
                self.cql('INSERT INTO {} ("id", attrs, version) VALUES (?, ?, ?)', extra, older, self.version)
            planted |= {missing: "missing", stale: "stale", changed: "changed", extra: "extra"}
        return planted

    def found(self):
        records = Records(self.known.control, self.known.keys)
        return {json.loads(one.key)["id"]["S"]: one for one in records.differences().values() if one.state == "open"}

    def moveout(self, *arguments):
        command = [sys.executable, "-m", "daemon.cli", *arguments, "--config", str(self.path)]
        environment = os.environ | {"COLUMNS": "160"}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.fixture
def move(tmp_path, client, dynamodb, s3, cassandra, session, fresh_name):
    return Move(tmp_path, client, dynamodb, s3, cassandra, session, fresh_name())


@pytest.fixture
def tail(move):
    made = Tail(move.known, move.client, move.name)
    made.start()
    yield made
    made.ended.set()
    made.join(30)
    assert made.error is None


def test_each_planted_damage_is_found_while_a_writer_writes_and_nothing_else(move, tail):
    planted = move.damage()
    runs.begin(move.known.control, 100, "a test")
    verifying.run(move.known, tail)
    assert {key: one.kind for key, one in move.found().items()} == planted
    assert all(one.attributes == ["s"] for one in move.found().values() if one.kind == "changed")
    ended = Records(move.known.control, move.known.keys).run()
    assert (ended.state, ended.clean) == (RunState.FINISHED, None)
    told = move.moveout("verify", "report")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.returncode == 3
    assert lines[0]["differences"] == {"missing": EACH, "extra": EACH, "stale": EACH, "changed": EACH}
    assert {line["key"]["id"]["S"]: line["kind"] for line in lines[1:]} == planted
    assert "424242424242424242" not in told.stdout  # no values
    assert f"{4 * EACH} row(s) differ" in move.moveout("verify", "show").stderr


def test_no_false_alarm_while_a_writer_writes(move, tail):
    for _ in range(3):
        runs.begin(move.known.control, 100, "a test")
        verifying.run(move.known, tail)
        assert move.found() == {}
    ended = Records(move.known.control, move.known.keys).run()
    assert ended.compared >= ROWS
    assert tail.writes > 100


def test_the_command_begins_a_run_and_the_process_does_it(move, tail):
    assert tail.is_alive()
    assert move.moveout("verify", "start", "--sample-percent", "50").returncode == 0
    again = move.moveout("verify", "start")
    assert (again.returncode, "under way" in again.stderr) == (3, True)
    command = [sys.executable, "-m", "daemon.lean", "verify", str(move.path), move.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(move.moveout("verify", "show", "--output", "json").stdout)
    assert (shown["run"], shown["state"]) == (1, "finished")
    assert shown["compared"] > 0
    stopped = move.moveout("verify", "stop")
    assert (stopped.returncode, "no run is under way" in stopped.stderr) == (3, True)

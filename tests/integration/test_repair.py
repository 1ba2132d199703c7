"""`moveout repair` as a command, against DynamoDB Local and a Cassandra node, while an application writes.

The JVM is left out: the shards' processors are driven here, on the stream as DynamoDB Local serves it.
"""

import os
import subprocess
import sys
import threading
import time
from base64 import b64encode
from contextlib import contextmanager
from types import SimpleNamespace

import boto3
import msgspec
import pytest
import yaml
from fakes import Checkpointer, Lease, page

from daemon.app import Parts
from daemon.config import load
from daemon.control import Migration, Proof, ShardState, shards_of
from daemon.demo.compare import compare
from daemon.demo.dataset import PARTITION, SORT, items
from daemon.demo.sides import CassandraSide, DynamoDbSide
from daemon.demo.source_table import create, enable_stream
from daemon.demo.source_table import load as put_all
from daemon.demo.wire import Wire
from daemon.kcl.shard import processor
from daemon.lineage import anchors
from daemon.phase import Phase
from daemon.prove import Prover, form
from daemon.source import shards
from daemon.source.keys import key_reader
from daemon.verify.record import Records, State
from daemon.verify.rules import Kind, Named

pytestmark = pytest.mark.server
ITEMS = 300
DAMAGED = '{"damaged":{"BOOL":true}}'


class Service:
    """What replicates: a leader that proves, and a process for each shard, all in one thread."""

    def __init__(self, known):
        self.known, self.stop = known, threading.Event()
        arn = known.facts.stream.arn
        listed = shards.describe(known.streams, arn)
        known.control.create_table()
        migration = Migration(phase=Phase.REPLICATING, generation=1, stream_arn=arn)
        known.control.put("migration", migration, 0)
        for shard, state in anchors(listed.shards).items():
            known.control.put(shards_of(1) + shard, state, 0)
        self.prover = Prover(
            known.control, known.dynamodb, known.streams, known.config.source.table, form(known, migration), listed, 1
        )
        self.readers = [Reader(known, arn, shard) for shard in listed.shards]
        self.failed = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        beaten_at = 0.0
        try:
            while not self.stop.is_set():
                for reader in self.readers:
                    reader.serve()
                if time.monotonic() - beaten_at > 1:
                    beaten_at = time.monotonic()
                    self.prover.beat()
                self.prover.look()
                self.stop.wait(0.05)
        except BaseException as error:
            self.failed = error
            raise

    def states(self):
        return [state for state, _ in self.known.control.all(shards_of(1), ShardState).values()]

    def applied_through(self):
        found = self.known.control.get("proof", Proof)
        return found[0].applied_through if found else None

    def proven(self):
        """Wait until all that was written until now is applied."""
        wanted, deadline = time.time(), time.monotonic() + 60
        while (self.applied_through() or 0) <= wanted:
            assert self.failed is None
            assert time.monotonic() < deadline, "nothing was proven in a minute"
            time.sleep(0.2)


class Reader:
    """The KCL's part for one shard."""

    def __init__(self, known, arn, shard):
        self.client, self.lease = known.streams, Lease()
        self.process = processor(known, 1, shard)
        self.process.initialize(SimpleNamespace(shard_id=shard, sequence_number="TRIM_HORIZON"))
        self.place, self.after = {"StreamArn": arn, "ShardId": shard}, None

    def serve(self):
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if self.after is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self.after}
        iterator = self.client.get_shard_iterator(**self.place, **where)["ShardIterator"]
        try:
            found = self.client.get_records(ShardIterator=iterator)["Records"]
        except self.client.exceptions.TrimmedDataAccessException:
            # DynamoDB Local calls an iterator so that was given out on an empty shard, once the shard has a record.
            assert self.after is None
            return
        if found:
            self.after = found[-1]["dynamodb"]["SequenceNumber"]
        self.process.process_records(page([as_kcl(one) for one in found], Checkpointer(self.lease)))


def as_kcl(found):
    """A record as the KCL's adapter hands it out."""
    detail = {**found["dynamodb"]}
    detail["ApproximateCreationDateTime"] = int(detail["ApproximateCreationDateTime"].timestamp() * 1000)
    body = {"eventName": found["eventName"], "dynamodb": plain(detail), "userIdentity": None}
    return SimpleNamespace(sequence_number=detail["SequenceNumber"], binary_data=msgspec.json.encode(body))


def plain(value):
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


class Moved:
    """A table that is replicated, and what may be done to its target."""

    def __init__(self, folder, dynamodb, cassandra, session, client, name):
        self.name, self.session, self.folder = name, session, folder
        self.wire = Wire(dynamodb.endpoint_url)
        create(client, name)
        enable_stream(client, name)
        self.path = folder / "moveout.yaml"
        self.path.write_text(
            yaml.safe_dump(
                {
                    "migration": name,
                    "mode": "tail",
                    "source": {"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
                    "target": {"kind": "cassandra", "contact_points": [cassandra.host], "port": cassandra.port}
                    | {"local_datacenter": "datacenter1", "keyspace": "moved", "table": name, "create_table": True},
                    "control": {"table": f"{name}-control"},
                    "dead_letters": {"to": str(folder)},
                    "verify": {"preimage_percent": 100},
                }
            )
        )
        self.known = Parts(load(self.path))
        self.service = Service(self.known)
        self.items = list(items(1, ITEMS))
        self.read_key = key_reader(self.known.keys)
        self.target = CassandraSide(session, "moved", name, (PARTITION, SORT))

    def key(self, item):
        return {name: item[name] for name in (PARTITION, SORT)}

    def cql(self, statement, item, *values):
        where = f'WHERE "{PARTITION}" = ? AND "{SORT}" = ?'
        prepared = self.session.prepare(f"{statement.replace(' T ', f' moved.{self.name} ', 1)} {where}")
        self.session.execute(prepared, [*values, item[PARTITION]["S"], item[SORT]["S"]])

    def delete(self, item):
        self.wire.call("DeleteItem", {"TableName": self.name, "Key": self.key(item)})

    def damage(self, stamp):
        """Some rows lost, some altered, some that are deleted in the source brought back; the items concerned."""
        lost, altered, back = self.items[:40], self.items[40:80], self.items[80:120]
        for item in lost:
            self.cql("DELETE FROM T USING TIMESTAMP ?", item, stamp)
        for item in altered:
            self.cql("UPDATE T USING TIMESTAMP ? SET attrs = ?", item, stamp, DAMAGED)
        for item in back:
            self.cql("UPDATE T USING TIMESTAMP ? SET attrs = ?, version = ?", item, stamp, "{}", 5)
        records = Records(self.known.control, self.known.keys)
        for kind, some in ((Kind.MISSING, lost), (Kind.CHANGED, altered), (Kind.EXTRA, back)):
            for item in some:
                key = self.read_key(msgspec.json.encode(item))
                records.keep(key, Named(kind, []), 0, "export", time.time(), 1, State.OPEN)
        return [*lost, *altered, *back]

    def differences(self):
        return compare(DynamoDbSide(self.wire, self.name), self.target, (PARTITION, SORT))

    def repair(self, *arguments):
        command = [sys.executable, "-m", "daemon.cli", "repair", "--config", str(self.path), *arguments]
        environment = os.environ | {"COLUMNS": "160"}
        return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)

    def close(self):
        self.service.stop.set()
        if self.service.thread.ident is not None:
            self.service.thread.join(30)
        self.wire.close()
        for part in ("dynamodb", "streams"):
            getattr(self.known, part).close()

    @contextmanager
    def written(self, some):
        """An application that goes on writing these items, and deletes every third."""
        stop, count = threading.Event(), [0]

        def write():
            client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=self.wire.endpoint_url)
            while not stop.wait(0.1):
                item = some[count[0] % len(some)]
                count[0] += 1
                key = self.key(item)
                if count[0] % 3 == 0:
                    client.delete_item(TableName=self.name, Key=key)
                else:
                    client.put_item(TableName=self.name, Item={**key, "n": {"N": str(count[0])}})
            client.close()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield count
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def moved(tmp_path, dynamodb, cassandra, session, client, fresh_name):
    made = Moved(tmp_path, dynamodb, cassandra, session, client, fresh_name())
    yield made
    made.close()


def counted(moved):
    states = moved.service.states()
    return sum(state.preimages for state in states), sum(state.preimages_wrong for state in states)


def test_damaged_rows_are_repaired_while_an_application_writes_and_nothing_that_it_writes_is_lost(moved):
    moved.service.thread.start()
    put_all(moved.wire, moved.name, moved.items)
    for item in moved.items[80:120]:
        moved.delete(item)
    moved.service.proven()
    assert moved.differences().differences == 0
    stamp = max(state.version for state in moved.service.states()) + 1
    damaged = moved.damage(stamp)
    assert moved.differences().differences == len(damaged)

    shown = moved.repair("--all", "--dry-run")
    assert (shown.returncode, shown.stdout.count("missing: "), shown.stdout.count("extra: ")) == (3, 40, 40)
    with moved.written([*moved.items[30:50], *moved.items[110:130]]) as writes:
        done = moved.repair("--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert writes[0] > 20
    moved.service.proven()
    found = moved.differences()
    assert found.differences == 0, found.samples
    states = {one.state for one in Records(moved.known.control, moved.known.keys).differences().values()}
    assert states <= {State.REPAIRED, State.GONE}
    assert State.REPAIRED in states
    again = moved.repair("--all")
    assert (again.returncode, "nothing to repair" in again.stdout) == (0, True)


def test_live_events_are_held_against_real_rows_and_a_damaged_one_is_told(moved):
    moved.service.thread.start()
    put_all(moved.wire, moved.name, moved.items)
    moved.service.proven()  # of a batch only the first event of a key is looked at
    put_all(moved.wire, moved.name, [{**item, "again": {"N": "1.0"}} for item in moved.items])
    for item in moved.items[:50]:
        moved.delete(item)
    moved.service.proven()
    compared, wrong = counted(moved)
    assert (compared >= ITEMS, wrong) == (True, 0), Records(moved.known.control, moved.known.keys).differences()
    stamp = max(state.version for state in moved.service.states()) + 1
    moved.cql("UPDATE T USING TIMESTAMP ? SET attrs = ?", moved.items[60], stamp, DAMAGED)
    put_all(moved.wire, moved.name, moved.items)
    moved.service.proven()
    assert counted(moved)[1] == 1
    (found,) = Records(moved.known.control, moved.known.keys).differences().values()
    assert (found.kind, found.by, found.key) == (
        "changed",
        "preimage",
        msgspec.json.encode(moved.key(moved.items[60])).decode(),
    )
    assert moved.differences().differences == 0


def test_without_a_service_a_repair_writes_nothing_and_says_what_it_waited_for(moved):
    put_all(moved.wire, moved.name, moved.items[:1])
    key = msgspec.json.encode(moved.key(moved.items[0])).decode()
    done = moved.repair("--key", key)
    assert done.returncode == 4
    assert "have not begun to watch" in done.stderr
    assert "moveout run" in done.stderr

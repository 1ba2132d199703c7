"""Heartbeat items against DynamoDB Local: keys of every kind, written, seen in the stream, left out, removed."""

import itertools
import json
import random
import time

import pytest
from botocore.exceptions import ClientError
from fakes import no_letters
from rich.console import Console

from daemon import backfill, dry_run, prove, worker
from daemon.app import Parts
from daemon.apply import Ways
from daemon.completion import complete
from daemon.config import Config
from daemon.control import Migration, Part
from daemon.prove import HeartbeatsRefused, Prover
from daemon.reserved import RECORD, Reserved
from daemon.source import heartbeat, shards
from daemon.source.pages import pages
from daemon.source.stream import VersionClock, record_reader
from sinks.memory import MemorySink

pytestmark = pytest.mark.server
KINDS = ("S", "N", "B")
NEAR = {"S": "moveout#heartbeat", "N": str(heartbeat.NUMBER_END), "B": b"moveout#heartbeat"}  # the application's own
SORTS = {"S": "a", "N": "1", "B": b"a"}
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


class IntoMemory(Parts):
    def __init__(self, config):
        super().__init__(config)
        self.target = MemorySink()

    def sink(self, *, may_create=True, writers=None):  # noqa: ARG002  as Parts has it
        return self.target


class Table:
    def __init__(self, dynamodb, client, name, partition, sort=None):
        self.client, self.name, self.kinds = client, name, (partition, sort)
        kinds = {"pk": partition, **({"sk": sort} if sort else {})}
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in kinds.items()],
            KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(kinds, ("HASH", "RANGE"), strict=False)],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification=STREAM,
        )
        key = {"pk": {partition: NEAR[partition]}, **({"sk": {sort: SORTS[sort]}} if sort else {})}
        client.put_item(TableName=name, Item={**key, "said": {"S": "the application's"}})
        self.known = IntoMemory(
            Config(
                migration=name,
                source={"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
                backfill={"from": "scan", "clock_margin_seconds": 0},
                target={"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
                control={"table": f"{name}-control"},
                dead_letters={"to": "/nowhere"},
            )
        )
        self.known.chance = random.Random(1)
        self.known.control.create_table()
        self.stream = shards.describe(self.known.streams, self.known.facts.stream.arn)
        self.migration = Migration(generation=1, anchored_at=time.time(), stream_arn=self.stream.arn)
        self.known.control.put("migration", self.migration, 0)

    def prover(self):
        form = prove.form(self.known, self.migration)
        known = self.known
        return Prover(
            known.control, known.dynamodb, known.streams, self.name, form, self.stream, 1, chance=known.chance
        )

    def items(self):
        return self.client.scan(TableName=self.name, ConsistentRead=True)["Items"]

    def events(self):
        """What the shards' processes would read; records as the KCL gives them."""
        read, clock = record_reader(self.known.keys, self.migration.mark), VersionClock(0)
        for shard in self.stream.shards:
            start = {"StreamArn": self.stream.arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self.known.streams.get_shard_iterator(**start)["ShardIterator"]
            for found in self.known.streams.get_records(ShardIterator=iterator)["Records"]:
                yield read(as_kcl(found), found["dynamodb"]["SequenceNumber"], clock)


def as_kcl(found):
    detail = found["dynamodb"]
    created = int(detail["ApproximateCreationDateTime"].timestamp() * 1000)
    images = {name: typed(detail[name]) for name in ("Keys", "NewImage") if name in detail}
    return json.dumps({**found, "dynamodb": {"ApproximateCreationDateTime": created, **images}}, default=str).encode()


def typed(image):
    """The KCL writes binary values as base64."""
    from base64 import b64encode

    return {name: {"B": b64encode(value["B"]).decode()} if "B" in value else value for name, value in image.items()}


def loaded(made):
    """The table, by a scan, into memory."""
    into = made.known.target.apply
    part = Part(f"scan:{made.name}#0/1", "", 0, kind="scan", counted=False, version=1)
    with worker.reading(made.known, 1) as sources:
        return backfill.load_part(lambda one: pages(sources, one), part, Ways(into, into, no_letters), 100, print)


@pytest.fixture
def table(dynamodb, client, fresh_name):
    made = []

    def make(*kinds):
        made.append(Table(dynamodb, client, fresh_name(), *kinds))
        return made[-1]

    yield make
    for one in made:
        client.delete_table(TableName=one.name)
        client.delete_table(TableName=f"{one.name}-control")


@pytest.mark.parametrize(("partition", "sort"), list(itertools.product(KINDS, (None, *KINDS))))
def test_heartbeats_of_any_key_are_written_seen_left_out_of_the_load_and_removed(table, partition, sort):
    made = table(partition, sort)
    prover = made.prover()
    for _ in range(2):
        prover.beat()
        prover.look()
    reserved = made.known.control.get(RECORD, Reserved)[0]
    assert len(made.items()) == 1 + reserved.used > 8

    beats = [event.heartbeat for event in made.events() if event.heartbeat]
    assert {beat.round for beat in beats} == {1, 2}
    kept = [event.change for event in made.events() if event.change is not None]
    assert [len(kept), kept[0].item.attributes()["said"]] == [1, "the application's"]

    done = loaded(made)
    assert (done.applied, done.skipped) == (1, reserved.used)

    assert prove.remove_heartbeats(made.known) == reserved.used
    assert [item["said"]["S"] for item in made.items()] == ["the application's"]
    prover.beat()
    assert len(made.items()) == 1, "a leader that goes on writes none any more"


def test_they_carry_the_tables_ttl_attribute_two_days_ahead(table):
    made = table("S")
    made.client.update_time_to_live(
        TableName=made.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    made.prover().beat()
    beats = [item for item in made.items() if heartbeat.ROUND in item]
    ahead = [int(item["expires"]["N"]) - time.time() for item in beats]
    assert beats
    assert all(2 * 86400 - 60 < seconds <= 2 * 86400 for seconds in ahead)


def test_a_ttl_attribute_that_is_a_key_of_an_index_is_left_out(table):
    made = table("S")
    index = {
        "IndexName": "by_expiry",
        "KeySchema": [{"AttributeName": "expires", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    made.client.update_table(
        TableName=made.name,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("expires", "N"))],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )
    made.client.update_time_to_live(
        TableName=made.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    made.prover().beat()
    beats = [item for item in made.items() if heartbeat.ROUND in item]
    assert [sorted(item) for item in beats] == [sorted(["pk", heartbeat.ROUND, heartbeat.MARK])] * 8


def test_heartbeats_of_another_move_of_the_table_tell_nothing(table):
    made = table("S")
    other = made.prover()
    other._form = other._form._replace(mark="another move")
    other.beat()
    assert [event.heartbeat for event in made.events()] == [None] * 9
    assert [event.change is None for event in made.events()].count(True) == 8


def test_a_dry_run_leaves_them_out_as_well(table, tmp_path):
    made = table("N", "B")
    made.prover().beat()
    config = made.known.config
    with (tmp_path / "said").open("w") as quiet:
        consoles = (Console(file=quiet), Console(file=quiet))
        dry_run.run(config, dry_run.target(config, f"jsonl:{tmp_path / 'lines'}"), 0, 1, consoles)
    lines = [line for file in (tmp_path / "lines").rglob("*") if file.is_file() for line in read(file).splitlines()]
    assert [line for line in lines if b"application" in line] == lines
    assert len(lines) == 1


def read(file):
    import gzip

    body = file.read_bytes()
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


class Interrupted(Exception):
    pass


def test_a_removal_that_is_interrupted_goes_on_where_it_was_and_tells_how_far(table):
    made = table("S")
    made.known.control.put(RECORD, Reserved("salt", used=250), 0)
    form = heartbeat.Form(made.known.keys)
    heartbeat.write(made.client, made.name, form, Reserved("salt").keys("S", range(250)), 1)

    def interrupts(line):
        raise Interrupted(line)

    with pytest.raises(Interrupted, match="100 of 250"):
        prove.remove_heartbeats(made.known, interrupts)
    assert len(made.items()) == 151
    told = []
    assert prove.remove_heartbeats(made.known, told.append) == 250
    assert [line.split()[0] for line in told] == ["200", "250"]
    assert len(made.items()) == 1


def test_an_item_of_the_application_under_a_reserved_key_is_not_deleted(table):
    made = table("S")
    (key,) = Reserved("salt").keys("S", [0])
    made.client.put_item(TableName=made.name, Item={"pk": {"S": key}})
    heartbeat.remove(made.client, made.name, made.known.keys, [key])
    assert len(made.items()) == 2


def test_complete_removes_them(table):
    made = table("S")
    made.prover().beat()
    assert len(made.items()) > 1
    complete(made.known, lambda _: None)
    assert len(made.items()) == 1


class Refusing:
    """A client that may not write, as IAM refuses it."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        if name not in ("put_item", "delete_item"):
            return getattr(self._client, name)
        operation = "PutItem" if name == "put_item" else "DeleteItem"
        return lambda **_: self._refuse(operation)

    def _refuse(self, operation):
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, operation)


def test_a_refusal_by_iam_is_told_with_the_statement_that_allows_it(table):
    made = table("S")
    prover, working = made.prover(), made.known.dynamodb
    prover.beat()
    prover._dynamodb = Refusing(working)
    with pytest.raises(HeartbeatsRefused, match=r"PutItem.*dynamodb:LeadingKeys.*moveout#heartbeat#\*") as refused:
        prover.beat()
    assert f"table/{made.name}" in str(refused.value)
    control = made.known.control
    made.known.__dict__["control"] = control
    made.known.dynamodb = Refusing(working)
    with pytest.raises(HeartbeatsRefused, match="DeleteItem"):
        prove.remove_heartbeats(made.known)

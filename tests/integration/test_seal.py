"""Sealing a real stream (DynamoDB Local): its records stay readable, and the way back loses no write."""

import random
import time
from types import SimpleNamespace

import msgspec
import pytest

from daemon import seal
from daemon.app import Parts
from daemon.clock import SYSTEM
from daemon.config import Config
from daemon.control import Migration, Position, ShardState, shards_of
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.seal import SealStep
from daemon.source import shards

pytestmark = pytest.mark.server


class Ahead:
    """The system's clock, moved ahead: a listing that is ten seconds old without the wait."""

    def __init__(self):
        self.seconds = 0.0

    def time(self):
        return SYSTEM.time() + self.seconds

    def monotonic(self):
        return SYSTEM.monotonic() + self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


@pytest.fixture
def moved(dynamodb, client, fresh_name):
    name = fresh_name()
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    known = Parts(
        Config(
            migration=name,
            source={"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
            backfill={"from": "scan"},
            tail={"proof": "seal"},
            target={"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
            control={"table": f"{name}-control"},
            dead_letters={"to": "/nowhere"},
        )
    )
    known.clock, known.chance = Ahead(), random.Random(1)
    known.control.create_table()
    arn = known.facts.stream.arn
    migration = Migration(phase=Phase.REPLICATING, stream_arn=arn, generation=1, reserved=1, exported_at=5.0, parts=3)
    known.control.put("migration", migration, 0)
    made = SimpleNamespace(known=known, client=client, name=name, arn=arn)
    write(made, "before")
    read_to(made, ended=False)
    yield made
    client.delete_table(TableName=name)
    client.delete_table(TableName=f"{name}-control")


def write(moved, key):
    moved.client.put_item(TableName=moved.name, Item={"id": {"S": key}})


def read_to(moved, *, ended):
    """What the shards' processes would have saved: nothing came for two minutes."""
    now = moved.known.clock.time()
    listed = shards.describe(moved.known.streams, moved.arn)
    quiet = ShardState(anchor=0, empty_polls=99, empty_since=now - 120, empty_until=now, positions=[Position("7", 70)])
    for shard in listed.shards:
        state = msgspec.structs.replace(quiet, ended=ended)
        moved.known.control.update(shards_of(1) + shard, ShardState, lambda _, state=state: state)


def migration(moved):
    return moved.known.control.get("migration", Migration)[0]


def turns(moved, act, until):
    """Turn after turn, five seconds apart by the clock, until that step."""
    told = []
    for _ in range(20):
        found = act(moved.known, migration(moved), moved.known.clock.time())
        told.append(found.step)
        if found.step is until:
            return told
        moved.known.clock.sleep(5)
    raise AssertionError(told)


def in_stream(moved, arn):
    client = moved.known.streams
    keys = []
    for shard in shards.describe(client, arn).shards:
        start = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        page = client.get_records(ShardIterator=client.get_shard_iterator(**start)["ShardIterator"])
        keys += [record["dynamodb"]["Keys"]["id"]["S"] for record in page["Records"]]
    return keys


def sealed(moved):
    assert turns(moved, seal.advance, SealStep.WATCHING) == [SealStep.WATCHING]
    moved.known.clock.sleep(70)
    read_to(moved, ended=False)
    turns(moved, seal.advance, SealStep.DRAINING)
    assert in_stream(moved, moved.arn) == ["before"], "a disabled stream can still be read"


def test_the_stream_is_sealed_under_a_quiet_fence_and_proves_zero_when_it_is_read(moved):
    sealed(moved)
    assert not seal.recorded(moved.known.control).zero
    moved.known.clock.sleep(60)
    assert seal.advance(moved.known, migration(moved), moved.known.clock.time()).step is SealStep.DRAINING
    read_to(moved, ended=True)
    turns(moved, seal.advance, SealStep.SEALED)
    assert seal.recorded(moved.known.control).zero
    identity = moved.client.describe_table(TableName=moved.name)["Table"]
    assert "StreamSpecification" not in identity


def test_on_the_way_back_the_new_stream_begins_before_the_fence_is_lifted_and_comes_after_the_old_one(moved):
    sealed(moved)
    told = turns(moved, seal.reopen, SealStep.REOPENED)
    assert told[0] is SealStep.REOPENING
    assert seal.recorded(moved.known.control).may_lift
    write(moved, "after")
    assert migration(moved).stream_arn == moved.arn, "the old stream is not read to its end"
    read_to(moved, ended=True)
    moved.known.clock.sleep(30)
    turns(moved, seal.reopen, SealStep.OPEN)

    now = migration(moved)
    assert (now.generation, now.parts, now.parts_generation, now.phase) == (2, 3, 1, Phase.REPLICATING)
    assert in_stream(moved, now.stream_arn) == ["after"]
    states = moved.known.control.all(shards_of(2), ShardState)
    assert set(states) == set(shards.describe(moved.known.streams, now.stream_arn).shards)
    assert {state.anchor for state, _ in states.values()} == {70}, "above all versions of the old stream"
    assert seal.reopen(moved.known, now, time.time()).step is SealStep.OPEN


def test_a_source_with_ttl_is_not_sealed(moved):
    moved.client.update_time_to_live(
        TableName=moved.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    with pytest.raises(CheckFailed, match=r"TTL \(expires\)"):
        seal.advance(moved.known, migration(moved), moved.known.clock.time())

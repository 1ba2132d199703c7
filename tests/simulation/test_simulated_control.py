"""The real control table's code over the simulated DynamoDB."""

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from simulation.dynamodb_store import DynamoStore
from simulation.dynamodb_wire import Client
from simulation.faults import Fault, Faults

from daemon.control import Conflict, Control, Part, Position, ShardState
from daemon.leader import LEASE_SECONDS, Leadership

STATE = ShardState(anchor=5, positions=[Position("0001", 10)], heartbeat_key="moveout#heartbeat#1", touched=[])
ATTEMPTS = 5


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def store():
    return DynamoStore(page_items=7)


@pytest.fixture
def client(store, faults):
    return Client(store, faults, attempts=ATTEMPTS)


@pytest.fixture
def control(client):
    made = Control(client, "moveout-control", "orders")
    made.create_table()
    return made


def test_a_record_comes_back_as_it_was_written_and_can_be_forgotten(control):
    control.put("shard#a", STATE, 0)
    assert control.get("shard#a", ShardState) == (STATE, 1)
    assert control.get("shard#b", ShardState) is None
    control.delete("shard#a")
    control.delete("shard#a")
    assert control.get("shard#a", ShardState) is None


def test_of_two_writers_the_slower_one_is_refused(control):
    control.put("shard#a", STATE, 0)
    with pytest.raises(Conflict):
        control.put("shard#a", STATE, 0)
    control.put("shard#a", STATE, 1)
    with pytest.raises(Conflict):
        control.put("shard#a", STATE, 1)


def test_records_are_listed_by_prefix_over_pages_and_never_mixed_with_another_migration(control, client):
    other = Control(client, "moveout-control", "customers")
    for number in range(30):
        control.put(f"part#{number:06d}", Part(f"file-{number}", "", number), 0)
        other.put(f"part#{number:06d}", Part("other", "", 0), 0)
    control.put("shard#a", STATE, 0)
    assert [part.items for part, _ in control.all("part#", Part).values()] == list(range(30))
    assert list(control.all("shard#", ShardState)) == ["a"]
    assert control.all("nothing#", Part) == {}


def test_creating_the_table_again_changes_nothing(control):
    control.put("shard#a", STATE, 0)
    control.create_table()
    assert control.get("shard#a", ShardState) is not None


def test_leadership_passes_when_the_leader_falls_silent(control):
    now = [1000.0]
    first, second = (Leadership(control, owner, lambda: now[0]) for owner in ("one", "two"))
    assert first.held()
    assert not second.held()
    now[0] += 2 * LEASE_SECONDS
    assert second.held()
    assert not first.held()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.CONFLICT], ids=lambda f: f.name)
def test_a_fault_that_lasts_reaches_the_caller_and_the_record_is_as_the_fault_says(control, faults, fault):
    faults.script = [fault] * ATTEMPTS
    done = fault in (Fault.APPLIED, Fault.FAILED_APPLIED)
    with pytest.raises((ClientError, BotoCoreError)):
        control.put("shard#a", STATE, 0)
    assert (control.get("shard#a", ShardState) is not None) == done
    faults.script = [fault] * ATTEMPTS
    with pytest.raises((ClientError, BotoCoreError)):
        control.get("shard#a", ShardState)


def test_a_write_whose_answer_was_lost_is_refused_by_its_own_retry(control, faults):
    # botocore tries again by itself, and meets the record that it has just written.
    faults.script = [Fault.APPLIED]
    with pytest.raises(Conflict):
        control.put("shard#a", STATE, 0)
    assert control.get("shard#a", ShardState) == (STATE, 1)


def test_a_write_that_lands_late_does_not_undo_a_newer_one(control, store, faults):
    control.put("shard#a", STATE, 0)
    faults.script = [Fault.LATE] * ATTEMPTS
    with pytest.raises(BotoCoreError):
        control.put("shard#a", ShardState(anchor=6), 1)
    control.put("shard#a", ShardState(anchor=7), 1)
    while store.late:
        store.land()
    found, revision = control.get("shard#a", ShardState)
    assert (found.anchor, revision) == (7, 2)


def test_bytes_go_in_and_come_out_as_bytes(client):
    key = {"AttributeName": "id", "KeyType": "HASH"}
    client.create_table(
        TableName="t",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "B"}],
        KeySchema=[key],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"B": b"\x00\xff"}, "all": {"L": [{"M": {"x": {"BS": [b"a"]}}}]}}
    client.put_item(TableName="t", Item=item)
    found = client.get_item(TableName="t", Key={"id": {"B": b"\x00\xff"}}, ConsistentRead=True)["Item"]
    assert found == item
    found.clear()
    assert client.scan(TableName="t", ConsistentRead=True)["Items"] == [item]

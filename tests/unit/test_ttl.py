"""What the source's TTL deletes: counted by its shard, kept in the shard's record, told to people and machines."""

import msgspec
from fakes import page, record
from unit.test_report import shown
from unit.test_tail_pause import Shard
from unit.test_whole import table

from daemon.control import ShardState, Tally
from daemon.metrics import ProcessHealth, registry
from daemon.report import render
from sinks.change import Key

TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_a_shard_counts_what_ttl_deleted_and_keeps_the_count_with_its_position():
    shard = Shard()
    records = [
        record(1, "INSERT", "a", {"n": {"N": "1"}}),
        record(2, "REMOVE", "a", userIdentity=TTL),
        record(3, "REMOVE", "b"),
        record(4, "REMOVE", "c", userIdentity=TTL),
    ]
    shard.inner.process_records(page(records[:2], shard.checkpointer))
    shard.inner.process_records(page(records[2:], shard.checkpointer))
    shard.inner.shutdown_requested(page([], shard.checkpointer))
    saved = shard.saved[-1]
    assert (saved.records, saved.applied, saved.expired) == (4, 4, 2)
    assert saved.positions[-1].sequence == records[-1].sequence_number
    assert shard.sink.changes[Key("c")].item is None


def test_a_record_of_a_shard_without_the_count_is_one_without_deletions():
    old = msgspec.json.decode(b'{"anchor":7,"records":3}', type=ShardState)
    assert Tally().plus(old) == Tally(records=3)


def with_deletions(count):
    made = table("orders")
    return msgspec.structs.replace(made, tail=msgspec.structs.replace(made.tail, records=5000, expired=count))


def test_status_tells_them_where_there_are_any():
    assert "1,234 of them deletions by the source's TTL" in shown(render(with_deletions(1234)))
    assert "TTL" not in shown(render(with_deletions(0)))


def test_they_are_a_metric_of_the_table():
    told = registry(
        lambda: with_deletions(7),
        lambda: ProcessHealth(leader=True, jvm_restarts=0, worker_restarts=0, observed_at=0.0),
    )
    labels = {"migration": "shop.orders", "table": "orders"}
    assert told.get_sample_value("moveout_ttl_deletes_total", labels) == 7

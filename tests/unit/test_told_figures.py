"""Figures for alerts: counted where they arise, kept when a shard leaves the stream, summed over tables."""

import msgspec
import pytest
from served import published

from daemon import metrics
from daemon.control import ShardState, Tally
from daemon.metrics import ProcessHealth
from daemon.phase import Phase
from daemon.service import _owners
from daemon.signal.document import Paused, Tail
from daemon.signal.whole import whole


def told(document, name, **labels):
    health = ProcessHealth(leader=True, jvm_restarts=0, worker_restarts=0, observed_at=1.0, verify_restarts=4)
    return metrics.registry(lambda: document, lambda: health, dict, 5.0).get_sample_value(name, labels)


def of(table, **tail):
    made = published(table=table, name="shop")
    return msgspec.structs.replace(made, tail=msgspec.structs.replace(made.tail, **tail))


ORDERS = {"migration": "shop", "table": "orders"}


@pytest.mark.parametrize(
    ("field", "metric"),
    [
        ("retries", "moveout_target_retries_total"),
        ("strays", "moveout_stray_writes_total"),
        ("preimages", "moveout_preimages_compared_total"),
        ("preimages_wrong", "moveout_preimages_differing_total"),
    ],
)
def test_what_shards_count_is_told_and_survives_a_shard_that_has_left_the_stream(field, metric):
    assert told(of("orders", **{field: 7}), metric, **ORDERS) == 7
    archived = Tally().plus(ShardState(1, **{field: 3})).plus(ShardState(1, **{field: 4}))
    assert getattr(archived, field) == 7
    both = whole("shop", [of("orders", **{field: 7}), of("carts", **{field: 2})])
    assert getattr(both.tail, field) == 9


def test_shards_are_told_by_the_host_that_has_them_and_those_that_are_read_to_their_end_by_none():
    states = [ShardState(1, owner="a/17/x"), ShardState(1, owner="a/18/y"), ShardState(1, owner="b/17/z")]
    states += [ShardState(1, owner="c/1/q", ended=True), ShardState(1)]
    owners = _owners(states)
    assert owners == {"a": 2, "b": 1}
    assert told(of("orders", owners=owners), "moveout_shards_owned", owner="a", **ORDERS) == 2
    both = whole("shop", [of("orders", owners=owners), of("carts", owners={"a": 1, "d": 1})])
    assert both.tail.owners == {"a": 3, "b": 1, "d": 1}


def test_a_document_of_before_these_were_counted_is_still_read():
    old = msgspec.json.decode(msgspec.json.encode(Tail(*[1] * 7)))
    kept = {name: value for name, value in old.items() if name not in ("strays", "retries", "owners")}
    assert msgspec.convert(kept, Tail).owners == {}


def test_time_left_is_infinite_while_nothing_moves_and_zero_when_all_is_loaded():
    made = of("orders")
    assert told(made, "moveout_backfill_eta_seconds", **ORDERS) == 0
    still = msgspec.structs.replace(made, backfill=msgspec.structs.replace(made.backfill, eta_seconds=None))
    assert told(still, "moveout_backfill_eta_seconds", **ORDERS) == float("inf")


def test_a_tail_that_waits_for_the_backfill_is_told_apart_from_one_that_a_person_has_paused():
    waits = published(phase=Phase.BACKFILLING, paused=Paused(tail_waits=True), name="shop", table="orders")
    assert told(waits, "moveout_paused", part="tail", **ORDERS) == 0
    assert told(waits, "moveout_paused", part="tail-ordered", **ORDERS) == 1


def test_when_it_was_decided_and_when_this_replica_began_are_instants():
    made = published(now=1_772_366_400.25, name="shop", table="orders")
    assert told(made, "moveout_published_timestamp_seconds", **ORDERS) == 1_772_366_400.25
    assert told(made, "moveout_start_timestamp_seconds") == 5.0
    assert told(made, "moveout_process_restarts_total", process="verify") == 4

"""A time to live on a real node: what expires, what a replay does, what a node refuses."""

import time
from decimal import Decimal

import pytest
from sink_contract import KEY, TEXT_KEYS, apply, held, put

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.cassandra.ttl import EXPIRES_MAX

pytestmark = pytest.mark.server
NOW = int(time.time())
HOUR = 3600


@pytest.fixture(params=["document", "columns"])
def sink_at(request, cassandra, fresh_name):
    """A function that opens a sink on one table, with a clock that stands where it is told."""
    opened, table = [], fresh_name()

    def made(now):
        place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
        typed = {"layout": "columns", "columns": {"a": "text", "expires": "bigint"}}
        settings = {**place, "keyspace": "moved", "table": table, "create_table": True}
        settings |= {"ttl": {"attribute": "expires", "as": "ttl"}, **(typed if request.param == "columns" else {})}
        sink = CassandraSink(CassandraOptions(**settings), TEXT_KEYS, clock=lambda: now)
        sink.open()
        opened.append(sink)
        return sink

    yield made
    for sink in opened:
        sink.close()


def ttl(sink):
    """What a node says is left of KEY."""
    table = sink._options.table
    query = f'SELECT TTL(attrs) FROM moved."{table}" WHERE "customer" = %s AND "order" = %s'  # noqa: S608
    return sink._active().execute(query, (KEY.partition, KEY.sort)).one()[0]


def expiring(version, expires, **attributes):
    return put(KEY, version, expires=Decimal(expires), **attributes)


def test_a_row_carries_what_is_left_and_is_read_back_exactly(sink_at):
    sink = sink_at(NOW)
    apply(sink, expiring(1, NOW + HOUR, a="x"))
    assert held(sink) == (1, {"customer": "alice", "order": "1", "a": "x", "expires": Decimal(NOW + HOUR)})
    assert 0 < ttl(sink) <= HOUR


def test_a_replay_after_the_expiry_does_not_bring_the_row_back_whatever_comes_first(sink_at):
    early, late = sink_at(NOW), sink_at(NOW + 2 * HOUR)
    change = expiring(1, NOW + HOUR, a="x")
    for sink in (early, late, early):
        apply(sink, change)
    assert held(early) is None


def test_a_row_that_a_node_has_expired_hides_older_versions_without_a_ttl(sink_at):
    sink = sink_at(NOW)
    apply(sink, expiring(2, NOW + 1, a="x"))  # the clock of the sink stands; that of the node goes on
    for _ in range(300):
        if held(sink) is None:
            break
        time.sleep(0.1)
    apply(sink, put(KEY, 1, a="late backfill row"))
    assert held(sink) is None


def test_a_newer_version_without_the_attribute_lives_for_ever(sink_at):
    sink = sink_at(NOW)
    apply(sink, expiring(1, NOW + HOUR, a="x"), put(KEY, 2, a="y"), expiring(1, NOW + HOUR, a="x"))
    assert held(sink) == (2, {"customer": "alice", "order": "1", "a": "y"})
    assert ttl(sink) is None


def test_a_newer_version_of_an_expired_item_lives(sink_at):
    sink = sink_at(NOW)
    apply(sink, expiring(1, NOW - 1, a="x"), expiring(2, NOW + HOUR, a="y"), expiring(1, NOW - 1, a="x"))
    assert held(sink)[0] == 2


def test_the_last_day_that_a_node_takes_is_taken_and_the_one_after_is_kept_as_data(sink_at):
    sink = sink_at(NOW)
    apply(sink, expiring(1, EXPIRES_MAX, a="x"))
    assert ttl(sink) > 0
    apply(sink, expiring(2, EXPIRES_MAX + 2 * 86_400, a="x"))
    assert (held(sink)[0], ttl(sink)) == (2, None)

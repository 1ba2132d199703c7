"""What the switch and an abort ask of real targets: their clocks, their stream, their end."""

import time

import pytest
from sink_contract import KEY, TEXT_KEYS, apply, put

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.target import sink as dynamodb_sink
from sinks.sink import Clocked, Droppable, Followable

pytestmark = pytest.mark.server


@pytest.fixture
def cql(cassandra, fresh_name):
    place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
    made = CassandraSink(CassandraOptions(**place, keyspace="moved", table=fresh_name(), create_table=True), TEXT_KEYS)
    made.open()
    yield made
    made.close()


def test_each_node_of_a_cluster_tells_its_clock(cql):
    assert isinstance(cql, Clocked)
    before = int(time.time() * 1e3) * 1000
    (told,) = cql.clocks()
    assert before <= told <= time.time() * 1e6  # one machine, one clock


def test_a_cql_table_is_dropped_once_and_that_is_told(cql, session):
    assert isinstance(cql, Droppable)
    apply(cql, put(KEY, 1, a="x"))
    cql.close()
    told = []
    cql.drop(told.append)
    cql.drop(told.append)
    table = cql._options.table
    assert told == [f'DROP TABLE IF EXISTS "moved"."{table}"'] * 2
    asked = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'moved' AND table_name = %s"
    assert session.execute(asked, (table,)).one() is None


@pytest.mark.parametrize("mode", ["exact", "ordered"])
def test_a_dynamodb_target_is_dropped_with_what_was_made_beside_it_and_nothing_else(mode, dynamodb, client, fresh_name):
    place = {"kind": "dynamodb", "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
    options = DynamoDbOptions(**place, table=fresh_name(), mode=mode, create_table=True)
    other = dynamodb_sink(options.model_copy(update={"table": fresh_name()}), TEXT_KEYS)
    made = dynamodb_sink(options, TEXT_KEYS)
    for one in (made, other):
        one.open()
        one.close()
    assert isinstance(made, Droppable)
    told = []
    made.drop(told.append)
    made.drop(told.append)
    names = [name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    assert options.table not in names
    assert options.tombstones not in names
    assert other._options.table in names
    assert told[0] == f"table {options.table} is deleted"
    assert told[-1].endswith("not there any more")


def test_where_a_way_back_would_begin_is_the_targets_own_stream(dynamodb, client, fresh_name):
    place = {"kind": "dynamodb", "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
    made = dynamodb_sink(DynamoDbOptions(**place, table=fresh_name(), create_table=True), TEXT_KEYS)
    made.open()
    assert isinstance(made, Followable)
    assert made.stream() == ""
    specification = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    client.update_table(TableName=made._options.table, StreamSpecification=specification)
    assert "/stream/" in made.stream()
    made.close()

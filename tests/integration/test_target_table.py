"""A DynamoDB target before and after the move, on DynamoDB Local: cloned, compared, completed."""

from decimal import Decimal

import pytest
from sink_contract import KEY, TEXT_KEYS, apply, deleted, put

from sinks.change import Key
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.sink import DynamoDbSink
from sinks.provision import Completable, Provisioned, SourceTable

pytestmark = pytest.mark.server
HIDDEN = "moveout:version"


def index(name, *keys, **more):
    roles = zip(keys, ("HASH", "RANGE"), strict=False)
    schema = [{"AttributeName": key, "KeyType": role} for key, role in roles]
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}, **more}


@pytest.fixture
def source(client, fresh_name):
    """A table with most of what Local knows of, as `moveout schema` is told of it."""
    name = fresh_name()
    client.create_table(
        TableName=name,
        KeySchema=index("", "customer", "order")["KeySchema"],
        AttributeDefinitions=[
            {"AttributeName": a, "AttributeType": t}
            for a, t in (("customer", "S"), ("order", "S"), ("day", "S"), ("total", "N"))
        ],
        LocalSecondaryIndexes=[index("by-customer-day", "customer", "day")],
        GlobalSecondaryIndexes=[
            index("by-day", "day", OnDemandThroughput={"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 6}),
            index("by-total", "total", "day"),
        ],
        BillingMode="PAY_PER_REQUEST",
        OnDemandThroughput={"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": 60},
        DeletionProtectionEnabled=True,
    )
    return SourceTable(client.describe_table(TableName=name)["Table"], "expires", {"team": "orders"})


@pytest.fixture
def sink(dynamodb, fresh_name):
    place = {"region": "us-east-1", "endpoint_url": dynamodb.endpoint_url, "request_timeout_seconds": 30}
    # Local gives every segment of a scan all items.
    fast = {"concurrency": 4, "complete_items_per_second": 100_000}
    made = DynamoDbSink(DynamoDbOptions(kind="dynamodb", table=fresh_name(), **place, **fast), TEXT_KEYS)
    yield made
    made.close()


def automatic(sink, source):
    return [step for step in sink.schema_steps(source) if not step.by_hand]


COMPARED = ("KeySchema", "OnDemandThroughput", "DeletionProtectionEnabled")


def shape(table):
    """What a clone must have in common with its source."""
    told = {name: table.get(name) for name in COMPARED}
    told["billing"] = table["BillingModeSummary"]["BillingMode"]
    told["definitions"] = sorted(d["AttributeName"] for d in table["AttributeDefinitions"])
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        told[kind] = sorted(
            (i["IndexName"], str(i["KeySchema"]), str(i["Projection"]), str(i.get("OnDemandThroughput")))
            for i in table[kind]
        )
    return told


def test_the_sink_has_both_protocols(sink):
    assert isinstance(sink, Provisioned)
    assert isinstance(sink, Completable)


def test_a_clone_is_as_its_source_and_then_there_is_nothing_to_do(sink, source, client):
    told = []
    sink.apply_schema(sink.schema_steps(source), told.append)
    assert shape(client.describe_table(TableName=sink._options.table)["Table"]) == shape(source.table)
    assert automatic(sink, source) == []
    assert told
    sink.open()
    apply(sink, put(KEY, 1, a="x"), deleted(KEY, 2))


def test_an_index_that_is_missing_is_added_to_a_table_that_holds_items(sink, source, client):
    without = SourceTable({**source.table, "GlobalSecondaryIndexes": source.table["GlobalSecondaryIndexes"][:1]})
    sink.apply_schema(sink.schema_steps(without))
    sink.open()
    apply(sink, put(KEY, 1, total=Decimal(7), day="monday"))
    sink.apply_schema(sink.schema_steps(source))
    there = client.describe_table(TableName=sink._options.table)["Table"]["GlobalSecondaryIndexes"]
    assert sorted(found["IndexName"] for found in there) == ["by-day", "by-total"]


def test_the_commands_that_are_shown_name_the_place_where_they_are_done(sink, source, dynamodb):
    for step in automatic(sink, source):
        assert f"--endpoint-url {dynamodb.endpoint_url}" in step.statement
        assert "--region us-east-1" in step.statement


def test_after_the_move_no_trace_of_it_is_left(sink, source, client):
    sink.apply_schema(sink.schema_steps(source))
    sink.open()
    changes = [put(Key("c", f"{n:04d}"), n, a="x" * 2000) for n in range(600)]  # several pages of a scan
    assert list(sink.load(changes)) == []
    apply(sink, deleted(Key("c", "0007"), 2000))
    own = {"customer": {"S": "c"}, "order": {"S": "0001"}, "written": {"S": "by the application"}}
    client.put_item(TableName=sink._options.table, Item=own)

    told = []
    sink.complete(told.append)

    found = list(scanned(client, sink._options.table))
    assert len(found) == 599
    assert not [item for item in found if HIDDEN in item]
    assert own in found
    assert sink._options.tombstones not in client.list_tables()["TableNames"]
    sink.complete(told.append)
    assert told[-1].endswith("is not there any more")


def scanned(client, table):
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def test_a_profile_that_does_not_exist_is_for_a_person(dynamodb, fresh_name):
    from sinks.sink import SinkMisconfigured

    options = DynamoDbOptions(
        kind="dynamodb", table=fresh_name(), region="us-east-1", endpoint_url=dynamodb.endpoint_url, profile="nobody"
    )
    with pytest.raises(SinkMisconfigured, match="the profile 'nobody' of the target"):
        DynamoDbSink(options, TEXT_KEYS).open()

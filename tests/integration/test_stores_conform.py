"""The stores of the simulation against the servers that they stand for: the same requests, the same answers."""

import random
from functools import partial
from itertools import product

import boto3
import pytest
from botocore.exceptions import ClientError
from nodetool import nodetool
from simulation.cql_store import DELETE, INSERT, UPDATE, CqlStore, Write
from simulation.dynamodb_store import DynamoStore
from simulation.dynamodb_wire import Client, SimulatedCalls, Wire
from simulation.faults import Faults
from simulation.targets import SimulatedCassandra, SimulatedDynamoDb
from sink_contract import KEY, TEXT_KEYS, apply, deleted, held, put

from daemon.control import Conflict, Control, Leader
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import Key
from sinks.dynamodb.call import Calls
from sinks.dynamodb.errors import cancellation_codes, code_of
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.sink import DynamoDbSink

pytestmark = pytest.mark.server

KEYS = [("k", str(n)) for n in range(40)]
VALUES = {
    "a": [None, "", "a", "aa", "b", "é", "\uffff", "🚀"],
    "b": [None, 0, 1, 9, 255, 256, -1, -5, -(1 << 63), (1 << 63) - 1],
    "c": [None, b"", b"\x00", b"\x7f", b"\x80", b"\xff\x00"],
}
BASE = 1_700_000_000_000_000


@pytest.fixture
def session(cassandra):
    from cassandra.cluster import Cluster

    cluster = Cluster([cassandra.host], port=cassandra.port, protocol_version=4)
    yield cluster.connect("moved")
    cluster.shutdown()


class Node:
    """A table on the real node that takes the same Writes as a CqlStore."""

    def __init__(self, session, table, key):
        self._session, self._key, self.table = session, key, table
        session.execute(f"CREATE TABLE {table} (p text, s text, a text, b bigint, c blob, PRIMARY KEY ({key}))")
        self._where = " AND ".join(f"{part} = ?" for part in "ps" if part in key)
        self._prepared = {}

    def apply(self, write):
        names, values = tuple(write.cells), tuple(write.cells.values())
        key = write.key[: self._where.count("?")]
        match write.kind:
            case "insert":
                columns = [*"ps"[: len(key)], *names]
                marks = ", ".join("?" for _ in columns)
                text = f"INSERT INTO {self.table} ({', '.join(columns)}) VALUES ({marks}) USING TIMESTAMP ?"  # noqa: S608
                self._execute(text, (*key, *values, write.timestamp))
            case "update":
                settings = ", ".join(f"{name} = ?" for name in names)
                text = f"UPDATE {self.table} USING TIMESTAMP ? SET {settings} WHERE {self._where}"  # noqa: S608
                self._execute(text, (write.timestamp, *values, *key))
            case "delete":
                text = f"DELETE FROM {self.table} USING TIMESTAMP ? WHERE {self._where}"  # noqa: S608
                self._execute(text, (write.timestamp, *key))

    def read(self, key):
        text = f"SELECT a, b, c FROM {self.table} WHERE {self._where}"  # noqa: S608
        row = self._execute(text, key[: self._where.count("?")]).one()
        return None if row is None else {name: cell for name, cell in row._asdict().items() if cell is not None}

    def _execute(self, text, values):
        if text not in self._prepared:
            self._prepared[text] = self._session.prepare(text)
        return self._session.execute(self._prepared[text], values)


def some_write(chance, key):
    kind = chance.choice([INSERT, INSERT, UPDATE, DELETE])
    names = chance.sample("abc", chance.randrange(kind == UPDATE, 4)) if kind != DELETE else []
    return Write(kind, key, BASE + chance.randrange(4), {name: chance.choice(VALUES[name]) for name in names})


@pytest.mark.parametrize("key", ["(p), s", "p"], ids=["sort-key", "no-sort-key"])
def test_cells_merge_as_on_a_node(session, fresh_name, key):
    chance, store, node = random.Random(key), CqlStore(), Node(session, fresh_name(), key)
    keys = KEYS if "s" in key else [(str(n),) for n in range(40)]
    rows = 0
    for _ in range(500):
        write = some_write(chance, chance.choice(keys))
        store.apply(write)
        node.apply(write)
        assert store.read(write.key) == node.read(write.key), write
        rows += store.read(write.key) is not None
    assert 100 < rows < 450
    assert store.visible() == {key: row for key in keys if (row := node.read(key)) is not None}


@pytest.mark.parametrize("name", "abc")
def test_every_tie_of_two_values_ends_as_on_a_node(session, fresh_name, name):
    store, node = CqlStore(), Node(session, fresh_name(), "(p), s")
    for number, (one, other) in enumerate(product(VALUES[name], VALUES[name])):
        key = ("tie", str(number))
        for value in (one, other):
            write = Write(INSERT, key, BASE, {name: value})
            store.apply(write)
            node.apply(write)
        assert store.read(key) == node.read(key), (one, other)


def test_a_purged_tombstone_lets_an_older_row_back_as_on_a_node(session, fresh_name, cassandra):
    store, node = CqlStore(gc_grace_seconds=0, now=lambda: 1.0), Node(session, fresh_name(), "(p), s")
    session.execute(f"ALTER TABLE {node.table} WITH gc_grace_seconds = 0")
    writes = [Write(INSERT, KEYS[0], BASE, {"a": "x"}), Write(DELETE, KEYS[0], BASE + 5, {})]
    writes += [Write(INSERT, KEYS[1], BASE, {"a": "kept"}), Write(UPDATE, KEYS[1], BASE + 5, {"a": None})]
    late = [Write(INSERT, key, BASE + 4, {"a": "late"}) for key in KEYS[:2]]
    for target in (store, node):
        for write in writes:
            target.apply(write)
    assert store.purge(random.Random(1)) == 2
    nodetool(cassandra, "flush", "moved", node.table)
    nodetool(cassandra, "compact", "moved", node.table)
    for target in (store, node):
        for write in late:
            target.apply(write)
        assert [target.read(key) for key in KEYS[:2]] == [{"a": "late"}, {"a": "late"}]


def both_cassandra(cassandra, fresh_name, **layout):
    place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
    options = CassandraOptions(**place, keyspace="moved", table=fresh_name(), create_table=True, **layout)
    return CassandraSink(options, TEXT_KEYS), SimulatedCassandra(CqlStore(), TEXT_KEYS, **layout)


def both_dynamodb(dynamodb, fresh_name):
    place = {"region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
    options = DynamoDbOptions(kind="dynamodb", **place, table=fresh_name(), create_table=True)
    return DynamoDbSink(options, TEXT_KEYS), SimulatedDynamoDb(DynamoStore(page_items=3), TEXT_KEYS)


def opened(sinks):
    for sink in sinks:
        sink.open()
    return sinks


TYPED = {"layout": "columns", "columns": {"n": "text", "m": "text"}}
SOME = [{"n": "x"}, {"n": "y"}, {"n": "é"}, {"m": "x"}, {"n": "x", "m": "y"}, {"o": "x"}]


def some_change(chance):
    key, version = Key("k", str(chance.randrange(20))), chance.randrange(12)
    return deleted(key, version) if chance.random() < 0.3 else put(key, version, **chance.choice(SOME))


def rows(sink, keys):
    return {key: (stored.version, stored.item.attributes()) for key, stored in sink.read(keys).items()}


@pytest.mark.parametrize("make", [both_cassandra, partial(both_cassandra, **TYPED), both_dynamodb])
def test_the_sink_leaves_the_same_rows_on_a_server_and_in_the_simulation(request, make, fresh_name):
    server = "dynamodb" if make is both_dynamodb else "cassandra"
    real, simulated = opened(make(request.getfixturevalue(server), fresh_name))
    chance, keys = random.Random(5), [Key("k", str(n)) for n in range(20)]
    try:
        for turn in range(60):
            batch = [some_change(chance) for _ in range(5)]
            loads = server == "dynamodb" and turn % 4 == 0
            if loads:
                batch = [change for change in batch if change.item is not None]
            for sink in (real, simulated):
                assert list((sink.load if loads else sink.apply)(batch)) == []
            if server == "dynamodb" and turn % 20 == 19:
                assert real.settle() == simulated.settle()
            if turn % 5 == 4:
                assert rows(real, keys) == rows(simulated, keys)
    finally:
        real.close()


def test_a_node_and_the_simulation_reject_the_same_keys(cassandra, fresh_name):
    real, simulated = opened(both_cassandra(cassandra, fresh_name))
    odd = [Key("", "1"), Key("k", ""), Key("é" * 33_000, "1"), Key("k", "é" * 33_000), Key("k" * 65_535, "1")]
    odd += [Key(b"bytes", "1"), Key("k", None), KEY]
    try:
        verdicts = [[bool(sink.apply([put_of(key)])) for key in odd] for sink in (real, simulated)]
    finally:
        real.close()
    assert verdicts[0] == verdicts[1] == [True, False, True, True, False, True, True, False]


def put_of(key):
    change = put(KEY, 1)
    return type(change)(key, change.version, change.item)


def answer(calls, operation, request):
    """What a request is answered, or why it is refused, without the words of the message."""
    try:
        told = calls.call(operation, request)
    except ClientError as error:
        return code_of(error), list(cancellation_codes(error)), error.response.get("Item")
    return {name: value for name, value in told.items() if name in ("Item", "Items", "Count", "LastEvaluatedKey")}


@pytest.fixture
def both_calls(client, fresh_name):
    """The sink's Calls on DynamoDB Local and on a store, with the same table of text keys."""
    store, table = DynamoStore(), fresh_name()
    for target in (client, Client(store)):
        Control(target, table, "m").create_table()
    real = Calls(client, boto3.session.Session(), 10.0)
    yield real, SimulatedCalls(Wire(store, Faults())), table
    real.close()


CONDITIONS = [
    None,
    "attribute_exists(#k) AND #v < :v",
    "attribute_not_exists(#k) OR #v < :v",
    "(attribute_not_exists(#k) OR #v <= :v) AND attribute_exists(#v)",
    "#v >= :v OR #v = :v AND attribute_exists(#k)",
    "attribute_not_exists(#k)",
    "#v > :v",
]


def some_action(chance, table, key=None):
    """One write, as a transaction has it."""
    kind = chance.choice(["Put", "Delete", "Update", "ConditionCheck"])
    key = key or {"migration": {"S": "m"}, "record": {"S": str(chance.randrange(6))}}
    version = chance.choice([{"N": str(chance.randrange(12))}, {"N": "2.5"}, {"N": "-3"}])
    words = chance.choice(CONDITIONS[kind == "ConditionCheck" :])
    update = {"UpdateExpression": "SET #v = :v"} if kind == "Update" else {}
    body = {"TableName": table, **({"Item": {**key, "version": version}} if kind == "Put" else {"Key": key}), **update}
    text = " ".join([words or "", *update.values()])
    names = {word: name for word, name in (("#k", "migration"), ("#v", "version")) if word in text}
    return {
        kind: {
            **body,
            **({"ConditionExpression": words} if words else {}),
            **({"ExpressionAttributeNames": names} if names else {}),
            **({"ExpressionAttributeValues": {":v": version}} if ":v" in text else {}),
        }
    }


def some_request(chance, table):
    """Operation and request: a write of its own, a transaction, or a read."""
    ((kind, body),) = some_action(chance, table).items()
    if chance.random() < 0.3 or kind == "ConditionCheck":
        keys = [{"migration": {"S": "m"}, "record": {"S": str(n)}} for n in chance.sample(range(6), 3)]
        return "TransactWriteItems", {"TransactItems": [some_action(chance, table, key) for key in keys]}
    if chance.random() < 0.2:
        key = {"migration": {"S": "m"}, "record": {"S": str(chance.randrange(6))}}
        return "GetItem", {"TableName": table, "Key": key, "ConsistentRead": True}
    shown = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if chance.random() < 0.5 else {}
    return f"{kind}Item", {**body, **shown}


def test_writes_conditions_and_transactions_are_answered_as_dynamodb_answers_them(both_calls):
    real, simulated, table = both_calls
    chance, met = random.Random(7), set()
    for _ in range(600):
        operation, request = some_request(chance, table)
        expected = answer(real, operation, request)
        assert answer(simulated, operation, request) == expected, (operation, request)
        met.add((operation, expected[0] if isinstance(expected, tuple) else bool(expected)))
    assert {operation for operation, _ in met} == {
        "PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems", "GetItem"
    }  # fmt: skip
    assert len(met) == 10
    scan = {"TableName": table, "ConsistentRead": True}
    assert unordered(answer(real, "Scan", scan)["Items"]) == unordered(answer(simulated, "Scan", scan)["Items"])


def unordered(items):
    return sorted(str(sorted(item.items())) for item in items)


def test_a_query_has_the_same_pages(both_calls):
    real, simulated, table = both_calls
    for number in range(10):
        item = {"migration": {"S": "m"}, "record": {"S": f"part#{number}" if number else "shard#0"}}
        for calls in (real, simulated):
            calls.call("PutItem", {"TableName": table, "Item": item})
    for limit in (1, 3, 9, 10, 50):
        assert pages(simulated, table, limit) == pages(real, table, limit)


PREFIXED = {
    "KeyConditionExpression": "#m = :m AND begins_with(#r, :p)",
    "ExpressionAttributeNames": {"#m": "migration", "#r": "record"},
}
NOTHING, PARTS = ({":m": {"S": "m"}, ":p": {"S": prefix}} for prefix in ("", "part#"))


def pages(calls, table, limit):
    words = {**PREFIXED, "ExpressionAttributeValues": PARTS}
    request = {"TableName": table, "ConsistentRead": True, "Limit": limit, **words}
    found = []
    while len(found) < 20:
        found.append(answer(calls, "Query", request))
        if "LastEvaluatedKey" not in found[-1]:
            return found
        request["ExclusiveStartKey"] = found[-1]["LastEvaluatedKey"]
    raise AssertionError("pages without end")


def test_what_dynamodb_refuses_the_store_refuses(both_calls):
    real, simulated, table = both_calls
    key = {"migration": {"S": "m"}, "record": {"S": "1"}}
    named = {"ExpressionAttributeNames": {"#k": "migration"}}
    text = {"ExpressionAttributeValues": {":v": {"S": "x"}}}
    item = {"TableName": table, "Item": key}
    refused = [
        ("PutItem", {**item, "Item": {"migration": {"S": "m"}}}),
        ("PutItem", {**item, "Item": {**key, "record": {"N": "1"}}}),
        ("PutItem", {**item, "Item": {**key, "record": {"S": ""}}}),
        ("PutItem", {**item, **named}),
        ("PutItem", {**item, **named, **text, "ConditionExpression": "attribute_exists(#k)"}),
        ("PutItem", {**item, **named, "ConditionExpression": "#k = :v"}),
        ("PutItem", {"TableName": "absent", "Item": key}),
        ("DeleteItem", {"TableName": table, "Key": {**key, "more": {"S": "x"}}}),
        ("UpdateItem", {"TableName": table, "Key": key, "UpdateExpression": "SET #k = :v", **named, **text}),
        ("Query", {"TableName": table, "ConsistentRead": True, **PREFIXED, "ExpressionAttributeValues": NOTHING}),
        ("TransactWriteItems", {"TransactItems": [{"Put": item}, {"Delete": {"TableName": table, "Key": key}}]}),
    ]
    for operation, request in refused:
        expected = answer(real, operation, request)
        assert isinstance(expected, tuple), (operation, request)
        assert answer(simulated, operation, request) == expected, (operation, request)


def test_the_control_table_behaves_as_on_dynamodb(client, fresh_name):
    chance, table = random.Random(9), fresh_name()
    both = [Control(target, table, "m") for target in (client, Client(DynamoStore(page_items=2)))]
    for control in both:
        control.create_table()
    conflicts = 0
    for turn in range(200):
        record, revision = f"{chance.choice('ab')}#{chance.randrange(4)}", chance.randrange(3)
        act = chance.choice([put_record, put_record, forget, look])
        expected, found = (act(control, record, revision, turn) for control in both)
        assert found == expected
        conflicts += expected == "conflict"
    assert 10 < conflicts < 100


def put_record(control, record, revision, turn):
    try:
        return control.put(record, Leader(str(turn), float(turn)), revision)
    except Conflict:
        return "conflict"


def forget(control, record, *_):
    return control.delete(record)


def look(control, record, *_):
    return control.get(record, Leader), control.all("a#", Leader)


def test_applying_to_both_at_random_was_no_empty_exercise(dynamodb, fresh_name):
    """A simulated sink without conditions must differ from the real one: the comparison can fail."""

    class Unconditional(SimulatedDynamoDb):
        def _puts(self, changes, *arguments):
            for change in changes:
                self._put_if(change, "attribute_exists(#k) OR attribute_not_exists(#k) OR #v < :v")
            return super()._puts((), *arguments)

    real, _ = both_dynamodb(dynamodb, fresh_name)
    planted = Unconditional(DynamoStore(), TEXT_KEYS)
    for sink in opened((real, planted)):
        apply(sink, put(KEY, 2), put(KEY, 1))
    assert held(real) != held(planted)
    real.close()

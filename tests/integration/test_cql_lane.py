"""The CQL lane on a real node: it stores what the driver stores, and what it confirmed outlives the node's crash."""

import random
import threading
import time

import pytest
from cassandra.cluster import Cluster
from sink_contract import TEXT_KEYS, put

from daemon.demo.servers.cassandra_node import SYNCED, CassandraNode
from daemon.retry import Retrying
from sinks.cassandra.cells import bigint, varint
from sinks.cassandra.errors import is_rejection
from sinks.cassandra.lane.dial import Access
from sinks.cassandra.lane.lane import LaneTransport
from sinks.cassandra.lane.ring import token, watched
from sinks.cassandra.layout import Mutation, step
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.cassandra.transport import StockTransport
from sinks.change import Key

pytestmark = pytest.mark.server

LOCAL_QUORUM = 6
INSERT, FOR_A_TIME, DELETE = range(3)
TTL_STEP_SECONDS = 100_000  # no test takes so long: what is left tells which multiple it was


STATEMENTS = (
    "INSERT INTO moved.TABLE (p, s, a, n) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
    "INSERT INTO moved.TABLE (p, s, a, n) VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?",
    "DELETE FROM moved.TABLE USING TIMESTAMP ? WHERE p = ? AND s = ?",
)


def statements(table):
    return [about(table, text) for text in STATEMENTS]


def about(table, text):
    return text.replace("TABLE", table)


@pytest.fixture
def make_table(session, fresh_name):
    def make():
        table = fresh_name()
        session.execute(f"CREATE TABLE moved.{table} (p text, s text, a text, n varint, PRIMARY KEY (p, s))")
        return table

    return make


@pytest.fixture
def connect(session):
    made = []

    def make(way, table):
        if way == "driver":
            made.append(StockTransport(session, statements(table), 64))
        else:
            today = watched(session.cluster.metadata, "moved", "datacenter1")
            made.append(LaneTransport(today, Access(statements(table), LOCAL_QUORUM, 10.0)))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def some_mutation(chance):
    partition, sort = f"p{chance.randrange(20)}".encode(), str(chance.randrange(10)).encode()
    version = chance.randrange(1, 500)

    def insert(at):
        text = None if chance.random() < 0.1 else chance.choice(["", "é🚀", "x" * chance.randrange(3000)]).encode()
        cells = (partition, sort, text, varint(chance.randrange(-(2**70), 2**70)), bigint(at))
        if chance.random() < 0.3:
            seconds = TTL_STEP_SECONDS * chance.randrange(1, 50)
            return step(FOR_A_TIME, (*cells, seconds.to_bytes(4)))
        return step(INSERT, cells)

    match chance.choice(["insert", "insert", "delete", "replace"]):
        case "insert":
            return Mutation(partition, (insert(version),))
        case "delete":
            return Mutation(partition, (step(DELETE, (bigint(version), partition, sort)),))
    return Mutation(partition, (step(DELETE, (bigint(version - 1), partition, sort)), insert(version)))


def held(session, table):
    shown = session.execute(
        about(table, "SELECT p, s, a, n, writetime(a), writetime(n), ttl(a), ttl(n) FROM moved.TABLE")
    )
    return {
        (row[0], row[1]): (*row[2:6], *(left and -(-left // TTL_STEP_SECONDS) for left in row[6:])) for row in shown
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_lane_and_the_driver_store_the_same_cells_with_the_same_times(session, make_table, connect, seed):
    tables = {way: make_table() for way in ("lane", "driver")}
    ways = {way: connect(way, table) for way, table in tables.items()}
    for way, transport in ways.items():
        chance = random.Random(seed)
        for _ in range(10):
            lot = [some_mutation(chance) for _ in range(80)]
            assert transport.write(lot) == [None] * 80, way
    by_lane, by_driver = (held(session, table) for table in tables.values())
    assert by_lane == by_driver
    assert len(by_lane) > 50
    assert {row[4] is None for row in by_lane.values()} == {True, False}


@pytest.mark.parametrize("way", ["lane", "driver"])
def test_of_one_partition_only_the_row_is_rejected_that_no_node_can_take(make_table, connect, session, way):
    table = make_table()
    transport = connect(way, table)
    rows = [Mutation(b"p", (step(INSERT, (b"p", str(n).encode(), b"x", varint(n), bigint(1))),)) for n in range(20)]
    rows[7] = Mutation(b"p", (step(INSERT, (b"p", b"k" * 70_000, b"x", varint(7), bigint(1))),))
    answers = transport.write(rows)
    # Too large for a batch with the others: it goes alone. With a null key it goes with them.
    assert [place for place, answer in enumerate(answers) if answer is not None] == [7]
    rows[7] = Mutation(b"p", (step(INSERT, (b"p", None, b"x", varint(7), bigint(1))),))
    answers = transport.write(rows)
    assert [place for place, answer in enumerate(answers) if answer is not None] == [7]
    assert is_rejection(answers[7])
    assert len(held(session, table)) == 19


def test_statements_that_the_node_has_dropped_are_prepared_again(session, make_table, connect):
    table = make_table()
    lane = connect("lane", table)
    row = [Mutation(b"p", (step(INSERT, (b"p", b"s", b"x", varint(1), bigint(1))),))]
    assert lane.write(row) == [None]
    session.execute(f"ALTER TABLE moved.{table} ADD another text")
    session.execute(f"ALTER TABLE moved.{table} DROP another")
    assert lane.write(row) == [None]


def test_rows_twice_as_large_as_an_item_can_become_are_stored_among_small_ones(session, make_table, connect):
    table = make_table()
    lane = connect("lane", table)

    def row(n, size):
        return Mutation(b"p", (step(INSERT, (b"p", str(n).encode(), b"x" * size, varint(n), bigint(1))),))

    sent = [row(n, 6 << 20 if n % 3 else 10) for n in range(9)]
    assert lane.write(sent) == [None] * 9
    assert {sort for _, sort in held(session, table)} == set("012345678")


def test_a_token_is_what_the_node_says_it_is(session, make_table, connect):
    table = make_table()
    keys = ["", "a", "é🚀", "k" * 100, *map(str, range(200))][1:]
    rows = [Mutation(key.encode(), (step(INSERT, (key.encode(), b"", b"", b"\0", bigint(1))),)) for key in keys]
    assert connect("lane", table).write(rows) == [None] * len(rows)
    said = {row[0]: row[1] for row in session.execute(about(table, "SELECT p, token(p) FROM moved.TABLE"))}
    assert said == {key: token(key.encode()) for key in keys}


@pytest.mark.parametrize("way", ["lane", "driver"])
def test_what_was_confirmed_before_during_and_after_a_crash_is_there(tmp_path, way):
    with CassandraNode(tmp_path, settings=SYNCED) as node:
        cluster = Cluster([node.host], port=node.port, protocol_version=4)
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        cluster.connect().execute(f"CREATE KEYSPACE moved WITH replication = {replication}")
        cluster.shutdown()
        place = {"contact_points": [node.host], "port": node.port, "local_datacenter": "datacenter1"}
        options = CassandraOptions(**place, keyspace="moved", table="t", create_table=True, transport=way)
        heard, over, written = [], threading.Event(), []
        sink = CassandraSink(options, TEXT_KEYS)
        retrying = Retrying(sink, on_trouble=heard.append, wanted=lambda: True, sleep=lambda _: time.sleep(0.2))

        def load():
            while not over.is_set():
                lot = [
                    put(Key(f"p{len(written) % 7}", str(len(written) + n)), n + 1, text="x" * 300) for n in range(200)
                ]
                assert list(retrying.apply(lot)) == []
                written.extend(change.key for change in lot)

        retrying.open()
        loader = threading.Thread(target=load)
        loader.start()
        try:
            wait_for(lambda: len(written) > 2000)
            node.kill()
            wait_for(lambda: heard)
            before = len(written)
            node.start()
            wait_for(lambda: len(written) > before + 2000)
        finally:
            over.set()
            loader.join()
        assert heard[-1] is None
        retrying.close()
        reader = CassandraSink(options, TEXT_KEYS)  # rows may go again before the driver has its connection back
        reader.open()
        assert {key for page in reader.versions() for key, _ in page} == set(written)
        reader.close()


def wait_for(true):
    while not true():
        time.sleep(0.02)

"""The contract of a sink over every sink, on real servers; then what is particular to each."""

import itertools
import random
import time
from decimal import Decimal

import msgspec
import pytest
from sink_contract import KEY, TEXT_KEYS, OrderedContract, Remembering, SinkContract, apply, deleted, held, put

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import Key, KeyAttribute, KeySchema
from sinks.dynamodb import target
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.ordered import OrderedDynamoDbSink
from sinks.dynamodb.sink import DynamoDbSink
from sinks.memory import MemorySink
from sinks.sink import SinkMisconfigured, SinkUnavailable, TargetMissing

pytestmark = pytest.mark.server


def maker(build, fresh_name):
    """A function that opens sinks on a fresh table, or on the last one again; and one that closes them all."""
    opened, state = [], {}

    def make(keys, *, fresh=True, **options):
        if fresh:
            state["table"] = fresh_name()
        sink = build(state["table"], keys, **options)
        sink.open()
        opened.append(sink)
        return sink

    return make, lambda: [sink.close() for sink in opened]


class EverySink(SinkContract):
    @pytest.fixture
    def make_sink(self, build, fresh_name):
        make, close = maker(build, fresh_name)
        yield make
        close()


class TestMemory(EverySink):
    @pytest.fixture
    def build(self):
        tables = {}
        return lambda table, _: tables.setdefault(table, MemorySink())


class TestCassandra(EverySink):
    @pytest.fixture(params=["lane", "driver"])
    def build(self, cassandra, request):
        def build(table, keys, **options):
            place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
            settings = {
                **place,
                "transport": request.param,
                "keyspace": "moved",
                "table": table,
                "create_table": True,
                **options,
            }
            return CassandraSink(CassandraOptions(**settings), keys)

        return build

    def test_a_keyspace_that_does_not_exist_is_named_with_its_statement(self, build):
        with pytest.raises(SinkMisconfigured, match='CREATE KEYSPACE IF NOT EXISTS "nowhere"'):
            build("t", TEXT_KEYS, keyspace="nowhere").open()

    def test_a_missing_table_is_named_with_its_ddl_unless_it_may_be_created(self, build):
        with pytest.raises(TargetMissing, match=r"CREATE TABLE IF NOT EXISTS"):
            build("absent", TEXT_KEYS, create_table=False).open()

    def test_a_table_with_another_key_is_refused(self, make_sink, build):
        make_sink(TEXT_KEYS)
        table = make_sink(TEXT_KEYS)._options.table
        with pytest.raises(SinkMisconfigured, match="primary key"):
            build(table, KeySchema(KeyAttribute("customer", "S"))).open()
        with pytest.raises(SinkMisconfigured, match="is text, not decimal"):
            build(table, KeySchema(KeyAttribute("customer", "N"), KeyAttribute("order", "S"))).open()

    @pytest.mark.parametrize("setting", ["gc_grace_seconds = 60", "default_time_to_live = 60"])
    def test_a_table_that_would_lose_rows_or_deletions_is_refused_with_the_alter(self, make_sink, build, setting):
        sink = make_sink(TEXT_KEYS)
        table = sink._options.table
        sink._active().execute(f'ALTER TABLE moved."{table}" WITH {setting}')
        with pytest.raises(SinkMisconfigured, match=f'ALTER TABLE "moved"."{table}" WITH'):
            build(table, TEXT_KEYS).open()

    def test_an_item_whose_json_is_seven_times_its_size_fits(self, make_sink):
        # 400 KB of booleans in DynamoDB are 2.9 MB as typed JSON.
        sink = make_sink(TEXT_KEYS)
        apply(sink, put(KEY, 1, flags=[True] * 200_000))
        assert len(held(sink)[1]["flags"]) == 200_000

    def test_a_key_too_long_for_cql_is_rejected(self, make_sink):
        rejections = make_sink(TEXT_KEYS).apply([put(Key("k" * 70_000, "1"), 1)])
        assert len(rejections) == 1

    def test_a_table_dropped_under_our_hands_is_no_rows_fault(self, make_sink):
        sink = make_sink(TEXT_KEYS)
        sink._active().execute(f'DROP TABLE moved."{sink._options.table}"')
        with pytest.raises(SinkMisconfigured):
            sink.apply([put(KEY, 1, a="x")])

    def test_a_frozen_node_is_unavailable_and_the_batch_can_be_applied_again(self, make_sink, cassandra):
        sink = make_sink(TEXT_KEYS, request_timeout_seconds=1.0)
        cassandra.freeze()
        try:
            with pytest.raises(SinkUnavailable):
                sink.apply([put(KEY, 1, a="x")])
        finally:
            cassandra.thaw()
        apply(sink, put(KEY, 1, a="x"))
        assert held(sink)[0] == 1

    def test_nobody_at_the_address_is_unavailable_and_says_where_it_looked(self, build):
        with pytest.raises(SinkUnavailable, match=r"127\.0\.0\.1:1 .*local_datacenter"):
            build("t", TEXT_KEYS).__class__(
                CassandraOptions(
                    contact_points=["127.0.0.1"], port=1, local_datacenter="datacenter1", keyspace="moved", table="t"
                ),
                TEXT_KEYS,
            ).open()

    def test_a_key_attribute_named_like_one_of_our_columns_is_refused(self, build):
        with pytest.raises(SinkMisconfigured, match="'attrs'"):
            build("collides", KeySchema(KeyAttribute("attrs", "S"))).open()


COLUMNS = {
    "a": "text",
    "n": "int",
    "number": "decimal",
    "yes": "boolean",
    "raw": "blob",
    "names": "set<text>",
    "map": "map<text, text>",  # what the suite puts there does not fit: it spills
}


class TestCassandraColumns(EverySink):
    """Layout `columns`: each put is a batch."""

    @pytest.fixture
    def build(self, cassandra):
        def build(table, keys, **options):
            place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
            own = {name: kind for name, kind in COLUMNS.items() if name not in keys.names}
            settings = {**place, "keyspace": "moved", "table": table, "create_table": True, "layout": "columns"}
            return CassandraSink(CassandraOptions(**{**settings, "columns": own, **options}), keys)

        return build

    def test_a_column_that_the_table_lacks_is_told_with_its_alter(self, make_sink, build):
        table = make_sink(TEXT_KEYS)._options.table
        sink = build(table, TEXT_KEYS, columns={**COLUMNS, "created": {"type": "timestamp", "column": "at"}})
        alter = f'ALTER TABLE "moved"."{table}" ADD "at" timestamp'
        with pytest.raises(SinkMisconfigured, match=alter):
            sink.open()
        make_sink(TEXT_KEYS, fresh=False)._active().execute(alter)
        sink.open()
        sink.close()

    def test_a_column_of_another_type_is_refused_for_cql_changes_none(self, make_sink, build):
        table = make_sink(TEXT_KEYS)._options.table
        with pytest.raises(SinkMisconfigured, match=r"'names' is frozen<set<text>>, not frozen<set<decimal>>"):
            build(table, TEXT_KEYS, columns={**COLUMNS, "names": "set<decimal>"}).open()

    def test_a_table_of_layout_document_can_get_columns_midway(self, make_sink):
        sink = make_sink(TEXT_KEYS, layout="document", columns={})
        apply(sink, put(KEY, 1, a="x", b="y"))
        table = sink._options.table
        for name, kind in COLUMNS.items():
            cql = f"frozen<{kind}>" if "<" in kind else kind
            sink._active().execute(f'ALTER TABLE "moved"."{table}" ADD "{name}" {cql}')
        apply(make_sink(TEXT_KEYS, fresh=False), put(KEY, 1, a="x", b="y"))
        assert held(make_sink(TEXT_KEYS, fresh=False)) == (1, {"customer": "alice", "order": "1", "a": "x", "b": "y"})

    def test_what_a_type_cannot_give_back_spills_and_an_item_with_it_is_whole(self, make_sink):
        sink = make_sink(TEXT_KEYS)
        odd = {"a": Decimal(1), "n": Decimal("1.5"), "yes": None, "names": frozenset({Decimal(1)})}
        apply(sink, put(KEY, 1, **odd))
        assert held(sink) == (1, {"customer": "alice", "order": "1", **odd})
        assert column(sink, "a") is None

    def test_the_policy_dead_letter_rejects_what_does_not_fit_and_names_the_attribute(self, make_sink):
        sink = make_sink(TEXT_KEYS, columns={"total": {"type": "int", "otherwise": "dead-letter"}})
        bad, good = put(KEY, 1, total="x"), put(Key("bob", "1"), 1, total=None)
        rejections = sink.apply([bad, good])
        assert [rejection.change for rejection in rejections] == [bad]
        assert "attribute 'total': S does not fit int" in rejections[0].reason
        assert held(sink, Key("bob", "1"))[1]["total"] is None


def column(sink, name):
    """What an application reads in that column of KEY."""
    table = sink._options.table
    query = f'SELECT "{name}" FROM moved."{table}" WHERE "customer" = %s AND "order" = %s'  # noqa: S608
    return sink._active().execute(query, (KEY.partition, KEY.sort)).one()[0]


class TestDynamoDb(EverySink):
    @pytest.fixture(params=["lane", "threads"])
    def build(self, dynamodb, request):
        def build(table, keys, **options):
            settings = {"table": table, "create_table": True, "endpoint_url": dynamodb.endpoint_url, **options}
            settings = {"transport": request.param, **settings}
            return DynamoDbSink(DynamoDbOptions(kind="dynamodb", region="us-east-1", **settings), keys)

        return build

    def test_a_missing_table_is_named_unless_it_may_be_created(self, build):
        with pytest.raises(TargetMissing, match=r"target\.create_table"):
            build("absent", TEXT_KEYS, create_table=False).open()

    def test_a_table_with_another_key_is_refused(self, make_sink, build):
        table = make_sink(TEXT_KEYS)._options.table
        with pytest.raises(SinkMisconfigured, match=r"customer \(S\), order \(S\).*id \(N\)"):
            build(table, KeySchema(KeyAttribute("id", "N"))).open()

    def test_a_table_with_items_that_are_not_ours_is_refused(self, make_sink, build, client):
        table = make_sink(TEXT_KEYS)._options.table
        client.put_item(TableName=table, Item={"customer": {"S": "x"}, "order": {"S": "1"}})
        with pytest.raises(SinkMisconfigured, match="must start empty"):
            build(table, TEXT_KEYS).open()

    def test_an_item_with_the_hidden_attribute_of_its_own_is_rejected(self, make_sink):
        rejections = make_sink(TEXT_KEYS).apply([put(KEY, 1, **{"moveout:version": "mine"})])
        assert "version_attribute" in rejections[0].reason

    def test_an_item_that_no_longer_fits_with_its_version_is_rejected_and_the_others_are_stored(self, make_sink):
        sink = make_sink(TEXT_KEYS)
        full = put(Key("full", "1"), 1, big="x" * (400 * 1024 - 30))
        rejections = sink.apply([full, put(KEY, 1, a="x")])
        assert [rejection.change for rejection in rejections] == [full]
        assert held(sink)[1]["a"] == "x"

    def test_an_update_that_stands_behind_a_resurrected_row_is_swept_with_it(self, make_sink):
        sink = make_sink(TEXT_KEYS)
        apply(sink, deleted(KEY, 100))
        sink.load([put(KEY, 50, a="late backfill row")])
        apply(sink, put(KEY, 90, a="replayed older update"))
        sink.settle()
        assert held(sink) is None

    def test_a_target_that_does_not_answer_is_unavailable(self, build):
        sink = build("nobody", TEXT_KEYS, endpoint_url="http://127.0.0.1:1")
        with pytest.raises(SinkUnavailable):
            sink.open()


class TestAlternatorsWay(EverySink):
    """The steps without transactions, on DynamoDB Local: no ScyllaDB is here."""

    @pytest.fixture
    def build(self, dynamodb):
        def build(table, keys, **options):
            settings = {"table": table, "create_table": True, "endpoint_url": dynamodb.endpoint_url, **options}
            return DynamoDbSink(
                DynamoDbOptions(kind="dynamodb", region="us-east-1", flavor="alternator", **settings), keys
            )

        return build

    def test_an_item_of_the_application_is_left_alone(self, make_sink, client):
        sink = make_sink(TEXT_KEYS)
        own = {"customer": {"S": KEY.partition}, "order": {"S": KEY.sort}}
        client.put_item(TableName=sink._options.table, Item=own)
        apply(sink, put(KEY, 100, a="x"), deleted(KEY, 200))
        assert client.get_item(TableName=sink._options.table, Key=own)["Item"] == own


class TestOrderedDynamoDb(OrderedContract):
    @pytest.fixture(params=["lane", "threads"])
    def build(self, dynamodb, request):
        def build(table, keys, **options):
            place = {"table": table, "create_table": True, "endpoint_url": dynamodb.endpoint_url, "region": "us-east-1"}
            settings = {**place, "mode": "ordered", "transport": request.param, **options}
            return Remembering(OrderedDynamoDbSink(DynamoDbOptions(kind="dynamodb", **settings), keys))

        return build

    @pytest.fixture
    def make_sink(self, build, fresh_name):
        make, close = maker(build, fresh_name)
        yield make
        close()

    def test_an_item_too_large_for_a_batch_is_found_among_the_others_which_are_stored(self, make_sink):
        sink = make_sink(TEXT_KEYS)
        guilty = [put(Key("big", str(n)), 1, big="x" * (400 * 1024)) for n in (3, 17)]
        sound = [put(Key("fits", str(n)), 1, n=Decimal(n)) for n in range(40)]
        rejections = sink.apply([*sound[:11], guilty[0], *sound[11:30], guilty[1], *sound[30:]])
        assert {rejection.change for rejection in rejections} == set(guilty)
        assert len(sink.read([change.key for change in sound])) == 40

    def test_no_second_table_is_made_and_the_items_are_as_they_were(self, make_sink, client):
        sink = make_sink(TEXT_KEYS)
        apply(sink, put(KEY, 1, a="x"))
        table = sink.inner._options.table
        assert client.scan(TableName=table)["Items"] == [
            {"customer": {"S": "alice"}, "order": {"S": "1"}, "a": {"S": "x"}}
        ]
        assert [name for name in client.list_tables()["TableNames"] if name.startswith(f"{table}-")] == []


def test_lane_and_threads_leave_the_same_items_behind(dynamodb, fresh_name, client):
    chance = random.Random(8)
    changes = [change for n in range(120) for change in some_history(chance, Key(f"k{n % 11}", str(n)))]
    left = {}
    for mode, transport in itertools.product(("exact", "ordered"), ("lane", "threads")):
        table = fresh_name()
        place = {"kind": "dynamodb", "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url, "table": table}
        sink = target.sink(DynamoDbOptions(**place, create_table=True, mode=mode, transport=transport), TEXT_KEYS)
        sink.open()
        for begin in range(0, len(changes), 50):
            assert list(sink.apply(changes[begin : begin + 50])) == []
        sink.close()
        left[mode, transport] = sorted(client.scan(TableName=table)["Items"], key=repr)
    assert left["exact", "lane"] == left["exact", "threads"]
    assert left["ordered", "lane"] == left["ordered", "threads"]
    for item in left["exact", "lane"]:
        del item["moveout:version"]
    assert sorted(left["exact", "lane"], key=repr) == left["ordered", "lane"]
    assert len(left["ordered", "lane"]) > 50


def some_history(chance, key):
    """Puts and deletions of one key, in order."""
    for version in range(chance.randrange(1, 4)):
        gone = version and chance.random() < 0.4
        yield (
            deleted(key, version) if gone else put(key, version, n=Decimal(version), raw=bytes([version]), t="ž\u2028")
        )


class UnversionedCassandra(CassandraSink):
    """Planted: rows are written as of now and not as of their version."""

    def apply(self, changes):
        return super().apply([msgspec.structs.replace(change, version=time.time_ns() // 1000) for change in changes])


class UnconditionalDynamoDb(DynamoDbSink):
    """Planted: items are put without asking which version is there."""

    def _puts(self, changes, *arguments):
        # Always true, and it names every placeholder: one that is not used is refused.
        for change in changes:
            self._put_if(change, "attribute_exists(#k) OR attribute_not_exists(#k) OR #v < :v")
        return super()._puts((), *arguments)


@pytest.mark.parametrize(
    "promise",
    [
        SinkContract.test_an_older_put_changes_nothing,
        SinkContract.test_a_delete_of_a_row_never_seen_is_remembered,
    ],
    ids=lambda promise: promise.__name__,
)
@pytest.mark.parametrize("planted", [UnversionedCassandra, UnconditionalDynamoDb])
def test_a_sink_that_ignores_versions_breaks_the_contract(planted, promise, cassandra, dynamodb, fresh_name):
    if planted is UnversionedCassandra:
        place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
        options = CassandraOptions(**place, keyspace="moved", table=fresh_name(), create_table=True)
    else:
        place = {"region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
        options = DynamoDbOptions(kind="dynamodb", **place, table=fresh_name(), create_table=True)
    sink = planted(options, TEXT_KEYS)
    sink.open()
    try:
        # It does store: the promise below is broken by what it stores, not by a request that is refused.
        apply(sink, put(Key("bob", "1"), 1))
        with pytest.raises(AssertionError):
            promise(SinkContract(), sink)
    finally:
        sink.close()

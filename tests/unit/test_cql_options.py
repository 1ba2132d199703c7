import pytest
from pydantic import ValidationError
from sink_contract import TEXT_KEYS

from sinks.cassandra import schema
from sinks.cassandra.naming import table_name
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.cassandra.values import UnknownType, codec
from sinks.change import KeyAttribute, KeySchema
from sinks.sink import SinkMisconfigured

PLACE = {"contact_points": ["x"], "local_datacenter": "d", "keyspace": "k", "table": "t"}


def options(**said):
    return CassandraOptions(**{**PLACE, **said})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"layout": "columns"}, "layout columns needs `columns`"),
        ({"columns": {"a": "text"}}, "`columns` needs `layout: columns`"),
        ({"layout": "columns", "columns": {"a": "float"}}, "'float' is no type that moveout writes; known are text"),
        ({"layout": "columns", "columns": {"a": "set<boolean>"}}, "sets hold text, numbers or bytes"),
        ({"layout": "columns", "columns": {"a": "map<int, text>"}}, "a map is map<text"),
        ({"layout": "columns", "columns": {"a": "text", "b": {"type": "text", "column": "a"}}}, "called 'a'"),
        ({"layout": "columns", "columns": {"version": "int"}}, "called 'version'"),
        ({"layout": "columns", "columns": {"a": "text"}, "keys": {"a": "text"}}, "under `keys` and under `columns`"),
        ({"layout": "columns", "columns": {"a": {"type": "text", "form": "seconds"}}}, "form says how a timestamp"),
        ({"attrs_column": "version"}, "called 'version'"),
        ({"keyspace": "größe"}, "String should match"),
        ({"ttl": {"attribute": "expires", "as": "never"}}, "'data' or 'ttl'"),
    ],
)
def test_what_cannot_be_a_table_is_refused_before_anything_is_touched(said, told):
    with pytest.raises(ValidationError, match=told):
        options(**said)


@pytest.mark.parametrize(
    ("keys", "said", "told"),
    [
        ("S N", {"keys": {"total": "int"}}, "target.keys names total; the key of the source is id"),
        ("S N", {"layout": "columns", "columns": {"id": "text"}}, "target.columns names id, of the key"),
        ("S N", {"keys": {"id": {"column": "at"}}}, "both parts of the key would be the column 'at'"),
        ("S N", {"version_column": "id"}, "set target.keys.id.column, target.attrs_column"),
        ("S N", {"keys": {"id": "bigint"}}, "a key of type S cannot be bigint; it can be text, ascii"),
        ("S N", {"keys": {"at": "text"}}, "text would change the order of the sort key: text orders 10 before 9"),
        ("S S", {"keys": {"at": "uuid"}}, "uuid would change the order"),
        ("S S", {"keys": {"at": {"type": "timestamp", "form": "iso"}}}, "timestamp would change the order"),
        ("N N", {"keys": {"id": "timestamp"}}, "a timestamp of type N needs form: seconds or milliseconds"),
    ],
)
def test_what_does_not_suit_the_key_of_the_source_is_refused_without_a_connection(keys, said, told):
    partition, sort = keys.split()
    with pytest.raises(SinkMisconfigured, match=told):
        CassandraSink(options(**said), KeySchema(KeyAttribute("id", partition), KeyAttribute("at", sort)))


def test_the_columns_are_told_in_the_order_of_the_table_with_types_as_a_node_tells_them():
    said = options(
        layout="columns",
        keys={"customer": {"column": "customer_id", "type": "uuid"}},
        columns={"tags": "list< set<TEXT> >", "created": {"type": "timestamp", "column": "at"}},
    )
    assert schema.columns(said, TEXT_KEYS) == {
        "customer_id": "uuid",
        "order": "text",
        "tags": "frozen<list<frozen<set<text>>>>",
        "at": "timestamp",
        "attrs": "text",
        "version": "bigint",
    }
    assert schema.attribute_columns(said, TEXT_KEYS) == {
        "customer": "customer_id",
        "order": "order",
        "tags": "tags",
        "created": "at",
    }


@pytest.mark.parametrize(
    "declared", ["", "list<>", "list<text", "map<text>", "frozen<list<list>>", "counter", "tuple<int>"]
)
def test_a_type_that_no_column_of_ours_can_have_is_unknown(declared):
    with pytest.raises(UnknownType):
        codec(declared)


def test_names_of_dynamodb_become_names_of_cql():
    assert table_name("Orders_2") == "Orders_2"
    assert table_name("eu.orders-2026") == "eu_orders_2026"


def test_long_names_that_begin_alike_stay_apart_and_fit():
    names = [table_name("orders." * 20 + end) for end in ("a", "b")]
    assert len(set(names)) == 2
    assert all(len(name) <= 48 for name in names)

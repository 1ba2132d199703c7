"""What a node gives back of items and keys in every type that a column can have."""

from decimal import Decimal

import pytest
from cql_items import COLUMNS, mixed_items
from hypothesis import HealthCheck, given, settings
from sink_contract import TEXT_KEYS, apply, deleted, put

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import Key, KeyAttribute, KeySchema

pytestmark = pytest.mark.server
some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def open_sink(cassandra):
    opened = []

    def made(table, schema, /, **options):
        place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}
        settings = {**place, "keyspace": "moved", "table": table, "create_table": True, **options}
        sink = CassandraSink(CassandraOptions(**settings), schema)
        sink.open()
        opened.append(sink)
        return sink

    yield made
    for sink in opened:
        sink.close()


@pytest.fixture(scope="module", params=["document", "columns"])
def sink(request, open_sink):
    options = {"layout": "columns", "columns": COLUMNS} if request.param == "columns" else {}
    return open_sink(f"every_type_{request.param}", TEXT_KEYS, **options)


def test_every_item_is_read_back_exactly_from_a_node(sink):
    keys = (Key("one", str(number)) for number in range(10**9))

    @some
    @given(mixed_items)
    def read_back(item):
        key = next(keys)
        apply(sink, put(key, 1, **item))
        assert sink.read([key])[key].item.attributes() == {"customer": key.partition, "order": key.sort, **item}

    read_back()


KEYS = {
    "uuid": ("S", ["3f2504e0-4f89-41d3-9a0c-0305e82c3301"], ["3F2504E0-4F89-41D3-9A0C-0305E82C3301", "x"]),
    "ascii": ("S", ["a", "~"], ["ü"]),
    "bigint": ("N", [Decimal(9), Decimal(10), Decimal(-(2**63))], [Decimal("1.5"), Decimal(2**63)]),
    "int": ("N", [Decimal(9), Decimal(-1)], [Decimal(2**31)]),
    "varint": ("N", [Decimal(9), Decimal(10**37)], [Decimal("0.1")]),
    "text": ("N", [Decimal("1.5"), Decimal(600)], []),
    "iso-milliseconds": ("S", ["2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.500Z"], ["2026-01-31T12:00:00Z"]),
    "seconds": ("N", [Decimal(-1), Decimal(1_700_000_000)], [Decimal("1.0001"), Decimal(10**20)]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_another_type_is_the_same_key_and_one_that_does_not_fit_is_rejected(open_sink, kind):
    source_type, fitting, others = KEYS[kind]
    timed = kind in ("iso-milliseconds", "seconds")
    column = {"column": "Its Name", "type": "timestamp" if timed else kind, "form": kind if timed else None}
    keys = KeySchema(KeyAttribute("id", source_type))
    sink = open_sink(f"key_{kind}".replace("-", "_"), keys, keys={"id": column})
    good, bad = [Key(value) for value in fitting], [Key(value) for value in others]
    rejections = sink.apply([put(key, 1, keys, a="x") for key in (*good, *bad)])
    assert [rejection.change.key for rejection in rejections] == bad
    assert all("key attribute 'id'" in rejection.reason for rejection in rejections)
    assert {key for page in sink.versions() for key, _ in page} == set(good)
    found = sink.read([*good, *bad])
    assert {key: stored.item.attributes() for key, stored in found.items()} == {
        key: {"id": key.partition, "a": "x"} for key in good
    }
    apply(sink, *(deleted(key, 2) for key in good))
    assert sink.read(good) == {}


ORDERED = {
    "bigint": ("N", [Decimal(-3), Decimal(9), Decimal(10)]),
    "varint": ("N", [Decimal(-3), Decimal(9), Decimal(10)]),
    "decimal": ("N", [Decimal("-0.5"), Decimal(9), Decimal(10)]),
    "ascii": ("S", ["A", "a", "aa"]),
    "iso-milliseconds": ("S", ["1969-12-31T23:59:59.999Z", "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.500Z"]),
    "milliseconds": ("N", [Decimal(-1), Decimal(0), Decimal(10**12)]),
}


@pytest.mark.parametrize("kind", ORDERED)
def test_a_sort_key_of_another_type_keeps_dynamodbs_order(open_sink, kind):
    source_type, values = ORDERED[kind]
    timed = kind not in ("bigint", "varint", "decimal", "ascii")
    column = {"type": "timestamp" if timed else kind, "form": kind if timed else None}
    keys = KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", source_type))
    sink = open_sink(f"sorted_{kind}".replace("-", "_"), keys, keys={"at": column})
    apply(sink, *(put(Key("x", value), 1, keys) for value in reversed(values)))
    assert [key.sort for page in sink.versions() for key, _ in page] == values


def test_names_that_collide_can_be_mapped_and_need_quotes(open_sink):
    keys = KeySchema(KeyAttribute("attrs", "S"), KeyAttribute("version", "N"))
    names = {"attrs": {"column": 'The "Key"'}, "version": {"column": "select"}}
    sink = open_sink("names", keys, keys=names, attrs_column="Rest of it", version_column="as.of")
    key = Key("a", Decimal(1))
    apply(sink, put(key, 1, keys, select="x"))
    assert sink.read([key])[key].item.attributes() == {"attrs": "a", "version": Decimal(1), "select": "x"}
    columns = sink._target()._node.metadata().keyspaces["moved"].tables["names"].columns
    assert set(columns) == {'The "Key"', "select", "Rest of it", "as.of"}

from decimal import Decimal

import pytest
from cql_items import read
from sink_contract import KEY, TEXT_KEYS, put

from sinks.attributes import canonical
from sinks.cassandra.cells import UNSET
from sinks.cassandra.columns import ColumnsLayout
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.values import Unfit, codec

PLACE = {"contact_points": ["x"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
NEARLY_ONE = Decimal("0." + "9" * 37)


@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        ("text", None, Decimal(1)),
        ("ascii", None, "ü"),
        ("boolean", None, Decimal(1)),
        ("int", None, True),
        ("int", None, Decimal(2**31)),
        ("int", None, Decimal(-(2**31) - 1)),
        ("bigint", None, Decimal(2**63)),
        ("bigint", None, Decimal("1.5")),
        ("varint", None, Decimal("0.1")),
        ("double", None, NEARLY_ONE),
        ("double", None, Decimal(2**60 + 1)),
        ("blob", None, "text"),
        ("uuid", None, UUID.upper()),
        ("uuid", None, UUID.replace("-", "")),
        ("timestamp", None, "2026-01-31T12:00:00.000Z"),  # comes back without its zeros
        ("timestamp", None, "2026-01-31T12:00:00+00:00"),
        ("timestamp", None, "2026-01-31T12:00:00.123456Z"),
        ("timestamp", None, "2026-01-31"),
        ("timestamp", None, "tomorrow"),
        ("timestamp", None, Decimal(1)),
        ("timestamp", "iso-milliseconds", "2026-01-31T12:00:00Z"),
        ("timestamp", "seconds", Decimal("1.0001")),
        ("timestamp", "seconds", Decimal(10**120)),
        ("timestamp", "milliseconds", Decimal("0.5")),
        ("timestamp", "milliseconds", "1"),
        ("list<text>", None, ["a", None]),
        ("list<text>", None, ["a", Decimal(1)]),
        ("list<text>", None, frozenset({"a"})),
        ("set<text>", None, frozenset({Decimal(1)})),
        ("set<text>", None, frozenset({"x" * 65_536})),
        ("map<ascii, text>", None, {"ü": "x"}),
        ("map<text, text>", None, {"x" * 65_536: "x"}),
        ("map<text, int>", None, {"a": None}),
    ],
)
def test_what_would_not_come_back_exactly_does_not_fit(kind, form, value):
    with pytest.raises(Unfit):
        codec(kind, form).encode(value)


@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        ("int", None, Decimal(-(2**31))),
        ("bigint", None, Decimal(2**63 - 1)),
        ("varint", None, canonical("9.9E+125")),
        ("decimal", None, canonical("1E-130")),
        ("double", None, Decimal("0.1")),
        ("double", None, canonical("1E+125")),
        ("timestamp", None, "0001-01-01T00:00:00Z"),
        ("timestamp", None, "9999-12-31T23:59:59.999Z"),
        ("timestamp", "seconds", Decimal("-0.001")),
        ("text", None, ""),
        ("list<text>", None, []),
        ("map<text, text>", None, {}),
        ("map<text, text>", None, {"": ""}),
        ("blob", None, b""),
    ],
)
def test_the_edges_of_each_type_fit_and_come_back(kind, form, value):
    known = codec(kind, form)
    assert known.decode(read(known.encode(value), known.name)) == value


def test_an_absent_attribute_and_one_that_spills_write_neither_a_value_nor_a_tombstone():
    columns = {"absent": "text", "odd": "int", "nothing": "text", "there": "int"}
    layout = ColumnsLayout(CassandraOptions(**PLACE, layout="columns", columns=columns), TEXT_KEYS)
    change = put(KEY, 1, odd="x", nothing=None, there=Decimal(1))
    *cells, attrs, _, _ = layout.mutation(change).steps[1].cells[2:]
    assert cells == [UNSET, UNSET, UNSET, (1).to_bytes(4)]
    assert attrs == b'{"odd":{"S":"x"},"nothing":{"NULL":true}}'


def test_an_attribute_that_stands_in_both_places_is_read_once():
    columns = {"a": "int"}
    layout = ColumnsLayout(CassandraOptions(**PLACE, layout="columns", columns=columns), TEXT_KEYS)
    stored = layout.stored(KEY, ['{"a":{"N":"1"}}', 1, 1])
    assert stored.item.json.count(b'"a"') == 1

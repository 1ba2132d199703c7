"""Layouts without a node: cells as the driver reads them. Through a node: integration/test_cql_items.py."""

from cql_items import COLUMNS, fitting_items, mixed_items, read
from hypothesis import HealthCheck, given, settings
from sink_contract import KEY, TEXT_KEYS, put

from sinks.cassandra.columns import ColumnsLayout
from sinks.cassandra.layout import DocumentLayout
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.schema import typed_columns

PLACE = {"contact_points": ["x"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
OPTIONS = CassandraOptions(**PLACE, layout="columns", columns=COLUMNS)
LAYOUT = ColumnsLayout(OPTIONS, TEXT_KEYS)
TYPES = typed_columns(OPTIONS)
many = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def row_of(item):
    """What a SELECT of LAYOUT answers for this item: attrs, version, typed columns."""
    change = put(KEY, 1, **item)
    _, *cells, attrs, _, _ = LAYOUT.mutation(change).steps[1].cells[1:]
    return [
        attrs.decode(),
        change.version,
        *(read(cell, name) for cell, name in zip(cells, TYPES.values(), strict=True)),
    ]


@many
@given(mixed_items)
def test_any_item_comes_back_exactly_from_typed_columns(item):
    stored = LAYOUT.stored(KEY, row_of(item))
    assert stored.item.attributes() == {"customer": "alice", "order": "1", **item}


@many
@given(fitting_items)
def test_what_fits_its_type_lies_in_its_column_and_nothing_spills(item):
    attrs, _, *columns = row_of(item)
    assert attrs == "{}"
    assert sum(value is not None for value in columns) == len(item)


@many
@given(mixed_items)
def test_any_item_comes_back_exactly_from_the_document(item):
    layout = DocumentLayout(CassandraOptions(**PLACE), TEXT_KEYS)
    change = put(KEY, 1, **item)
    *_, attrs, _, _ = layout.mutation(change).steps[0].cells
    stored = layout.stored(KEY, (attrs.decode(), change.version))
    assert stored.item.attributes() == {"customer": "alice", "order": "1", **item}

"""Indexes of the source as views: which CQL can express, and what is said of the others."""

import pytest

from sinks.cassandra import views
from sinks.cassandra.options import CassandraOptions
from sinks.change import KeyAttribute, KeySchema
from sinks.provision import SourceTable

KEYS = KeySchema(KeyAttribute("customer", "S"), KeyAttribute("order", "S"))
TYPED = {"customer": "customer_id", "order": "order", "total": "total", "city": "city"}
OPTIONS = CassandraOptions(contact_points=["n"], local_datacenter="dc", keyspace="k", table="orders")


def index(hash_key, range_key=None, *, name="by_x", kind="GlobalSecondaryIndexes", **projection):
    schema = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    schema += [{"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else []
    told = {"IndexName": name, "KeySchema": schema, "Projection": projection or {"ProjectionType": "ALL"}}
    return SourceTable({kind: [told]})


def proposed(source, *, typed=TYPED, present=()):
    return list(views.proposals(source, OPTIONS, KEYS, typed, present))


def primary_key(source):
    (step,) = proposed(source)
    assert step.by_hand
    return step.statement.partition("PRIMARY KEY ")[2]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("city",), '(("city"), "customer_id", "order")'),
        (("city", "order"), '(("city"), "order", "customer_id")'),
        (("order", "city"), '(("order"), "city", "customer_id")'),
        (("order", "customer"), '(("order"), "customer_id")'),
        (("customer", "city"), '(("customer_id"), "city", "order")'),
        (("order",), '(("order"), "customer_id")'),
    ],
)
def test_an_index_with_at_most_one_attribute_beside_the_key_is_a_view(keys, expected):
    assert primary_key(index(*keys)) == expected


def test_a_local_index_keeps_the_partition():
    assert (
        primary_key(index("customer", "total", kind="LocalSecondaryIndexes")) == '(("customer_id"), "total", "order")'
    )


def test_every_column_of_a_views_key_is_not_null_as_in_a_sparse_index():
    (step,) = proposed(index("city"))
    assert step.statement.count("IS NOT NULL") == 3


def test_two_attributes_beside_the_key_are_no_view_and_what_can_be_done_is_said():
    (step,) = proposed(index("city", "total"))
    assert "MATERIALIZED VIEW" not in step.statement
    assert "'city' and 'total'" in step.why
    assert "table of your own" in step.why
    assert step.statement == """CREATE INDEX IF NOT EXISTS ON "k"."orders" ("city") USING 'sai'"""


def test_an_attribute_inside_attrs_has_no_view():
    (step,) = proposed(index("city", "colour"))
    assert "'colour' would lie in attrs" in step.why
    assert not step.statement.startswith("CREATE")


def test_a_projection_is_kept_where_its_attributes_are_columns():
    (keys_only,) = proposed(index("city", ProjectionType="KEYS_ONLY"))
    assert 'SELECT "city", "customer_id", "order" FROM' in keys_only.statement
    (some,) = proposed(index("city", ProjectionType="INCLUDE", NonKeyAttributes=["total"]))
    assert 'SELECT "city", "customer_id", "order", "total" FROM' in some.statement
    (hidden,) = proposed(index("city", ProjectionType="INCLUDE", NonKeyAttributes=["colour"]))
    assert "SELECT * FROM" in hidden.statement
    assert "'colour'" in hidden.why


def test_a_view_that_is_there_is_not_proposed_again():
    assert proposed(index("city", name="by_city"), present=["orders_by_city"]) == []


def test_names_that_cql_refuses_get_others_and_no_two_the_same():
    names = {views.view_name("orders", name) for name in ("a.b", "a-b", "a_b", "x" * 60, "x" * 61)}
    assert len(names) == 5
    assert all(len(name) <= 48 and name.replace("_", "").isalnum() for name in names)
    assert views.view_name("orders", "a_b") == "orders_a_b"


def test_a_table_without_indexes_needs_no_view():
    assert proposed(SourceTable({})) == []

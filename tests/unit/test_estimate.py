"""The estimate: by hand where a figure is known, `unknown` where it is not, never invented."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Config
from daemon.estimate import UNKNOWN, Basis, estimates, gather

FILE = {
    "migration": "orders",
    "source": {"table": "orders", "region": "eu-west-1"},
    "backfill": {"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json"},
    "target": {"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
}
CQL = {"kind": "cassandra", "contact_points": ["a"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
KNOWN = Basis(1_000_000, 500_000_000, "manifest-summary.json", shards=3)


def config(**changes):
    return Config(**{**FILE, **changes})


def told(basis, **changes):
    return {figure.name: figure for figure in estimates(config(**changes), basis)}


def backfill(**more):
    return {**FILE["backfill"], **more}


def scan(**more):
    return {"backfill": {"from": "scan", "scan": more}, "dead_letters": {"to": "/letters"}}


def test_items_size_and_mean_are_told_with_where_they_are_from():
    figures = told(KNOWN)
    assert (figures["items"].told, figures["items"].source) == ("1,000,000", "manifest-summary.json")
    assert figures["size"].told == "477 MiB (500,000,000 bytes)"
    assert figures["mean item"].told == "500 bytes"


def test_write_units_lie_between_no_rounding_and_one_unit_more_for_each_item():
    figure = told(KNOWN)["write units"]
    # 500 bytes and the version's 15 + 9 are 0.51 KB: one unit each.
    assert figure.value == 1_000_000
    assert figure.value_max == pytest.approx(524_000_000 / 1024 + 1_000_000)
    assert figure.told == "1,000,000 to 1,511,719"


@given(st.lists(st.integers(1, 400 * 1024), min_size=1, max_size=50))
def test_what_items_of_any_sizes_really_cost_lies_in_the_range(sizes):
    figure = told(Basis(len(sizes), sum(sizes), "x"))["write units"]
    real = sum(-(-(size + 24) // 1024) for size in sizes)
    assert figure.value <= real <= figure.value_max


def test_a_cql_target_gets_rows_and_bytes_and_no_units():
    figures = told(KNOWN, target=CQL)
    assert "write units" not in figures
    assert figures["written"].told.startswith("1,000,000 rows, more than 477 MiB")
    assert "1,000,000 lines" in told(KNOWN, target={"kind": "jsonl", "to": "/lines"})["written"].told


def test_the_time_is_by_the_configured_rate():
    figure = told(KNOWN, backfill=backfill(items_per_second=50))["load"]
    assert (figure.value, figure.told) == (20_000, "5 h 33 min at 50 items/s")


def test_without_a_rate_it_says_what_24_hours_would_need():
    figure = told(KNOWN)["load"]
    assert figure.told.startswith(
        "as fast as the target takes it; within 24 hours that is 12 items/s or more, 17 write"
    )


def test_an_export_that_is_there_costs_no_more_and_one_to_be_made_has_its_basis_and_a_price_to_verify():
    assert told(KNOWN)["export"].told == "nothing more: it is there already"
    asked = {"export": {"bucket": "exports"}}
    figure = told(Basis(1, 3 * 2**30, "DescribeTable", to_be_exported=True), backfill=asked)["export"]
    assert (figure.value, figure.unit) == (3, "GB")
    assert "3.00 GB" in figure.told
    assert "verify" in figure.told


@pytest.mark.parametrize(("consistent", "units"), [(False, 500_000_000 / 8192), (True, 500_000_000 / 4096)])
def test_a_scan_costs_read_units_by_bytes_and_twice_as_many_when_consistent(consistent, units):
    table = {"ProvisionedThroughput": {"ReadCapacityUnits": 100}}
    figures = told(
        Basis(1_000_000, 500_000_000, "DescribeTable", table=table), **scan(consistent=consistent, read_percent=50)
    )
    assert figures["read units"].value == pytest.approx(units)
    assert figures["scan"].value == pytest.approx(units / 50)
    assert "50 % of 100 units" in figures["scan"].source


def test_the_time_of_a_scan_that_is_held_to_no_known_rate_is_unknown():
    on_demand = {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}
    basis = Basis(10, 10_000, "DescribeTable", table=on_demand)
    assert told(basis, **scan())["scan"].told == UNKNOWN
    percent = told(basis, **scan(read_percent=50))["scan"]
    assert (percent.told, "cannot be told" in percent.source) == (UNKNOWN, True)


def test_the_stream_costs_by_its_open_shards():
    figures = told(KNOWN)
    assert figures["stream"].value == 3 * 4 * 3600
    assert "43,200 read requests an hour" in figures["stream"].told
    assert figures["heartbeats"].value == pytest.approx(0.6)
    assert "stream" not in told(KNOWN, mode="backfill")
    assert set(told(KNOWN, mode="tail")) == {"stream", "heartbeats"}


@pytest.mark.parametrize("target", [FILE["target"], CQL], ids=["dynamodb", "cassandra"])
@pytest.mark.parametrize("changes", [{}, scan(read_percent=10)], ids=["export", "scan"])
def test_what_is_not_known_is_unknown_and_never_a_number(target, changes):
    why = "the source table cannot be described"
    figures = told(Basis(source=why), target=target, **changes)
    numbers = {name for name, figure in figures.items() if figure.value is not None}
    assert numbers == set()
    assert figures["items"].source == why
    assert {name for name, figure in figures.items() if figure.told != UNKNOWN} <= {"export"}


def test_an_empty_table_costs_nothing_and_divides_by_nothing():
    figures = told(Basis(0, 0, "DescribeTable", shards=1))
    assert (figures["mean item"].told, figures["write units"].told) == (UNKNOWN, "0 to 0")


def away(**_):
    raise EndpointConnectionError(endpoint_url="http://nowhere")


def test_a_source_that_cannot_be_asked_leaves_the_figures_unknown():
    known = SimpleNamespace(config=config(mode="backfill", **scan()), dynamodb=SimpleNamespace(describe_table=away))
    found = gather(known)
    assert (found.items, found.size_bytes, found.table) == (None, None, None)


def test_the_table_is_the_basis_without_an_export_and_is_said_to_lag():
    table = {"Table": {"ItemCount": 7, "TableSizeBytes": 700}}
    source = SimpleNamespace(describe_table=lambda **_: table)
    found = gather(SimpleNamespace(config=config(mode="backfill", **scan()), dynamodb=source))
    assert (found.items, found.size_bytes, "6 hours" in found.source) == (7, 700, True)
    asked = config(mode="backfill", backfill={"export": {"bucket": "exports"}})
    assert gather(SimpleNamespace(config=asked, dynamodb=source)).to_be_exported

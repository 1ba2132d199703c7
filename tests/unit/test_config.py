from pathlib import Path

import pytest

from daemon.config import Config, ConfigurationError, load, load_all
from sinks.cassandra.options import CassandraOptions
from sinks.dynamodb.options import DynamoDbOptions
from sinks.jsonl.options import JsonlOptions

GOOD = """
migration: orders
source: {table: orders, region: eu-west-1}
backfill: {manifest: "s3://b/p/AWSDynamoDB/01/manifest-summary.json"}
target: {kind: cassandra, contact_points: [a], local_datacenter: dc1, keyspace: k, table: t}
"""


def written(tmp_path, text):
    path = tmp_path / "moveout.yaml"
    path.write_text(text)
    return path


def test_a_short_file_is_enough(tmp_path):
    config = load(written(tmp_path, GOOD))
    assert isinstance(config.target, CassandraOptions)
    assert (config.control.table, config.server.port) == ("moveout-control", 8080)


def test_the_kind_of_the_target_decides_which_options_are_known(tmp_path):
    text = GOOD.replace(
        "{kind: cassandra, contact_points: [a], local_datacenter: dc1, keyspace: k, table: t}",
        "{kind: dynamodb, table: moved, region: us-east-1}",
    )
    config = load(written(tmp_path, text))
    assert isinstance(config.target, DynamoDbOptions)
    assert config.target.tombstones == "moved-moveout-tombstones"


def test_a_target_of_json_lines_is_a_place_and_no_table(tmp_path):
    text = GOOD.partition("target:")[0]
    config = load(written(tmp_path, text + "target: {kind: jsonl, to: /var/lines}\n"))
    assert isinstance(config.target, JsonlOptions)
    with pytest.raises(ConfigurationError, match="region is missing: give the one of the bucket"):
        load(written(tmp_path, text + 'target: {kind: jsonl, to: "s3://b/p"}\n'))


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVEOUT_SERVER__LISTEN", "0.0.0.0:9000")
    monkeypatch.setenv("MOVEOUT_TAIL__WORKER_ID", "pod-3")
    config = load(written(tmp_path, GOOD))
    assert (config.server.host, config.server.port, config.tail.worker_id) == ("0.0.0.0", 9000, "pod-3")  # noqa: S104


def test_every_fault_is_named_at_once(tmp_path):
    text = GOOD.replace("region: eu-west-1", "regoin: eu-west-1").replace("keyspace: k,", "")
    text = text.replace("s3://b/p/AWSDynamoDB/01/manifest-summary.json", "b/p").replace(
        "migration: orders", "migration: Or ders"
    )
    with pytest.raises(ConfigurationError) as told:
        load(written(tmp_path, text))
    for place in (
        "migration",
        "source.region: is missing",
        "source.regoin: is not a known option",
        "backfill.manifest",
        "target.keyspace: is missing",
    ):
        assert place in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold a mapping"),
        ("migration: [", "is not YAML"),
        (GOOD.replace("kind: cassandra", "kind: mysql"), "kind must be 'cassandra', 'dynamodb' or 'jsonl'"),
        (GOOD.replace("kind: cassandra, ", ""), "kind must be"),
    ],
)
def test_bad_files_get_one_clear_error(tmp_path, text, said):
    with pytest.raises(ConfigurationError, match=said):
        load(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named_with_an_example():
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml.*moveout\.example\.yaml"):
        load(Path("nowhere.yaml"))


def test_a_lag_limit_below_what_heartbeats_can_prove_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="heartbeat_seconds"):
        load(written(tmp_path, GOOD + "tail: {heartbeat_seconds: 10}\nready: {max_lag_seconds: 5}\n"))


def test_the_example_that_ships_is_a_good_file():
    example = Path(__file__).parent.parent.parent / "deploy" / "moveout.example.yaml"
    assert load(example).migration


SEVERAL = """
migration: shop
source: {region: eu-west-1}
backfill: {workers: 3}
dead_letters: {to: /letters}
target: {kind: dynamodb, region: us-east-1}
tables:
  - source: {table: orders}
    target: {table: orders-moved}
    backfill: {manifest: "s3://b/o/AWSDynamoDB/01/manifest-summary.json"}
  - source: {table: customers}
    target: {table: customers-moved}
    backfill: {from: scan, workers: 1}
"""


def test_several_tables_share_what_is_said_once_and_may_differ(tmp_path):
    orders, customers = load_all(written(tmp_path, SEVERAL))
    assert (orders.name, customers.name) == ("shop.orders", "shop.customers")
    assert (orders.backfill.workers, customers.backfill.workers) == (3, 1)
    assert (orders.backfill.from_, customers.backfill.from_) == ("s3-export", "scan")
    assert orders.target.region == customers.target.region == "us-east-1"


def test_one_of_several_tables_is_chosen_by_name(tmp_path):
    path = written(tmp_path, SEVERAL)
    assert load(path, "customers").name == "shop.customers"
    with pytest.raises(ConfigurationError, match="choose one with --table: orders, customers"):
        load(path)
    with pytest.raises(ConfigurationError, match="no table 'order'; it moves orders, customers"):
        load(path, "order")


def test_a_table_keeps_its_records_apart_from_the_others_and_alone_under_the_migrations_name(tmp_path):
    assert load(written(tmp_path, GOOD)).name == "orders"
    orders, customers = load_all(
        written(
            tmp_path,
            SEVERAL.replace("dead_letters: {to: /letters}\n", "").replace(
                "from: scan, workers: 1", 'manifest: "s3://b/c/AWSDynamoDB/01/manifest-summary.json"'
            ),
        )
    )
    assert orders.dead_letters_to == "s3://b/moveout/shop/orders/dead-letters"
    assert customers.dead_letters_to == "s3://b/moveout/shop/customers/dead-letters"


def test_letters_of_several_tables_never_share_a_folder_for_equal_keys_make_equal_names(tmp_path):
    orders, customers = load_all(written(tmp_path, SEVERAL))
    assert (orders.dead_letters_to, customers.dead_letters_to) == ("/letters/orders", "/letters/customers")
    alone = GOOD + "dead_letters: {to: /letters}\n"
    assert load(written(tmp_path, alone)).dead_letters_to == "/letters"
    kept = SEVERAL.replace("from: scan, workers: 1}", "from: scan, workers: 1}\n    dead_letters: {to: s3://b/of/}")
    assert load_all(written(tmp_path, kept))[1].dead_letters_to == "s3://b/of/customers"


@pytest.mark.parametrize("option", ["migration: other", "control: {table: other}", "mode: tail", "one_of: 1"])
def test_what_is_one_for_all_tables_cannot_be_said_of_one_of_them(tmp_path, option):
    text = SEVERAL.replace("  - source: {table: customers}", f"  - source: {{table: customers}}\n    {option}")
    with pytest.raises(ConfigurationError, match=rf"tables\.1\.{option.split(':')[0]}: is one for all tables"):
        load_all(written(tmp_path, text))


def test_two_moves_from_or_into_one_table_are_refused(tmp_path):
    twice = SEVERAL.replace("source: {table: customers}", "source: {table: orders}")
    with pytest.raises(ConfigurationError, match="'orders' is the source of two"):
        load_all(written(tmp_path, twice))
    with pytest.raises(ConfigurationError, match="'orders-moved' is the target of two"):
        load_all(written(tmp_path, SEVERAL.replace("customers-moved", "orders-moved")))


def test_a_fault_of_one_table_is_told_with_its_place_and_one_of_all_tables_once(tmp_path):
    text = SEVERAL.replace("table: customers-moved", "tabel: customers-moved").replace(
        "migration: shop", "migration: S"
    )
    with pytest.raises(ConfigurationError) as told:
        load_all(written(tmp_path, text))
    assert "tables.1.target.tabel: is not a known option" in str(told.value)
    assert str(told.value).count("migration:") == 1


def test_a_mode_without_backfill_needs_no_export_and_any_other_says_what_may_be_given(tmp_path):
    tail = GOOD.replace('backfill: {manifest: "s3://b/p/AWSDynamoDB/01/manifest-summary.json"}', "mode: tail")
    config = load(written(tmp_path, tail + "dead_letters: {to: /letters}\n"))
    assert (config.loads, config.tails) == (False, True)
    with pytest.raises(ConfigurationError, match=r"or its export_arn, or export\.bucket"):
        load(written(tmp_path, tail.replace("mode: tail", "mode: backfill")))


@pytest.mark.parametrize(
    ("backfill", "why"),
    [
        ('{manifest: "s3://b/p/AWSDynamoDB/01/manifest-summary.json", export: {bucket: exports}}', "one export at a"),
        ("{from: files}", "needs files.location"),
        ('{from: files, files: {location: "s3://b/old/"}}', "as_of is missing"),
        ("{from: scan, scan: {read_percent: 10, read_units_per_second: 5}}", "not both"),
        ('{export: {bucket: exports}, windows: ["s3://b/p/manifest-summary.json"]}', "give its manifest too"),
        ("{from: scan}", "dead_letters.to is missing"),
    ],
)
def test_ways_in_that_contradict_each_other_are_refused_with_the_reason(tmp_path, backfill, why):
    text = GOOD.replace('{manifest: "s3://b/p/AWSDynamoDB/01/manifest-summary.json"}', backfill)
    with pytest.raises(ConfigurationError, match=why):
        load(written(tmp_path, text))


def test_a_cql_table_that_is_not_named_is_called_as_its_source_as_far_as_cql_allows(tmp_path):
    text = GOOD.replace(", table: t}", "}").replace("source: {table: orders,", "source: {table: eu.orders-2026,")
    assert load(written(tmp_path, text)).target.table == "eu_orders_2026"


def test_two_sources_whose_names_become_one_cql_table_are_refused(tmp_path):
    text = SEVERAL.replace("    target: {table: orders-moved}\n", "").replace(
        "    target: {table: customers-moved}\n", ""
    )
    shared = GOOD.splitlines()[-1].replace(", table: t}", "}")
    text = "\n".join(shared if line.startswith("target:") else line for line in text.splitlines())
    text = text.replace("source: {table: orders}", "source: {table: a.b}")
    text = text.replace("source: {table: customers}", "source: {table: a-b}")
    with pytest.raises(ConfigurationError, match=r"'k\.a_b' is the target of two of them"):
        load_all(written(tmp_path, text))


def test_a_type_that_cql_has_not_is_told_at_its_place(tmp_path):
    text = GOOD.replace("table: t}", "table: t, layout: columns, columns: {total: {type: money}}}")
    with pytest.raises(ConfigurationError, match=r"target\.columns\.total: 'money' is no type that moveout writes"):
        load(written(tmp_path, text))


def test_every_choice_about_a_cql_table_can_be_written_in_yaml(tmp_path):
    choices = """layout: columns
  keys: {customer: {column: customer_id, type: uuid}, at: bigint}
  columns:
    total: decimal
    created: {type: timestamp, form: seconds, column: created_at, otherwise: dead-letter}
    tags: set<text>
  attrs_column: rest
  version_column: moved_as_of
  ttl: {attribute: expires, as: ttl}"""
    target = GOOD.splitlines()[-1].removeprefix("target: {").removesuffix("}").replace(", ", "\n  ")
    text = GOOD.replace(GOOD.splitlines()[-1], f"target:\n  {target}\n  {choices}")
    options = load(written(tmp_path, text)).target
    assert options.ttl.as_ == "ttl"
    assert options.columns["created"].otherwise == "dead-letter"
    assert options.keys["at"].type == "bigint"


DYNAMODB = {"kind": "dynamodb", "table": "moved", "region": "us-east-1"}
JSONL = {"kind": "jsonl", "to": "/lines"}


@pytest.mark.parametrize(("target", "asked", "side_by_side"), [(DYNAMODB, None, 4), (JSONL, None, 1), (JSONL, 3, 3)])
def test_files_are_read_side_by_side_where_one_file_is_one_partition_of_the_target(target, asked, side_by_side):
    made = Config(
        migration="orders",
        source={"table": "orders", "region": "us-east-1"},
        backfill={"manifest": "s3://b/AWSDynamoDB/0-0/manifest-summary.json", "interleave": asked},
        target=target,
    )
    assert made.interleave == side_by_side


def test_an_import_of_the_table_is_refused_with_the_reason(tmp_path):
    text = GOOD.replace("backfill: {", "backfill: {via: import-table, ")
    with pytest.raises(ConfigurationError, match="without the version that tells an imported item"):
        load(written(tmp_path, text))
    assert load(written(tmp_path, GOOD.replace("backfill: {", "backfill: {via: writes, "))).backfill.via == "writes"

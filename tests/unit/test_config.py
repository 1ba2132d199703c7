from pathlib import Path

import pytest

from daemon.config import ConfigurationError, load
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

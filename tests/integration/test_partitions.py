"""The largest partitions by the real commands: `moveout check --partitions`, and at the end of a dry run."""

import json
import os
import subprocess
import sys

import boto3
import pytest
import yaml

from daemon.demo.export import write_export

pytestmark = pytest.mark.server
# One customer has a third of all orders; each other one has two.
CUSTOMERS = ["wide"] * 200 + [f"c{number // 2}" for number in range(400)]
ROWS = [{"customer": {"S": who}, "order": {"N": f"{number}"}} for number, who in enumerate(CUSTOMERS)]
WIDE_BYTES = sum(len(json.dumps(row, separators=(",", ":"))) for row in ROWS[:200])


class Table:
    """A table with a sort key, or without, its export in eight files, and a move into another table."""

    def __init__(self, folder, client, dynamodb, s3, name, sort=True):
        self.folder = folder
        store = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
        store.create_bucket(Bucket=name)
        keys = [("customer", "S", "HASH"), ("order", "N", "RANGE")][: 2 if sort else 1]
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind, _ in keys],
            KeySchema=[{"AttributeName": key, "KeyType": role} for key, _, role in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        manifest = write_export(store, name, "p", arn, ROWS if sort else [], files=8)
        store.close()
        side = {"region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
        self.config = {
            "migration": name,
            "mode": "backfill",
            "source": {"table": name, **side},
            "backfill": {"manifest": manifest, "s3_endpoint_url": s3.endpoint_url},
            "target": {"kind": "dynamodb", "table": f"{name}-moved", "create_table": True, **side},
            "control": {"table": f"{name}-control"},
        }

    def moveout(self, *arguments):
        path = self.folder / "moveout.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "daemon.cli", *arguments, "--config", str(path)]
        environment = os.environ | {"COLUMNS": "160"}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.fixture
def make_table(tmp_path, client, dynamodb, s3, fresh_name):
    return lambda **options: Table(tmp_path, client, dynamodb, s3, fresh_name(), **options)


def test_check_reads_everything_and_tells_the_largest_partition_first(make_table):
    result = make_table().moveout("check", "--partitions", "--output", "json")
    assert result.returncode == 0, result.stderr
    (document,) = json.loads(result.stdout)["tables"]
    found = document["partitions"]
    assert (found["items"], found["parts_read"]) == (600, found["parts"])
    assert found["largest"][0] == {
        "partition": {"S": "wide"},
        "items": 200,
        "json_bytes": WIDE_BYTES,
        "missed_json_bytes_max": 0,
    }


def test_a_sample_reads_only_so_many_files_and_says_so(make_table):
    result = make_table().moveout("check", "--partitions", "--sample", "2")
    assert result.returncode == 0, result.stderr
    assert "It is a sample, 2 of " in result.stdout
    assert '{"S":"wide"}' in result.stdout


def test_a_dry_run_ends_with_the_largest_partitions_and_how_long_they_take_to_write(make_table):
    result = make_table().moveout("backfill", "--sink", "memory")
    assert result.returncode == 0, result.stderr
    assert "largest partitions by customer, of 600 items" in result.stdout
    assert "writing takes" in result.stdout


def test_a_table_without_a_sort_key_is_not_read_for_its_partitions(make_table):
    result = make_table(sort=False).moveout("check", "--partitions")
    assert result.returncode == 0, result.stderr
    assert "each partition is one item" in " ".join(result.stdout.split())


def test_a_sample_of_nothing_that_was_asked_for_is_refused(make_table):
    result = make_table().moveout("check", "--sample", "2")
    assert (result.returncode, "--sample goes with --partitions" in result.stderr) == (2, True)

"""`moveout backfill --sink …`: the real command over an export on an S3 server, with the source in DynamoDB Local."""

import os
import subprocess
import sys

import boto3
import msgspec
import pytest
import yaml

from daemon.demo.export import write_export
from sinks.jsonl import read

pytestmark = pytest.mark.server
ROWS = [{"id": {"S": f"{n}"}, "n": {"N": f"{n}"}} for n in range(500)]


class Table:
    """A table without a stream, its export, and the configuration of a move that was never begun."""

    def __init__(self, folder, client, dynamodb, s3, name):
        self.folder, self.client, self.name = folder, client, name
        self.store = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
        self.store.create_bucket(Bucket=name)
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        self.manifest = write_export(self.store, name, "p", arn, ROWS, files=4)
        self.config = {
            "migration": name,
            "source": {"table": name, "region": "us-east-1", "endpoint_url": dynamodb.endpoint_url},
            "backfill": {"manifest": self.manifest, "s3_endpoint_url": s3.endpoint_url},
            # Nobody listens there: a dry run must not ask.
            "target": {"kind": "cassandra", "contact_points": ["127.0.0.1"], "port": 1, "local_datacenter": "d"}
            | {"keyspace": "k", "table": "t"},
            "control": {"table": f"{name}-control"},
        }

    def dry_run(self, sink, *arguments):
        path = self.folder / "moveout.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "daemon.cli", "backfill", "--config", str(path), "--sink", sink, *arguments]
        environment = os.environ | {"COLUMNS": "160"}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)

    def data_files(self):
        found = self.store.list_objects_v2(Bucket=self.name)["Contents"]
        return [entry["Key"] for entry in found if "/data/" in entry["Key"] and entry["Size"] > 100]

    def tables(self):
        pages = self.client.get_paginator("list_tables").paginate()
        return {name for page in pages for name in page["TableNames"] if name.startswith(self.name)}


@pytest.fixture
def table(tmp_path, client, dynamodb, s3, fresh_name):
    made = Table(tmp_path, client, dynamodb, s3, fresh_name())
    yield made
    made.store.close()


def items(lines):
    found = [msgspec.json.decode(line.item) for line in lines]
    return sorted(found, key=lambda item: int(item["id"]["S"]))


def test_a_dry_run_into_a_folder_needs_no_stream_no_service_and_no_target(table, tmp_path):
    result = table.dry_run(f"jsonl:{tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    lines = list(read.newest(read.files(tmp_path / "out")))
    assert items(lines) == ROWS
    assert len({line.version for line in lines}) == 1
    assert "500" in result.stdout
    assert "all 3 part(s)" in result.stdout


def test_a_dry_run_writes_nothing_to_dynamodb(table, tmp_path):
    before = table.client.scan(TableName=table.name)["Count"]
    assert table.dry_run(f"jsonl:{tmp_path / 'out'}").returncode == 0
    assert table.tables() == {table.name}
    assert table.client.scan(TableName=table.name)["Count"] == before


def test_a_dry_run_into_a_bucket_leaves_what_a_reader_needs(table):
    result = table.dry_run(f"jsonl:s3://{table.name}/dry")
    assert result.returncode == 0, result.stderr
    assert items(read.newest(read.objects(table.store, f"s3://{table.name}/dry"))) == ROWS


def test_shares_together_load_every_item_once(table, tmp_path):
    for index in ("0", "1"):
        assert table.dry_run(f"jsonl:{tmp_path / 'out'}", "--index", index, "--of", "2").returncode == 0
    lines = list(read.lines(read.files(tmp_path / "out")))
    assert items(lines) == ROWS


def test_reading_into_nothing_tells_the_counts_and_leaves_no_file(table, tmp_path):
    result = table.dry_run("memory")
    assert (result.returncode, "500" in result.stdout) == (0, True), result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["moveout.yaml"]


def test_a_damaged_file_is_named_the_others_are_loaded_and_the_exit_code_says_so(table, tmp_path):
    spoiled, *others = table.data_files()
    table.store.put_object(Bucket=table.name, Key=spoiled, Body=b"damaged")
    result = table.dry_run(f"jsonl:{tmp_path / 'out'}")
    assert result.returncode == 3
    assert spoiled in result.stderr
    assert "altered or cut short" in result.stderr
    assert "failed" in result.stdout
    assert others
    assert 0 < len(items(read.newest(read.files(tmp_path / "out")))) < 500


def test_a_folder_that_cannot_be_written_to_is_one_sentence(table, tmp_path):
    (tmp_path / "file").write_text("")
    result = table.dry_run(f"jsonl:{tmp_path / 'file'}")
    assert (result.returncode, "is no folder" in result.stderr, "Traceback" in result.stderr) == (3, True, False)


@pytest.mark.parametrize("sink", ["jsonl:", "csv:/x", "dynamodb"])
def test_another_sink_is_refused_with_what_there_is(table, sink):
    result = table.dry_run(sink)
    assert (result.returncode, "jsonl:s3://BUCKET/PREFIX or memory" in result.stderr) == (2, True)

"""A load through a sink of one's own, in a process that knows it by its name only."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from daemon.demo.export import write_export

pytestmark = pytest.mark.server
REGION, COUNT = "us-east-1", 200
TESTS = Path(__file__).parent.parent
LOAD = """
import sys
from pathlib import Path
from daemon import app, config, dry_run, worker
settings = config.load(Path(sys.argv[1]))
for part in dry_run.planned(app.parts(settings)).values():
    worker.load(part, settings)
"""


@pytest.fixture
def manifest(s3, fresh_name):
    """A table of moto's, and an export of it."""
    name = fresh_name()
    place = {"region_name": REGION, "endpoint_url": s3.endpoint_url}
    with (
        contextlib.closing(boto3.client("dynamodb", **place)) as tables,
        contextlib.closing(boto3.client("s3", **place)) as store,
    ):
        tables.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        store.create_bucket(Bucket=name)
        arn = tables.describe_table(TableName=name)["Table"]["TableArn"]
        items = [{"id": {"S": str(number)}, "n": {"N": str(number)}} for number in range(COUNT)]
        yield name, write_export(store, name, "orders", arn, items)


def test_a_worker_loads_into_a_sink_from_outside(s3, manifest, tmp_path):
    name, url = manifest
    side = {"region": REGION, "endpoint_url": s3.endpoint_url}
    settings = {
        "migration": "own",
        "mode": "backfill",
        "source": {"table": name, **side},
        "backfill": {"manifest": url, "s3_endpoint_url": s3.endpoint_url},
        "target": {"sink": "example_sink.sqlite:SqliteSink", "options": {"path": str(tmp_path / "moved.db")}},
    }
    (tmp_path / "moveout.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-c", LOAD, str(tmp_path / "moveout.yaml")]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "moved.db")) as database:
        found = database.execute("SELECT key, item FROM moved").fetchall()
    assert sorted(json.loads(item)["n"]["N"] for _, item in found) == sorted(map(str, range(COUNT)))

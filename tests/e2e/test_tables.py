"""Several tables in one migration, and the modes without a tail or without a backfill: real parts, kills included."""

import os
import signal
import subprocess
import sys
import time

import boto3
import pytest
from e2e.watched import Watched, ready

from daemon.demo import dataset, source_table
from daemon.demo.compare import compare
from daemon.demo.export import export_table
from daemon.demo.processes import kill_tree
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.process import free_port
from daemon.demo.servers.s3 import S3Server
from daemon.demo.sides import VERSION_ATTRIBUTE, DynamoDbSide
from daemon.demo.wire import Wire

pytestmark = [pytest.mark.server, pytest.mark.timeout(800)]
REGION = "us-east-1"
KEYS = (dataset.PARTITION, dataset.SORT)
ITEMS = 1500

CONFIG = """
migration: shop
mode: {mode}
source: {{region: us-east-1, endpoint_url: {dynamodb}}}
target: {{kind: dynamodb, region: us-east-1, endpoint_url: {dynamodb}, create_table: true}}
backfill: {{s3_endpoint_url: {s3}, workers: {workers}, clock_margin_seconds: 1, tables_at_once: 1}}
tail: {{heartbeat_seconds: 1, failover_seconds: 5, shard_audit_seconds: 5, jvm_heap_mib: 128}}
dead_letters: {{to: {folder}/letters}}
ready: {{max_lag_seconds: 5, stable_for_seconds: 2}}
server: {{listen: "{listen}"}}
signal: {{file: {folder}/signal.json}}
log: {{format: console}}
tables:
"""
TABLE = """
  - source: {{table: {name}}}
    target: {{table: {name}-moved}}
    {backfill}
"""


class Shop:
    """Tables, their exports, and a service that moves them."""

    def __init__(self, folder, dynamodb, s3, names):
        self.folder, self.names = folder, names
        self.dynamodb, self.s3 = dynamodb, s3
        self.wire = Wire(dynamodb.endpoint_url)
        self.client = boto3.client("dynamodb", region_name=REGION, endpoint_url=dynamodb.endpoint_url)
        self.store = boto3.client("s3", region_name=REGION, endpoint_url=s3.endpoint_url)
        self.store.create_bucket(Bucket="exports")
        for seed, name in enumerate(names):
            source_table.create(self.client, name)
            source_table.load(self.wire, name, dataset.items(seed, ITEMS))
            source_table.enable_stream(self.client, name)
        time.sleep(2)  # the clock margin

    def export(self, name):
        table = self.client.describe_table(TableName=name)["Table"]
        return export_table(self.wire, self.store, table, "exports", f"of-{name}")

    def configure(self, mode, *, workers=1, exported=True):
        listen = f"127.0.0.1:{free_port()}"
        text = CONFIG.format(
            mode=mode,
            workers=workers,
            dynamodb=self.dynamodb.endpoint_url,
            s3=self.s3.endpoint_url,
            folder=self.folder,
            listen=listen,
        )
        for name in self.names:
            backfill = f'backfill: {{manifest: "{self.export(name)}"}}' if exported else ""
            text += TABLE.format(name=name, backfill=backfill)
        self.config = self.folder / "moveout.yaml"
        self.config.write_text(text)
        self.listen = listen

    def start(self):
        return Watched(self.config, self.listen, self.folder / f"service-{time.monotonic_ns()}.log")

    def command(self, *words):
        command = [sys.executable, "-m", "daemon.cli", *words, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ, check=False)

    def put(self, name, key, **attributes):
        item = {dataset.PARTITION: {"S": key}, dataset.SORT: {"S": "1"}, **attributes}
        self.client.put_item(TableName=name, Item=item)

    def differences(self, name):
        target = DynamoDbSide(self.wire, f"{name}-moved", hidden=(VERSION_ATTRIBUTE,))
        return compare(DynamoDbSide(self.wire, name), target, KEYS)


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "s3").mkdir()
    (tmp_path / "dynamodb").mkdir()
    with DynamoDbLocal(tmp_path / "dynamodb") as dynamodb, S3Server(tmp_path / "s3") as s3:
        made = Shop(tmp_path, dynamodb, s3, ["orders", "customers", "carts"])
        yield made
        made.wire.close()
        made.client.close()
        made.store.close()


def stop(service):
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(60)


def test_three_tables_are_moved_side_by_side_over_a_kill_and_there_is_one_ready(shop):
    shop.configure("backfill-and-tail")
    service = shop.start()
    service.wait(lambda d: d["backfill"]["items_done"] > 0)
    kill_tree(service.process.pid)
    service.process.wait(10)
    for name in shop.names:
        shop.put(name, "written while it was dead", of={"S": name})
    service = shop.start()
    try:
        seen = service.wait(ready)
        assert [table["table"] for table in seen["tables"]] == shop.names
        assert all(table["ready"]["readers"] for table in seen["tables"])
        assert seen["backfill"]["items_done"] == 3 * ITEMS
        assert service.get("/v1/tables/carts")[0] == 200
        shown = shop.command("status")
        assert shown.returncode == 0, shown.stderr
        assert all(name in shown.stdout for name in shop.names)
        began = time.time()
        shop.put("carts", "late", n={"N": "1"})
        service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - began - 1)
    finally:
        stop(service)
    for name in shop.names:
        found = shop.differences(name)
        assert (found.differences, found.source_items) == (0, found.target_items)


def test_a_backfill_without_a_tail_ends_by_itself_with_killed_workers_counted_once(shop):
    shop.configure("backfill", workers=0)
    service = shop.start()
    service.wait(lambda d: d["phase"] == "backfilling")
    jobs = [job(shop, index, 2) for index in (0, 1)]
    service.wait(lambda d: d["backfill"]["items_done"] > 0)
    for worker in jobs:
        worker.kill()
        worker.wait()
    jobs = [job(shop, index, 2) for index in (0, 1)]
    assert [worker.wait(120) for worker in jobs] == [0, 0]
    assert service.process.wait(60) == 0
    for name in shop.names:
        found = shop.differences(name)
        assert (found.differences, found.source_items) == (0, ITEMS)
    parts = shop.command("status", "--parts")
    assert f"{3 * ITEMS:,} of {3 * ITEMS:,}" in parts.stdout
    assert f"{3 * ITEMS:,} applied, 0 refused" in parts.stdout


def job(shop, index, of):
    """A pod of the Indexed Job."""
    command = [sys.executable, "-m", "daemon.cli", "backfill", "--config", str(shop.config)]
    with (shop.folder / f"job-{index}-{time.monotonic_ns()}.log").open("w") as log:
        return subprocess.Popen([*command, "--index", str(index), "--of", str(of)], stderr=log, env=os.environ)


def test_a_tail_without_a_backfill_brings_what_is_written_from_its_begin(shop):
    shop.names = ["orders"]
    shop.configure("tail", exported=False)
    service = shop.start()
    try:
        service.wait(ready)
        shop.put("orders", "new", n={"N": "1"})
        began = time.time()
        service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - began - 1)
    finally:
        stop(service)
    assert shop.differences("orders").target_items == 1

"""Bad input gets one clear error before any side effect, nothing is lost, and a rerun after the fix continues."""

import json
import os
import subprocess
import sys

import boto3
import pytest
import yaml

from daemon.control import Control, Part, parts_of
from daemon.demo.export import write_export
from daemon.demo.servers.process import free_port

pytestmark = pytest.mark.server
IMAGES = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


class Move:
    """A small table, its export, and a configuration that a test can spoil."""

    def __init__(self, folder, client, dynamodb, s3, name):
        self.folder, self.client, self.name, self.dynamodb, self.s3 = folder, client, name, dynamodb, s3
        self.store = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
        self.store.create_bucket(Bucket=name)
        self.config = {}

    def table(self, stream=IMAGES):
        self.client.create_table(
            TableName=self.name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            **({"StreamSpecification": stream} if stream else {}),
        )
        return self

    def export(self, items=40):
        arn = self.client.describe_table(TableName=self.name)["Table"]["TableArn"]
        rows = [{"id": {"S": f"{n}"}, "n": {"N": f"{n}"}} for n in range(items)]
        manifest = write_export(self.store, self.name, "p", arn, rows, files=3)
        self.config = {
            "migration": self.name,
            "source": {"table": self.name, "region": "us-east-1", "endpoint_url": self.dynamodb.endpoint_url},
            "backfill": {"manifest": manifest, "s3_endpoint_url": self.s3.endpoint_url, "clock_margin_seconds": 0},
            "target": {
                "kind": "dynamodb",
                "table": f"{self.name}-moved",
                "region": "us-east-1",
                "endpoint_url": self.dynamodb.endpoint_url,
                "create_table": True,
            },
            "control": {"table": f"{self.name}-control"},
            "server": {"listen": f"127.0.0.1:{free_port()}"},
            "log": {"format": "console"},
        }
        return self

    def run(self, *arguments):
        path = self.folder / "moveout.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "daemon.cli", *arguments, "--config", str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ)

    def tables(self):
        pages = self.client.get_paginator("list_tables").paginate()
        return {name for page in pages for name in page["TableNames"] if name.startswith(self.name)}


@pytest.fixture
def move(tmp_path, client, dynamodb, s3, fresh_name):
    made = Move(tmp_path, client, dynamodb, s3, fresh_name())
    yield made
    made.store.close()


def refused(result, *words):
    assert result.returncode == 3, result.stderr
    for word in words:
        assert word in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_move_that_can_work_is_told_so_and_nothing_is_touched(move):
    move.table().export()
    result = move.run("check")
    assert result.returncode == 0, result.stderr
    assert "The move can begin" in result.stdout
    assert move.tables() == {move.name}


def test_the_check_estimates_by_the_manifest_in_words_and_as_json(move):
    move.table().export()
    result = move.run("check")
    assert "Estimate" in result.stdout
    assert "items: 40 (manifest-summary.json)" in result.stdout
    assert "write units: 40 to " in result.stdout
    found = move.run("check", "--output", "json")
    (table,) = json.loads(found.stdout)["tables"]
    figures = {figure["name"]: figure for figure in table["estimate"]}
    assert (found.returncode, all(finding["good"] for finding in table["findings"])) == (0, True)
    assert (figures["items"]["value"], figures["stream"]["unit"]) == (40, "requests/hour")


def test_an_estimate_of_what_cannot_be_asked_is_unknown_and_the_exit_code_stays(move):
    move.table().export()
    move.config["backfill"]["manifest"] = f"s3://{move.name}/AWSDynamoDB/nothing/manifest-summary.json"
    result = move.run("check", "--output", "json")
    refused(result, "checks failed")
    (table,) = json.loads(result.stdout)["tables"]
    assert {"name": "items", "told": "unknown"}.items() <= table["estimate"][0].items()


def test_a_table_without_a_stream_is_refused_before_anything_is_made(move):
    move.table(stream=None).export()
    for command in ("check", "run"):
        refused(move.run(command), "has no stream", "aws dynamodb update-table")
    assert move.tables() == {move.name}


def test_a_stream_without_new_images_is_refused(move):
    move.table({"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}).export()
    refused(move.run("run"), "shows KEYS_ONLY", "NEW_AND_OLD_IMAGES")


def test_a_source_that_does_not_exist_is_named(move):
    move.table().export()
    move.config["source"]["table"] = "nowhere"
    refused(move.run("check"), "source table 'nowhere' does not exist")


def test_an_endpoint_that_nobody_listens_on_is_named(move):
    move.table().export()
    move.config["source"]["endpoint_url"] = "http://127.0.0.1:1"
    refused(move.run("check"), "cannot be reached", "endpoint_url")


def test_a_target_with_another_key_is_refused_before_anything_is_made(move):
    move.table().export()
    move.client.create_table(
        TableName=f"{move.name}-moved",
        AttributeDefinitions=[{"AttributeName": "other", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "other", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for command in ("check", "run"):
        refused(move.run(command), "has the key other (N), the source has id (S)")


def test_an_export_of_another_table_is_refused(move):
    move.table().export()
    key = move.config["backfill"]["manifest"].removeprefix(f"s3://{move.name}/")
    summary = json.loads(move.store.get_object(Bucket=move.name, Key=key)["Body"].read())
    assert summary["tableArn"].endswith(move.name)
    move.config["source"]["table"] = f"{move.name}-else"
    move.name = f"{move.name}-else"
    move.table()
    refused(move.run("check"), "is an export of")


def test_an_export_older_than_the_stream_is_refused_with_the_hole(move):
    move.table().export()
    move.config["backfill"]["clock_margin_seconds"] = 3600
    refused(move.run("run"), "would be in neither", "Take an export of a later time")


def test_a_damaged_file_is_named_the_others_are_kept_and_a_rerun_after_the_fix_continues(move):
    move.table().export()
    control = Control(move.client, move.config["control"]["table"], move.name)
    anchored(move, control)
    first = next(iter(control.all(parts_of(1), Part).values()))[0]
    spoiled = first.name.removeprefix(f"s3://{move.name}/")
    good = move.store.get_object(Bucket=move.name, Key=spoiled)["Body"].read()
    move.store.put_object(Bucket=move.name, Key=spoiled, Body=good[:-4])
    refused(move.run("backfill"), spoiled, "altered or cut short")
    parts = [part for part, _ in control.all(parts_of(1), Part).values()]
    assert [part.done for part in parts].count(False) == 1

    move.store.put_object(Bucket=move.name, Key=spoiled, Body=good)
    result = move.run("backfill")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("part_started") == 1
    assert move.client.scan(TableName=f"{move.name}-moved", Select="COUNT")["Count"] == 40


def anchored(move, control):
    """What `moveout run` does before it starts the KCL, without starting it."""
    from daemon.anchor import anchor
    from daemon.app import parts
    from daemon.config import Config

    control.create_table()
    anchor(parts(Config(**move.config)))


def test_a_manifest_changed_midway_is_refused(move):
    move.table().export()
    anchored(move, Control(move.client, move.config["control"]["table"], move.name))
    move.config["backfill"]["manifest"] = f"s3://{move.name}/AWSDynamoDB/02/manifest-summary.json"
    refused(move.run("run"), "was begun with", "put it back")


def test_the_status_of_a_migration_that_never_ran_is_told(move):
    move.table().export()
    Control(move.client, move.config["control"]["table"], move.name).create_table()
    result = move.run("status")
    assert (result.returncode, "start it with `moveout run`" in result.stderr) == (1, True)

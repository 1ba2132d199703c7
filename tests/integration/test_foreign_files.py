"""Files of older tools, in S3 and in a folder, through `moveout check` and the backfill's own processes."""

import gzip
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import yaml

from daemon.anchor import anchor
from daemon.app import parts
from daemon.config import Config
from daemon.control import Control, Part, parts_of
from daemon.demo.servers.process import free_port
from daemon.source.export import version_of

pytestmark = pytest.mark.server
GOLDEN = Path(__file__).parent.parent / "fixtures" / "foreign"
IMAGES = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


class Move:
    """A table, files beside it in S3 or in a folder, and a configuration that a test can change."""

    def __init__(self, folder, client, dynamodb, s3, name):
        self.folder, self.client, self.name = folder, client, name
        self.store = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
        self.store.create_bucket(Bucket=name)
        place = {"region": "us-east-1", "endpoint_url": dynamodb.endpoint_url}
        self.config = {
            "migration": name,
            "mode": "backfill",
            "source": {"table": name, **place},
            "backfill": {"from": "files", "s3_endpoint_url": s3.endpoint_url, "clock_margin_seconds": 0},
            "target": {"kind": "dynamodb", "table": f"{name}-moved", "create_table": True, **place},
            "control": {"table": f"{name}-control"},
            "dead_letters": {"to": str(folder / "letters")},
            "server": {"listen": f"127.0.0.1:{free_port()}"},
            "log": {"format": "console"},
        }
        self.control = Control(client, f"{name}-control", name)

    def table(self, partition="id", sort=None, stream=None):
        key = [(partition, "S", "HASH"), *([(sort, "N", "RANGE")] if sort else [])]
        self.client.create_table(
            TableName=self.name,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind, _ in key],
            KeySchema=[{"AttributeName": name, "KeyType": role} for name, _, role in key],
            BillingMode="PAY_PER_REQUEST",
            **({"StreamSpecification": stream} if stream else {}),
        )
        return self

    def put(self, key, body):
        self.store.put_object(Bucket=self.name, Key=key, Body=body)

    def upload(self, folder):
        for path in filter(Path.is_file, folder.rglob("*")):
            self.put(f"old/{path.relative_to(folder)}", path.read_bytes())

    def files(self, location=None, **options):
        self.config["backfill"]["files"] = {"location": location or f"s3://{self.name}/old/", **options}
        return self

    def run(self, *arguments):
        path = self.folder / "moveout.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "daemon.cli", *arguments, "--config", str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ)

    def anchor(self):
        """What `moveout run` does before it starts its processes."""
        self.control.create_table()
        return anchor(parts(Config(**self.config)))

    def loaded(self):
        self.anchor()
        result = self.run("backfill")
        assert result.returncode == 0, result.stderr
        return self.moved()

    def moved(self):
        items = self.client.scan(TableName=f"{self.name}-moved")["Items"]
        hidden = [{n: v for n, v in item.items() if not n.startswith("moveout")} for item in items]
        return sorted(hidden, key=str)

    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


@pytest.fixture
def move(tmp_path, client, dynamodb, s3, fresh_name):
    made = Move(tmp_path, client, dynamodb, s3, fresh_name())
    yield made
    made.store.close()


def ids(items):
    return sorted(item["id"]["S"] for item in items)


def refused(result, *words):
    assert result.returncode == 3, result.stdout + result.stderr
    told = " ".join((result.stdout + result.stderr).split())
    for word in words:
        assert word in told
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "found", "loaded"),
    [
        ("emr", "2 as emr", ["x", "y", "z"]),
        ("before-v3", "1 as emr", ["Kent", "Seattle"]),
        ("scan.json", "1 as scan-json", ["a", "b"]),
        ("items", "1 as items", ["bar", "c", "wrapped"]),
    ],
)
@pytest.mark.parametrize("place", ["s3", "folder"])
def test_each_format_is_told_by_check_and_arrives(move, name, found, loaded, place):
    source = GOLDEN / name
    old = move.folder / "old"
    shutil.copytree(source, old) if source.is_dir() else shutil.copy(source, old)
    if place == "s3":
        if source.is_dir():
            move.upload(old)
        else:
            move.put(f"old/{name}", source.read_bytes())
    move.table().files(None if place == "s3" else str(old))
    told = move.run("check")
    assert told.returncode == 0, told.stdout + told.stderr
    assert found in told.stdout
    assert ids(move.loaded()) == loaded


def test_values_of_every_type_arrive_exactly(move):
    move.put("old/part-00000.gz", gzip.compress((GOLDEN / "emr/92dd1414-3f1c-4b0e-8d7e-5f6a4a1c9b10").read_bytes()))
    item = next(item for item in move.table().files().loaded() if item["id"] == {"S": "x"})
    assert item == {
        "id": {"S": "x"},
        "n1": {"N": "1"},
        "tags": {"SS": ["a", "b"]},
        "ns": {"NS": ["1"]},
        "bin": {"B": b"hello"},
        "bs": {"BS": [b"hello"]},
        "flag": {"BOOL": True},
        "m": {"M": {"k": {"S": "v"}}},
        "l": {"L": [{"N": "1"}]},
        "nul": {"NULL": True},
    }


@pytest.mark.parametrize("place", ["s3", "folder"])
def test_csv_arrives_by_its_definition_and_mappings(move, place):
    move.upload(GOLDEN / "csv/hr")
    move.table("Pk", "Sk").files(
        str(GOLDEN / "csv/hr") if place == "folder" else None,
        table_definition=str(GOLDEN / "csv/employee.definition.json"),
        table_mappings=str(GOLDEN / "csv/employee.mappings.json"),
    )
    assert "1 as csv" in move.run("check").stdout
    found = move.loaded()
    assert [item["Pk"]["S"] for item in found if item["Sk"] == {"N": "102"}] == ["102,Smith, jr."]
    assert len(found) == 3


def test_one_object_is_a_location_too_and_its_neighbours_are_left_alone(move):
    move.put("old/items", (GOLDEN / "items").read_bytes())
    move.put("old/items-of-yesterday", b'{"id":{"S":"no"}}\n')
    assert ids(move.table().files(f"s3://{move.name}/old/items").loaded()) == ["bar", "c", "wrapped"]


def test_every_part_of_a_move_without_a_date_has_one_version(move):
    move.put("old/items", (GOLDEN / "items").read_bytes())
    taken = datetime.now(UTC) - timedelta(days=900)
    anchored = move.table().files(as_of=taken.isoformat()).anchor()
    assert anchored.backfill_version == version_of(taken.timestamp())
    assert {part.version for part in move.parts()} == {anchored.backfill_version}


def test_a_damaged_file_is_named_and_the_others_are_kept(move):
    move.put("old/a", (GOLDEN / "items").read_bytes())
    move.put("old/b", b'{"id":{"S":"good"}}\nnot an item\n')
    move.put("old/c", b'{"Items":[{"id":{"S":"half"}}],"Count":2}')
    move.table().files().anchor()
    refused(move.run("backfill"), f"s3://{move.name}/old/b, line 2: not JSON", "old/c, says Count 2, but holds 1 items")
    assert {"bar", "c", "wrapped"} <= set(ids(move.moved()))
    assert [(part.name[-1], part.done) for part in move.parts()] == [("a", True), ("b", False), ("c", False)]


def test_an_object_that_was_replaced_since_is_not_read_and_put_back_it_is(move):
    body = (GOLDEN / "items").read_bytes()
    move.put("old/items", body)
    move.table().files().anchor()
    move.put("old/items", b'{"id":{"S":"other"}}\n')
    refused(move.run("backfill"), "is not the file that it was when the move began")
    move.put("old/items", body)
    assert move.run("backfill").returncode == 0
    assert ids(move.moved()) == ["bar", "c", "wrapped"]


def test_an_object_that_is_gone_is_named(move):
    move.put("old/items", (GOLDEN / "items").read_bytes())
    move.table().files().anchor()
    move.store.delete_object(Bucket=move.name, Key="old/items")
    refused(move.run("backfill"), f"s3://{move.name}/old/items is missing", "put it back")


def test_a_location_without_files_and_a_bucket_that_is_not_there_are_told(move):
    refused(move.table().files().run("check"), f"s3://{move.name}/old/ holds no file")
    refused(move.files("s3://nobody-has-this/old/").run("check"), "there is no bucket 'nobody-has-this'")


def test_an_archived_object_is_told_to_be_restored(move):
    move.store.put_object(Bucket=move.name, Key="old/items", Body=b"x", StorageClass="GLACIER")
    refused(move.table().files().run("check"), "is archived (GLACIER): restore it first")


def test_a_store_that_nobody_listens_on_is_named(move):
    move.config["backfill"]["s3_endpoint_url"] = "http://127.0.0.1:1"
    refused(move.table().files().run("check"), "cannot be reached", "s3_endpoint_url")


def test_files_older_than_the_streams_reach_are_refused_with_the_reason(move):
    move.put("old/items", (GOLDEN / "items").read_bytes())
    move.config["mode"] = "backfill-and-tail"
    move.table(stream=IMAGES).files(as_of=(datetime.now(UTC) - timedelta(days=2)).isoformat())
    refused(move.run("check"), "these files are too old to be followed by the stream", "would be in neither")


def test_files_of_the_streams_time_join_it(move):
    move.put("old/items", (GOLDEN / "items").read_bytes())
    move.config["mode"] = "backfill-and-tail"
    move.table(stream=IMAGES)
    move.files(as_of=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())
    refused(move.run("check"), "which is still to come")
    time.sleep(6)
    told = move.run("check")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "they join the stream without a hole" in " ".join(told.stdout.split())
    assert ids(move.loaded()) == ["bar", "c", "wrapped"]

"""One short move with every command, behind proxies that note which command called what (recording.py)."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing

import boto3
from recording import Recorded, recording

from daemon.demo import dataset, processes, source_table
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.export_api import ExportServer
from daemon.demo.servers.process import free_port
from daemon.demo.servers.s3 import S3Server
from daemon.demo.wire import Wire

REGION, ITEMS = "us-east-1", 300
SOURCE, TARGET, CONTROL, SIGNAL = "orders", "orders-moved", "moveout-control", "settings"
EXPORTS, LETTERS, LINES = "exports", "letters", "lines"
STEP_SECONDS_MAX = 150
# The name that the target hides versions under: an item that has it itself cannot be stored.
TAKEN = {"moveout:version": {"N": "1"}}
POISON = {"customer": {"S": "poison"}, "order": {"S": "1"}}
EARLY = {"customer": {"S": "poison"}, "order": {"S": "0"}}
WAIVED = {"customer": {"S": "poison"}, "order": {"S": "2"}}

SPELLED = {ord(" "): "X", ord("-"): "Y"}
READ = {ord("X"): " ", ord("Y"): "-"}

CONFIGURATION = """\
migration: {name}
source: {{table: {source}, region: us-east-1, endpoint_url: {dynamodb}}}
control: {{table: moveout-control, region: us-east-1, endpoint_url: {dynamodb}}}
backfill:
  {how}
  s3_endpoint_url: {s3}
  workers: {workers}
  clock_margin_seconds: 1
tail: {{heartbeat_seconds: 0.5, failover_seconds: 5, shard_audit_seconds: 5, proof: {proof}}}
target: {{kind: dynamodb, table: {target}, region: us-east-1, endpoint_url: {dynamodb}, create_table: {create}}}
dead_letters: {{to: "s3://letters/{name}"}}
server: {{listen: "127.0.0.1:{port}"}}
ready: {{max_lag_seconds: 5, stable_for_seconds: 1, allow_unproven: {unproven}}}
signal: {{dynamodb_item: {{table: settings, key: {{name: {name}}}}}}}
cutover: {{window_seconds: 2}}
"""


FIRST = {
    "source": SOURCE,
    "target": TARGET,
    "workers": 0,
    "proof": "heartbeat",
    "unproven": "false",
    "create": "false",
}


class Move:
    """A migration: its configuration, its commands, its service."""

    def __init__(self, stage, name, **options):
        self._folder, self._port, self._name = stage.folder, free_port(), name
        self._config = stage.folder / f"{name}.yaml"
        places = {"dynamodb": stage.dynamodb_url, "s3": stage.s3_url, "name": name, "port": self._port}
        self._config.write_text(CONFIGURATION.format(**places, **options))
        self._service = None

    def did(self, *words, codes=(0,)):
        """Run a command to its end; what it printed. Its access key is its name: see recording.py."""
        done = subprocess.run(
            self._command(*words),
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS_MAX,
            env=self._as(words),
            check=False,
        )
        assert done.returncode in codes, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def begins(self):
        with (self._folder / "service.log").open("ab") as log:
            self._service = subprocess.Popen(
                self._command("run"), stdout=log, stderr=log, env=self._as(["run"]), start_new_session=True
            )

    def ends(self):
        if self._service is not None:
            processes.stop(self._service, 40)
            self._service = None

    def until(self, holds):
        end = time.monotonic() + STEP_SECONDS_MAX
        while (found := self._document()) is None or not holds(found):
            assert self._service.poll() is None, (self._folder / "service.log").read_text()[-3000:]
            assert time.monotonic() < end, json.dumps(found)
            time.sleep(0.2)
        return found

    def _document(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/v1/migration", timeout=5) as answer:
                found = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return None
        return found if "backfill" in found else None

    def _command(self, *words):
        return [sys.executable, "-m", "daemon.cli", *words, "--config", str(self._config)]

    def _as(self, words):
        return {**os.environ, "AWS_ACCESS_KEY_ID": _key_of(self._name, words)}


def _key_of(migration, words):
    """An access key id, of letters only as DynamoDB Local wants it: firstWschemaXapply for `schema --apply`."""
    nested = words[0] in ("cutover", "dead-letter", "verify")
    told = next((option for option in ("--sink", "--apply") if option in words), None)
    verb = " ".join(words[:2]) if nested else words[0]
    verb = verb if told is None else f"{verb} {told}"
    return f"{migration} {verb}".translate(SPELLED)


def said_by(key):
    """(migration, command) of an access key id."""
    migration, _, verb = key.translate(READ).partition(" ")
    return migration, verb


def _writes_to_the_source(call):
    return call.resources == {SOURCE} and call.operation in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")


class Stage:
    """The stand-ins, each behind a proxy."""

    def __init__(self, folder):
        self.folder, self.recorded = folder, Recorded(_writes_to_the_source)
        self._stack = ExitStack()

    def __enter__(self):
        with self._stack as stack:
            folders = {name: self.folder / name for name in ("dynamodb", "s3", "export-api")}
            for made in folders.values():
                made.mkdir()
            local = stack.enter_context(DynamoDbLocal(folders["dynamodb"]))
            s3 = stack.enter_context(S3Server(folders["s3"]))
            exports = ExportServer(folders["export-api"], local.endpoint_url, s3.endpoint_url, 1.0).start()
            stack.callback(exports.stop)
            self.client = boto3.client("dynamodb", region_name=REGION, endpoint_url=exports.endpoint_url)
            self.dynamodb_url = stack.enter_context(recording(self.recorded, exports.endpoint_url))
            self.s3_behind = s3.endpoint_url
            self.s3_url = stack.enter_context(recording(self.recorded, s3.endpoint_url))
            self._provision(local.endpoint_url, s3.endpoint_url)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _provision(self, dynamodb_url, s3_url):
        """What a user makes beforehand."""
        source_table.create(self.client, SOURCE)
        wire = Wire(dynamodb_url)
        source_table.load(wire, SOURCE, dataset.items(1, ITEMS))
        wire.close()
        self.put(EARLY, **TAKEN)
        source_table.enable_stream(self.client, SOURCE)
        source_table.enable_recovery(self.client, SOURCE)
        self.client.update_time_to_live(
            TableName=SOURCE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
        self.client.create_table(
            TableName=SIGNAL,
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        s3 = boto3.client("s3", endpoint_url=s3_url, region_name=REGION)
        for name in (EXPORTS, LETTERS, LINES):
            s3.create_bucket(Bucket=name)

    def put(self, key, **attributes):
        """As the application does."""
        self.client.put_item(TableName=SOURCE, Item={**key, **attributes})


def play(folder):
    """One move to its end, one given up; what was called, with the requests."""
    with Stage(folder) as stage:
        _to_the_end(stage)
        _given_up(stage)
        return stage.recorded.calls()


def _to_the_end(stage):
    how = "export: {bucket: exports, prefix: demo, poll_seconds: 1}"
    move = Move(stage, "first", how=how, **FIRST)
    move.did("schema", "--apply")
    move.did("schema")
    move.did("check")
    try:
        move.begins()
        move.until(lambda told: told["backfill"]["parts_total"])
        move.did("export")
        move.did("backfill", "--index", "0", "--of", "1")
        _of_files(stage)
        _while_it_runs(stage, move)
        move.did("wait", "--for", "ready-readers", "--timeout", "120")
        move.did("cutover", "readers", "--percent", "100")
        move.did("cutover", "writers", "--no-reverse", "--timeout", "60")
        move.did("cutover", "cancel", codes=(0, 3))
    finally:
        move.ends()
    move.did("complete", "--force", "a test has no half a minute")


def _while_it_runs(stage, move):
    move.until(lambda told: told["dead_letters"]["open"] and told["phase"] == "replicating")
    move.did("status", "--parts")
    move.did("set", "target.write_percent=50", codes=(0, 3))
    move.did("set", "backfill.rate=1000")
    move.did("pause", "backfill")
    move.did("resume")
    for key in (POISON, WAIVED):
        stage.put(key, **TAKEN)
    stage.put({"customer": {"S": "new"}, "order": {"S": "1"}}, total={"N": "1"})
    stage.client.delete_item(TableName=SOURCE, Key=dataset.key_of(1, 201))
    move.until(lambda told: told["tail"]["applied"] > 1)
    move.until(lambda told: told["dead_letters"]["open"] == len((EARLY, POISON, WAIVED)))
    letters = [json.loads(line)["id"] for line in move.did("dead-letter", "list", "--output", "json").splitlines()]
    move.did("dead-letter", "show", letters[0])
    move.did("dead-letter", "retry", letters[0], codes=(3,))
    move.did("dead-letter", "waive", *letters, "--reason", "a test")
    move.until(lambda told: told["verification"] and told["verification"]["state"] == "finished")
    stage.client.delete_item(TableName=TARGET, Key=dataset.key_of(1, 200))
    move.did("verify", "start")
    move.until(lambda told: told["verification"] and any(told["verification"]["differences"].values()))
    move.did("verify", "show", codes=(0, 3))
    move.did("verify", "report", codes=(0, 3))
    move.did("repair", "--all", codes=(0, 3))
    move.did("verify", "stop", codes=(0, 3))
    move.did("verify", "start")
    move.did("resync", codes=(0, 1, 3))


def _of_files(stage):
    """What reads an export that exists."""
    with closing(boto3.client("s3", endpoint_url=stage.s3_behind, region_name=REGION)) as s3:
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket=EXPORTS)["Contents"]]
    (manifest,) = [key for key in keys if key.endswith("manifest-summary.json")]
    how = f"manifest: s3://{EXPORTS}/{manifest}"
    move = Move(stage, "third", how=how, **{**FIRST, "proof": "quiet", "unproven": "true"})
    move.did("check", "--partitions", codes=(0, 3))
    move.did("backfill", "--sink", "memory")


def _given_up(stage):
    move = Move(
        stage,
        "second",
        source=SOURCE,
        target="orders-again",
        how="from: scan",
        workers=1,
        proof="quiet",
        unproven="true",
        create="true",
    )
    move.did("check", "--partitions")
    move.did("backfill", "--sink", f"jsonl:s3://{LINES}/dry")
    try:
        move.begins()
        move.until(lambda told: told["phase"] == "replicating")
        move.did("set", "backfill.read_percent=50", codes=(0, 3))
        move.did("abort", "--drop-target", "--name", "orders-again", "--yes")
    finally:
        move.ends()

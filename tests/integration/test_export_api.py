"""The stand-in for AWS's export API: AWS's shapes and rules, every other request untouched; and the move over it."""

import time
from types import SimpleNamespace

import boto3
import pytest
import yaml
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from daemon import anchor, exporting
from daemon.app import parts
from daemon.cli import app as cli
from daemon.config import Config
from daemon.control import Migration, Part, parts_of
from daemon.demo.incremental_export import Write
from daemon.demo.servers.export_api import ExportApi, ExportServer, serving
from daemon.demo.wire import Wire
from daemon.preflight import CheckFailed
from daemon.source.export import read_export
from daemon.source.export_request import made_before
from daemon.source.incremental import read_window

pytestmark = pytest.mark.server
HOUR = 3600
RECOVERY = {"PointInTimeRecoveryEnabled": True}


@pytest.fixture
def aws(dynamodb, s3, fresh_name):
    """A table of 40 items with a stream and recovery, a bucket, and the stand-in before it."""
    name, history = fresh_name(), []
    store = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
    store.create_bucket(Bucket=name)
    wire = Wire(dynamodb.endpoint_url)
    api = ExportApi(wire, store, seconds=0.3, history=lambda _: history)
    with serving(api, dynamodb.endpoint_url) as url:
        client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=url,
            config=ClientConfig(retries={"total_max_attempts": 1}),
        )
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        for number in range(40):
            client.put_item(TableName=name, Item={"id": {"S": f"{number}"}, "n": {"N": f"{number}"}})
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=RECOVERY)
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        made = SimpleNamespace(name=name, url=url, client=client, arn=arn, store=store, api=api, history=history)
        made.s3_url = s3.endpoint_url
        yield made
        client.close()
    wire.close()
    store.close()


def asked(aws, **request):
    request = {"TableArn": aws.arn, "S3Bucket": aws.name, "S3Prefix": "p", **request}
    return aws.client.export_table_to_point_in_time(**request)["ExportDescription"]


def ended(aws, arn):
    deadline = time.monotonic() + 20
    while (found := aws.client.describe_export(ExportArn=arn)["ExportDescription"])["ExportStatus"] == "IN_PROGRESS":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def refused(code, act, **request):
    with pytest.raises(ClientError) as told:
        act(**request)
    assert told.value.response["Error"]["Code"] == code
    return told.value.response["Error"]["Message"]


def test_every_other_request_is_dynamodbs_own_with_its_errors_and_its_streams(aws):
    item = {"id": {"S": "\u2028 and ü"}, "b": {"B": b"\0\1"}}
    aws.client.put_item(TableName=aws.name, Item=item)
    assert aws.client.get_item(TableName=aws.name, Key={"id": item["id"]})["Item"] == item
    refused("ResourceNotFoundException", aws.client.describe_table, TableName="nowhere")
    streams = boto3.client("dynamodbstreams", region_name="us-east-1", endpoint_url=aws.url)
    arn = aws.client.describe_table(TableName=aws.name)["Table"]["LatestStreamArn"]
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    streams.close()


def test_an_export_is_in_progress_for_its_time_and_then_holds_the_table_as_of_what_was_asked(aws):
    at = int(time.time())
    began = time.monotonic()
    description = asked(aws, ExportTime=at)
    assert description["ExportStatus"] == "IN_PROGRESS"
    found = ended(aws, description["ExportArn"])
    assert time.monotonic() - began >= 0.3
    assert (found["ExportStatus"], found["ItemCount"]) == ("COMPLETED", 40)
    export = read_export(aws.store, f"s3://{aws.name}/{found['ExportManifest']}")
    assert (export.items, export.exported_at, export.table_arn) == (40, at, aws.arn)


def test_one_token_is_one_export_and_with_other_parameters_a_conflict(aws):
    first = asked(aws, ClientToken="once")
    assert asked(aws, ClientToken="once")["ExportArn"] == first["ExportArn"]
    message = refused(
        "ExportConflictException", lambda **more: asked(aws, **more), ClientToken="once", S3Prefix="another"
    )
    assert "Duplicate request" in message
    assert asked(aws, ClientToken="twice")["ExportArn"] != first["ExportArn"]
    last = ended(aws, asked(aws, ClientToken="twice")["ExportArn"])
    one = aws.client.list_exports(TableArn=aws.arn, MaxResults=1)
    assert (len(one["ExportSummaries"]), "NextToken" in one) == (1, True)
    assert made_before(aws.client, aws.arn, "once") == first["ExportArn"]
    assert made_before(aws.client, aws.arn, "twice") == last["ExportArn"]
    assert made_before(aws.client, aws.arn, "never") is None


def test_without_recovery_out_of_its_window_or_of_no_table_nothing_is_exported(aws):
    act = lambda **more: asked(aws, **more)  # noqa: E731
    refused("InvalidExportTimeException", act, ExportTime=int(time.time()) + HOUR)
    refused("InvalidExportTimeException", act, ExportTime=int(time.time()) - HOUR)
    refused("ValidationException", act, ExportFormat="CSV")
    refused("TableNotFoundException", act, TableArn=aws.arn + "x")
    refused("ExportNotFoundException", aws.client.describe_export, ExportArn=aws.arn + "/export/0123-nowhere-at-all")
    off = {"PointInTimeRecoveryEnabled": False}
    aws.client.update_continuous_backups(TableName=aws.name, PointInTimeRecoverySpecification=off)
    refused("PointInTimeRecoveryUnavailableException", act)


def test_a_bucket_that_does_not_exist_is_accepted_and_fails_later(aws):
    found = ended(aws, asked(aws, S3Bucket="nowhere-at-all")["ExportArn"])
    assert (found["ExportStatus"], found["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert "exist" in found["FailureMessage"]


def test_an_incremental_export_has_what_changed_in_its_window(aws):
    now = int(time.time())
    aws.api._recovery[aws.name] = now - 2 * HOUR
    aws.history.append(Write((now - 600) * 1_000_000, {"id": {"S": "x"}}, {"id": {"S": "x"}}))
    window = {"ExportFromTime": now - HOUR, "ExportToTime": now - 1, "ExportViewType": "NEW_IMAGE"}
    kind = {"ExportType": "INCREMENTAL_EXPORT"}
    found = ended(aws, asked(aws, **kind, IncrementalExportSpecification=window)["ExportArn"])
    read = read_window(aws.store, f"s3://{aws.name}/{found['ExportManifest']}")
    assert (read.items, read.from_time, read.to_time) == (1, now - HOUR, now - 1)
    short = {**window, "ExportFromTime": now - 60}
    refused(
        "InvalidExportTimeException", lambda **more: asked(aws, **kind, **more), IncrementalExportSpecification=short
    )


def test_it_runs_as_a_process_of_its_own(dynamodb, s3, tmp_path):
    server = ExportServer(tmp_path, dynamodb.endpoint_url, s3.endpoint_url, 0.1).start()
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.endpoint_url)
    try:
        assert "TableNames" in client.list_tables()
        refused("TableNotFoundException", client.describe_continuous_backups, TableName="nowhere")
    finally:
        client.close()
        server.stop()


# the move over it


def moving(aws, **export):
    target = {"kind": "dynamodb", "table": f"{aws.name}-moved", "create_table": True, "region": "us-east-1"}
    known = parts(
        Config(
            migration=aws.name,
            source={"table": aws.name, "region": "us-east-1", "endpoint_url": aws.url},
            backfill={
                "export": {"bucket": aws.name, **export},
                "s3_endpoint_url": aws.s3_url,
                "clock_margin_seconds": 0,
            },
            target={**target, "endpoint_url": aws.url},
            control={"table": f"{aws.name}-control"},
            dead_letters={"to": f"s3://{aws.name}/letters"},
        )
    )
    known.control.create_table()
    return known


def advanced(known, until):
    deadline = time.monotonic() + 30
    while True:
        exporting.advance(known)
        found = known.control.get(exporting.RECORD, exporting.Job)
        if found is not None and until(found[0].state):
            return found[0]
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_move_asks_for_its_export_and_a_restart_finds_it_again(aws):
    known = moving(aws)
    anchored = anchor.anchor(known)
    assert (anchored.pending, aws.api.asked) == (True, [])
    advanced(known, lambda state: state == "running")
    again = parts(known.config)  # as after a restart
    job = advanced(again, lambda state: state == "accepted")
    (request,) = aws.api.asked
    assert request["ExportTime"] >= anchored.anchored_at
    migration, _ = again.control.get("migration", Migration)
    loaded = [part for part, _ in again.control.all(parts_of(anchored.generation), Part).values()]
    assert (migration.pending, migration.parts, sum(part.items for part in loaded)) == (False, len(loaded), 40)
    assert migration.exported_at == request["ExportTime"] == job.export_time


def test_a_bucket_that_is_missing_is_told_and_after_it_was_made_another_attempt_ends_well(aws, tmp_path):
    known = moving(aws, bucket=f"{aws.name}-later")
    anchor.anchor(known)
    job = advanced(known, lambda state: state == "failed")
    assert "S3NoSuchBucket" in job.message
    aws.store.create_bucket(Bucket=f"{aws.name}-later")
    path = tmp_path / "moveout.yaml"
    path.write_text(yaml.safe_dump(known.config.model_dump(mode="json", by_alias=True, exclude_none=True)))
    for words, said in (([], "make the bucket"), (["--again"], "attempt 2 will be asked for")):
        result = CliRunner().invoke(cli, ["export", "--config", str(path), *words])
        assert (result.exit_code, said in result.stdout) == (0, True), result.output
    advanced(known, lambda state: state == "accepted")
    assert len(aws.api.asked) == 2


def test_without_recovery_the_move_is_refused_at_the_anchor(aws):
    off = {"PointInTimeRecoveryEnabled": False}
    aws.client.update_continuous_backups(TableName=aws.name, PointInTimeRecoverySpecification=off)
    with pytest.raises(CheckFailed, match=f"update-continuous-backups --table-name {aws.name}"):
        anchor.anchor(moving(aws))

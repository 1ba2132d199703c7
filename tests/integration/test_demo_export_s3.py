import json
from types import SimpleNamespace

import boto3
import pytest

from daemon.demo import source_table
from daemon.demo.compare import compare
from daemon.demo.dataset import PARTITION, SORT, items
from daemon.demo.export import export_table
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.s3 import S3Server
from daemon.demo.sides import DynamoDbSide
from daemon.demo.wire import DynamoDbRefused, Wire

pytestmark = pytest.mark.server
COUNT = 400
STAND_IN = {"region_name": "us-east-1", "aws_access_key_id": "demo", "aws_secret_access_key": "demo"}


class Items:
    """The generated items as a side of a comparison."""

    def items(self):
        return items(1, COUNT)

    def get(self, key):
        return next((item for item in items(1, COUNT) if all(item[name] == key[name] for name in key)), None)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A table of every type in DynamoDB Local, and its export in S3."""
    with (
        DynamoDbLocal(tmp_path_factory.mktemp("dynamodb")) as dynamodb,
        S3Server(tmp_path_factory.mktemp("s3")) as s3_server,
    ):
        client = boto3.client("dynamodb", endpoint_url=dynamodb.endpoint_url, **STAND_IN)
        s3 = boto3.client("s3", endpoint_url=s3_server.endpoint_url, **STAND_IN)
        s3.create_bucket(Bucket="exports")
        wire = Wire(dynamodb.endpoint_url)
        source_table.create(client, "orders")
        source_table.load(wire, "orders", items(1, COUNT))
        source_table.enable_stream(client, "orders")
        table = client.describe_table(TableName="orders")["Table"]
        url = export_table(wire, s3, table, "exports", "demo")
        yield SimpleNamespace(client=client, s3=s3, wire=wire, table=table, url=url)
        client.close()
        s3.close()
        wire.close()


def read(loaded, key):
    return loaded.s3.get_object(Bucket="exports", Key=key)["Body"].read()


def test_what_was_loaded_is_what_is_in_the_table_to_the_last_digit(loaded):
    found = compare(Items(), DynamoDbSide(loaded.wire, "orders"), (PARTITION, SORT))
    assert (found.differences, found.source_items, found.target_items) == (0, COUNT, COUNT)


def test_the_stream_does_not_hold_the_load(loaded):
    streams = boto3.client("dynamodbstreams", endpoint_url=loaded.wire.endpoint_url, **STAND_IN)
    arn = loaded.table["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    begin = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    assert streams.get_records(ShardIterator=begin["ShardIterator"])["Records"] == []
    streams.close()


def test_a_live_table_is_exported_completely(loaded):
    summary = json.loads(read(loaded, loaded.url.removeprefix("s3://exports/")))
    assert summary["itemCount"] == COUNT
    assert summary["tableArn"] == loaded.table["TableArn"]


def test_every_file_that_the_manifest_names_is_there(loaded):
    summary = json.loads(read(loaded, loaded.url.removeprefix("s3://exports/")))
    files = [json.loads(line) for line in read(loaded, summary["manifestFilesS3Key"]).splitlines()]
    assert all(read(loaded, file["dataFileS3Key"]).startswith(b"\x1f\x8b") for file in files)


def test_a_refusal_says_what_dynamodb_said(loaded):
    with pytest.raises(DynamoDbRefused, match="ResourceNotFoundException"):
        loaded.wire.call("GetItem", {"TableName": "nothing", "Key": {}})

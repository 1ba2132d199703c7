"""The sink of JSON lines into S3, on a real (moto) server: the contract as its reader sees it, and what is refused."""

import boto3
import pytest
from jsonl_reading import ReadBack
from sink_contract import KEY, TEXT_KEYS, SinkContract, apply, put

from sinks.jsonl import read
from sinks.jsonl.bucket import connected
from sinks.jsonl.options import JsonlOptions
from sinks.jsonl.sink import JsonlSink
from sinks.sink import SinkMisconfigured, SinkUnavailable

pytestmark = pytest.mark.server


@pytest.fixture
def client(s3):
    made = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
    yield made
    made.close()


def options(s3, to, **more):
    return JsonlOptions(kind="jsonl", to=to, **{"region": "us-east-1", "endpoint_url": s3.endpoint_url, **more})


class TestS3(SinkContract):
    @pytest.fixture(params=[False, True], ids=["plain", "gzip"])
    def make_sink(self, request, s3, client, fresh_name):
        made, state = [], {}

        def make(keys, *, fresh=True):
            if fresh:
                state["bucket"] = fresh_name()
                client.create_bucket(Bucket=state["bucket"])
            to = f"s3://{state['bucket']}/dry/run"
            sink = JsonlSink(options(s3, to, gzip=request.param), keys)
            sink.open()
            made.append(sink)
            return ReadBack(sink, keys, lambda: read.objects(client, to))

        yield make
        for sink in made:
            sink.close()


def test_each_batch_is_an_object_under_the_prefix_with_a_name_of_its_own(s3, client, fresh_name):
    bucket = fresh_name()
    client.create_bucket(Bucket=bucket)
    for _ in range(2):
        sink = JsonlSink(options(s3, f"s3://{bucket}/a/b/"), TEXT_KEYS)
        sink.open()
        apply(sink, put(KEY, 1), put(KEY, 2))
        sink.close()
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(set(keys)) == 4
    assert all(key.startswith("a/b/") and key.endswith(".jsonl") for key in keys)


def test_a_bucket_that_is_not_there_is_named_at_open(s3):
    with pytest.raises(SinkMisconfigured, match="s3://nowhere-at-all/p"):
        JsonlSink(options(s3, "s3://nowhere-at-all/p"), TEXT_KEYS).open()


def test_a_bucket_that_is_removed_midway_needs_a_person(s3, client, fresh_name):
    bucket = fresh_name()
    client.create_bucket(Bucket=bucket)
    sink = JsonlSink(options(s3, f"s3://{bucket}"), TEXT_KEYS)
    sink.open()
    client.delete_bucket(Bucket=bucket)
    with pytest.raises(SinkMisconfigured, match="NoSuchBucket"):
        sink.apply([put(KEY, 1)])


def test_s3_that_does_not_answer_is_waited_for(s3):
    sink = JsonlSink(options(s3, "s3://b/p", endpoint_url="http://127.0.0.1:1"), TEXT_KEYS)
    with pytest.raises(SinkUnavailable):
        sink.open()


def test_a_role_is_taken_for_the_bucket(s3, client, fresh_name):
    bucket = fresh_name()
    client.create_bucket(Bucket=bucket)
    role = "arn:aws:iam::123456789012:role/writer"
    asked = options(s3, f"s3://{bucket}/p", role_arn=role, sts_endpoint_url=s3.endpoint_url)
    made = []

    def connect(of):
        made.append(connected(of))
        return made[-1]

    sink = JsonlSink(asked, TEXT_KEYS, connect)
    sink.open()
    apply(sink, put(KEY, 1))
    assert made[0]._request_signer._credentials.method == "assume-role"
    assert len(list(read.newest(read.objects(client, f"s3://{bucket}/p")))) == 1
    sink.close()

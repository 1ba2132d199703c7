from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from daemon import preflight
from daemon.config import Config
from daemon.preflight import CheckFailed
from sinks.memory import MemorySink
from sinks.sink import SinkMisconfigured, TargetMissing

CONFIG = Config(
    migration="orders",
    source={"table": "orders", "region": "eu-west-1"},
    backfill={"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json"},
    target={"kind": "dynamodb", "table": "moved", "region": "eu-west-1"},
)
TABLE = {
    "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/orders",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "StreamSpecification": {"StreamEnabled": True},
    "LatestStreamArn": "arn:stream",
}
STREAM = {
    "Shards": [{"ShardId": "s", "SequenceNumberRange": {}}],
    "CreationRequestDateTime": datetime(2026, 1, 1, tzinfo=UTC),
    "StreamViewType": "NEW_AND_OLD_IMAGES",
    "StreamStatus": "ENABLED",
}


def asked(table=TABLE, stream=STREAM, error=None):
    def describe_table(**_):
        if error is not None:
            raise error
        return {"Table": table}

    dynamodb = SimpleNamespace(describe_table=describe_table)
    streams = SimpleNamespace(describe_stream=lambda **_: {"StreamDescription": stream})
    return preflight.source(CONFIG, dynamodb, streams)


def refused(code):
    return ClientError({"Error": {"Code": code, "Message": "because"}}, "DescribeTable")


def test_a_table_with_its_stream_is_understood():
    facts = asked()
    assert (str(facts.keys), facts.stream.view_type, list(facts.stream.shards)) == (
        "id (S)",
        "NEW_AND_OLD_IMAGES",
        ["s"],
    )


def test_a_table_without_a_stream_is_refused_with_the_command_that_enables_one():
    table = {key: value for key, value in TABLE.items() if key not in ("LatestStreamArn", "StreamSpecification")}
    with pytest.raises(CheckFailed, match="aws dynamodb update-table --table-name orders"):
        asked(table)


def test_a_stream_that_was_disabled_is_no_stream():
    with pytest.raises(CheckFailed, match="has no stream"):
        asked({key: value for key, value in TABLE.items() if key != "StreamSpecification"})


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_without_new_images_is_refused(view):
    with pytest.raises(CheckFailed, match=f"shows {view}"):
        asked(stream={**STREAM, "StreamViewType": view})


def test_a_table_that_does_not_exist_is_named():
    with pytest.raises(CheckFailed, match="source table 'orders' does not exist"):
        asked(error=refused("ResourceNotFoundException"))


def test_a_missing_right_is_named():
    with pytest.raises(CheckFailed, match="AccessDeniedException"):
        asked(error=refused("AccessDeniedException"))


def test_an_endpoint_that_does_not_answer_is_named_with_what_to_look_at():
    with pytest.raises(CheckFailed, match="endpoint_url"):
        asked(error=EndpointConnectionError(endpoint_url="http://127.0.0.1:9"))


class Refusing(MemorySink):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def open(self):
        raise self.error


def test_a_missing_target_table_is_fine_when_it_will_be_created():
    assert "will be created" in preflight.target(Refusing(TargetMissing("no table")), will_create=True)
    with pytest.raises(CheckFailed, match="no table"):
        preflight.target(Refusing(TargetMissing("no table")), will_create=False)


def test_a_target_with_the_wrong_key_is_refused_even_if_tables_may_be_created():
    with pytest.raises(CheckFailed, match="wrong key"):
        preflight.target(Refusing(SinkMisconfigured("wrong key")), will_create=True)

"""An export that exists is taken only where the stream goes on from it without a hole."""

from datetime import datetime
from io import BytesIO

import pytest
from exports import packed, put_export

from daemon import preflight
from daemon.config import Config
from daemon.preflight import CheckFailed, SourceFacts
from daemon.source.shards import Stream
from sinks.change import KeyAttribute, KeySchema

EXPORTED_AT = datetime.fromisoformat("2024-05-14T11:14:20.608+00:00").timestamp()
MARGIN_SECONDS = 120
ARN = "arn:aws:dynamodb:eu-central-1:1:table/orders"


class Objects:
    """As much of S3 as an export is read by."""

    def __init__(self):
        self.bodies = {}

    def put_object(self, Bucket, Key, Body):  # noqa: N803  boto3's names
        self.bodies[Bucket, Key] = Body

    def get_object(self, Bucket, Key):  # noqa: N803
        return {"Body": BytesIO(self.bodies[Bucket, Key])}

    def head_object(self, Bucket, Key):  # noqa: N803
        return {"ContentLength": len(self.bodies[Bucket, Key])}


def taken(stream_began_at):
    s3 = Objects()
    files = {"one.json.gz": (packed(b'{"Item":{"id":{"S":"a"}}}'), 1)}
    manifest = put_export(s3, "exports", files, tableArn=ARN)
    config = Config(
        migration="orders",
        source={"table": "orders", "region": "eu-central-1"},
        backfill={"manifest": manifest, "clock_margin_seconds": MARGIN_SECONDS},
        target={"kind": "dynamodb", "table": "moved", "region": "eu-central-1"},
    )
    stream = Stream("arn", "NEW_IMAGE", "ENABLED", stream_began_at, {})
    facts = SourceFacts(KeySchema(KeyAttribute("id", "S")), ARN, stream)
    return preflight.export(config, manifest, facts, s3, EXPORTED_AT + 3600)


def test_an_export_that_the_stream_reaches_back_beyond_is_taken():
    assert taken(EXPORTED_AT - MARGIN_SECONDS - 1).exported_at == pytest.approx(EXPORTED_AT)


def test_an_export_from_before_the_stream_began_is_refused():
    with pytest.raises(CheckFailed, match="manifest-summary"):
        taken(EXPORTED_AT + 60)

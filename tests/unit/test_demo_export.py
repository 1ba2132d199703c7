import gzip
import hashlib
import json
import re
from base64 import b64encode
from datetime import UTC, datetime

import msgspec
import pytest

from daemon.demo.dataset import items
from daemon.demo.export import write_export

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders"


class Bucket:
    """An S3 of one method and a dict."""

    def __init__(self):
        self.objects = {}

    def put_object(self, *, Bucket, Key, Body):  # noqa: N803  boto3's spelling
        self.objects[Bucket, Key] = Body

    def read(self, key):
        return self.objects["exports", key]


def exported(rows, **options):
    bucket = Bucket()
    url = write_export(bucket, "exports", "demo", ARN, rows, **options)
    summary = json.loads(bucket.read(url.removeprefix("s3://exports/")))
    files = [json.loads(line) for line in bucket.read(summary["manifestFilesS3Key"]).splitlines()]
    return bucket, url, summary, files


def lines_of(bucket, files):
    for file in files:
        # Not splitlines: it would split at U+2028 inside a string.
        yield from gzip.decompress(bucket.read(file["dataFileS3Key"])).split(b"\n")[:-1]


def md5(content):
    return b64encode(hashlib.md5(content).digest()).decode()  # noqa: S324


def test_every_item_is_in_exactly_one_file():
    rows = list(items(1, 500))
    bucket, _, summary, files = exported(rows)
    found = [json.loads(line)["Item"] for line in lines_of(bucket, files)]
    assert sorted(map(str, found)) == sorted(map(str, rows))
    assert summary["itemCount"] == sum(file["itemCount"] for file in files) == 500


def test_files_are_uneven_and_one_is_empty():
    _, _, _, files = exported(items(1, 500), files=5)
    counts = [file["itemCount"] for file in files]
    assert counts[-1] == 0
    assert len(set(counts)) == 5


def test_layout_and_names_are_those_of_aws():
    bucket, url, summary, files = exported(items(1, 50))
    folder = url.removeprefix("s3://exports/").removesuffix("/manifest-summary.json")
    assert re.fullmatch(r"demo/AWSDynamoDB/0\d{13}-[0-9a-f]{8}", folder)
    assert all(re.fullmatch(folder + r"/data/[a-z2-7]{26}\.json\.gz", file["dataFileS3Key"]) for file in files)
    expected = {
        "_started",
        "manifest-summary.json",
        "manifest-summary.md5",
        "manifest-files.json",
        "manifest-files.md5",
    }
    assert {key.removeprefix(f"{folder}/") for _, key in bucket.objects if "/data/" not in key} == expected
    assert summary["exportArn"] == f"{ARN}/export/{folder.rpartition('/')[2]}"


def test_checksums_are_those_of_the_stored_bytes():
    bucket, url, summary, files = exported(items(1, 50))
    for name in (url.removeprefix("s3://exports/"), summary["manifestFilesS3Key"]):
        assert bucket.read(name.replace(".json", ".md5")).decode() == md5(bucket.read(name))
    for file in files:
        assert file["md5Checksum"] == md5(bucket.read(file["dataFileS3Key"]))
        assert file["etag"].endswith("-1")


def test_the_export_time_asked_for_is_in_the_summary():
    moment = datetime(2024, 5, 14, 11, 14, 20, 608_000, tzinfo=UTC)
    _, _, summary, _ = exported([], export_time=moment)
    assert summary["exportTime"] == "2024-05-14T11:14:20.608Z"
    assert summary["startTime"] <= summary["endTime"]


def test_raw_bytes_and_bytes_values_are_written_as_dynamodb_writes_them():
    raw = msgspec.Raw(b'{"id":{"S":"a\xe2\x80\xa8b"},"n":{"N":"1.10"}}')
    bucket, _, _, files = exported([raw, {"id": {"B": b"\xff"}}])
    expected = {b'{"Item":' + bytes(raw) + b"}", b'{"Item":{"id":{"B":"/w=="}}}'}
    assert set(lines_of(bucket, files)) == expected


@pytest.mark.parametrize("prefix", ["", "/deep/er/"])
def test_any_prefix_will_do(prefix):
    bucket = Bucket()
    url = write_export(bucket, "exports", prefix, ARN, [])
    assert url.startswith("s3://exports/" + f"{prefix.strip('/')}/AWSDynamoDB/".lstrip("/"))
    assert ("exports", url.removeprefix("s3://exports/")) in bucket.objects

import hashlib
import json
import threading
from base64 import b64encode

import pytest
from botocore.exceptions import ClientError
from exports import FOLDER, put_export
from fakes import ObjectStore

from daemon.source.export import ASKED_AT_ONCE, ExportUnusable, hole, read_export

MANIFEST = f"s3://b/{FOLDER}/manifest-summary.json"
SUMMARY = {
    "version": "2020-06-30",
    "exportArn": "arn:aws:dynamodb:eu-central-1:1:table/T/export/01715685260608-c488b4e1",
    "tableArn": "arn:aws:dynamodb:eu-central-1:1:table/T",
    "exportTime": "2024-05-14T11:14:20.608Z",
    "manifestFilesS3Key": f"{FOLDER}/manifest-files.json",
    "itemCount": 3,
    "outputFormat": "DYNAMODB_JSON",
}
FILES = [
    {
        "itemCount": 3,
        "md5Checksum": "rzAeIrtALbOlNdK5Hh8tgA==",
        "etag": "x-1",
        "dataFileS3Key": f"{FOLDER}/data/a.json.gz",
    },
    {
        "itemCount": 0,
        "md5Checksum": "AAAAAAAAAAAAAAAAAAAAAA==",
        "etag": "x-1",
        "dataFileS3Key": f"{FOLDER}/data/e.json.gz",
    },
]


def put(store, key, body):
    store.put_object(Bucket="b", Key=key, Body=body)
    if key.endswith(".json"):
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest())
        store.put_object(Bucket="b", Key=key.removesuffix(".json") + ".md5", Body=md5)


def export(folder=FOLDER, files=FILES, data=True, **summary):
    store = ObjectStore()
    put(store, f"{folder}/manifest-summary.json", json.dumps({**SUMMARY, **summary}).encode() + b"\n")
    put(store, f"{folder}/manifest-files.json", b"".join(json.dumps(f).encode() + b"\n" for f in files))
    if data:
        store.put_object(Bucket="b", Key=f"{folder}/data/a.json.gz", Body=b"")
    return store


def test_a_manifest_as_aws_writes_it_is_read():
    found = read_export(export(), MANIFEST)
    assert (found.items, [part.name for part in found.parts]) == (3, [f"s3://b/{FOLDER}/data/a.json.gz"])
    assert found.version == (1715685260 - 300) * 10**6


def test_a_manifest_without_a_type_is_of_a_full_export():
    assert "exportType" not in SUMMARY
    assert read_export(export(exportType="FULL_EXPORT"), MANIFEST).items == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exportType": "INCREMENTAL_EXPORT", "exportTime": None}, "needs a full export"),
        ({"outputFormat": "CSV"}, "is in CSV, known are DYNAMODB_JSON and ION"),
        ({"itemCount": 4}, "add up to 3"),
        ({"tableArn": None}, "not the manifest-summary"),
    ],
)
def test_an_export_that_cannot_be_taken_is_refused_with_the_reason(change, said):
    with pytest.raises(ExportUnusable, match=said):
        read_export(export(**change), MANIFEST)


def test_an_export_copied_elsewhere_is_found_beside_its_manifest():
    found = read_export(export(folder="moved/here"), "s3://b/moved/here/manifest-summary.json")
    assert found.parts[0].name == "s3://b/moved/here/data/a.json.gz"


def test_a_file_listed_twice_is_refused():
    with pytest.raises(ExportUnusable, match="twice"):
        read_export(export(files=[FILES[0], FILES[0]], itemCount=6), MANIFEST)


def test_a_data_file_that_is_not_there_is_named_before_anything_is_loaded():
    with pytest.raises(ExportUnusable, match=r"a\.json\.gz is missing"):
        read_export(export(data=False), MANIFEST)


def test_a_manifest_that_does_not_match_its_checksum_is_refused():
    store = export()
    store.put_object(Bucket="b", Key=f"{FOLDER}/manifest-summary.json", Body=b"{}")
    with pytest.raises(ExportUnusable, match="altered or cut short"):
        read_export(store, MANIFEST)


def test_a_manifest_that_does_not_exist_is_named_with_the_next_step():
    with pytest.raises(ExportUnusable, match="check its address"):
        read_export(ObjectStore(), MANIFEST)


HOUR = 3600.0


def test_an_export_taken_after_the_stream_was_enabled_joins_it():
    assert hole(exported_at=10 * HOUR, stream_created_at=9 * HOUR, now=11 * HOUR, margin_seconds=120) is None


def test_an_export_older_than_the_stream_leaves_a_hole():
    assert "reaches back" in hole(9 * HOUR, stream_created_at=10 * HOUR, now=11 * HOUR, margin_seconds=120)


def test_an_export_taken_in_the_margin_of_the_clocks_leaves_a_hole():
    assert hole(10 * HOUR + 60, stream_created_at=10 * HOUR, now=11 * HOUR, margin_seconds=120) is not None


def test_an_export_older_than_what_the_stream_remembers_leaves_a_hole():
    assert hole(10 * HOUR, stream_created_at=0, now=34 * HOUR, margin_seconds=120) is not None


class Slow(ObjectStore):
    """Answers HEAD in some time, and remembers how many were asked at once."""

    def __init__(self):
        super().__init__()
        self.asked = self.most = 0
        self._lock = threading.Lock()
        self.meet = threading.Barrier(ASKED_AT_ONCE)

    def head_object(self, **request):
        with self._lock:
            self.asked += 1
            self.most = max(self.most, self.asked)
        if "data" in request["Key"]:
            self.meet.wait(timeout=10)  # broken, unless so many ask side by side
        with self._lock:
            self.asked -= 1
        return super().head_object(**request)


def test_files_are_looked_for_side_by_side_in_bounds_and_stay_in_order():
    store, files = Slow(), {f"{n:03d}.json.gz": (b"x" * n, 1) for n in range(1, 5 * ASKED_AT_ONCE + 1)}
    found = read_export(store, put_export(store, "b", files))
    assert [part.size_bytes for part in found.parts] == list(range(1, 5 * ASKED_AT_ONCE + 1))
    assert store.most == ASKED_AT_ONCE


class Forbidding(ObjectStore):
    """S3 to whoever may not list the bucket: what is missing is forbidden."""

    def head_object(self, **request):
        try:
            return super().head_object(**request)
        except ClientError as error:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject") from error


def test_an_export_copied_elsewhere_is_found_without_the_right_to_list():
    store = Forbidding()
    manifest = put_export(store, "b", {"a.json.gz": (b"x", 1)}, folder="moved/here", said_folder=FOLDER)
    assert read_export(store, manifest).parts[0].name == "s3://b/moved/here/data/a.json.gz"


def test_a_file_that_nobody_may_see_is_named_with_the_right_that_is_missing():
    store = Forbidding()
    manifest = put_export(store, "b", {"a.json.gz": (b"x", 1)})
    del store.objects["b", f"{FOLDER}/data/a.json.gz"]
    with pytest.raises(ExportUnusable, match=r"a\.json\.gz is missing, or forbidden \(grant s3:GetObject"):
        read_export(store, manifest)


def test_of_many_files_one_that_is_missing_is_named():
    store = ObjectStore()
    manifest = put_export(store, "b", {f"{n}.json.gz": (b"x", 1) for n in range(100)})
    del store.objects["b", f"{FOLDER}/data/57.json.gz"]
    with pytest.raises(ExportUnusable, match=r"/57\.json\.gz is missing"):
        read_export(store, manifest)


def test_a_manifest_whose_keys_lack_the_prefix_is_read_as_the_guides_example_has_it():
    store = ObjectStore()
    manifest = put_export(store, "b", {"a.json.gz": (b"x", 1)}, said_folder=FOLDER.removeprefix("p/"))
    assert read_export(store, manifest).parts[0].name == f"s3://b/{FOLDER}/data/a.json.gz"

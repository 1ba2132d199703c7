import gzip
import json
import re

import msgspec
from fakes import ObjectStore

from daemon.demo.incremental_export import Record, Write, compacted, write_incremental_export

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders"
KEY = {"id": {"S": "a"}}
OLD, NEW = {**KEY, "n": {"N": "1"}}, {**KEY, "n": {"N": "2"}}
STAMP = b'{"Metadata":{"WriteTimestampMicros":{"N":"7"}},"Keys":{"id":{"S":"a"}}'


def exported(records, **options):
    store = ObjectStore()
    url = write_incremental_export(store, "exports", "demo", ARN, records, from_time=0, to_time=900, **options)
    summary = json.loads(store.objects["exports", url.removeprefix("s3://exports/")])
    files = [json.loads(line) for line in store.objects["exports", summary["manifestFilesS3Key"]].splitlines()]
    bodies = [store.objects["exports", file["dataFileS3Key"]] for file in files]
    return store, summary, files, [line for body in bodies for line in gzip.decompress(body).split(b"\n")[:-1]]


def test_the_summary_is_that_of_aws():
    _, summary, files, _ = exported([Record(7, KEY, NEW), Record(8, {"id": {"S": "b"}}, None, OLD)])
    told = {name: summary[name] for name in ("version", "exportFromTime", "exportToTime", "outputView", "exportType")}
    assert told == {
        "version": "2023-08-01",
        "exportFromTime": "1970-01-01T00:00:00.000Z",
        "exportToTime": "1970-01-01T00:15:00.000Z",
        "outputView": "NEW_IMAGE",
        "exportType": "INCREMENTAL_EXPORT",
    }
    assert "exportTime" not in summary
    assert summary["itemCount"] == sum(file["itemCount"] for file in files) == 2


def test_all_exports_share_one_folder_of_data_and_have_their_own_manifests():
    store, summary, files, _ = exported([])
    assert all(re.fullmatch(r"demo/AWSDynamoDB/data/[a-z2-7]{26}\.json\.gz", file["dataFileS3Key"]) for file in files)
    folder = summary["manifestFilesS3Key"].removesuffix("/manifest-files.json")
    assert re.fullmatch(r"demo/AWSDynamoDB/0\d{13}-[0-9a-f]{8}", folder)
    names = {"_started", "manifest-summary.json", "manifest-summary.md5", "manifest-files.json", "manifest-files.md5"}
    assert {key.removeprefix(f"{folder}/") for _, key in store.objects if "/data/" not in key} == names


def test_two_exports_never_overwrite_each_other():
    store = ObjectStore()
    urls = {write_incremental_export(store, "b", "", ARN, [], from_time=0, to_time=900, files=2) for _ in range(5)}
    assert len(urls) == 5
    assert len(store.objects) == 5 * (2 + 5)


def test_with_the_new_image_only_a_deletion_is_a_line_of_keys():
    records = [Record(7, KEY, NEW, OLD)], [Record(7, KEY, None, OLD)]
    assert [exported(one)[3] for one in records] == [
        [STAMP + b',"NewImage":{"id":{"S":"a"},"n":{"N":"2"}}}'],
        [STAMP + b"}"],
    ]


def test_with_both_images_the_old_one_comes_first():
    old, new = b'"OldImage":{"id":{"S":"a"},"n":{"N":"1"}}', b'"NewImage":{"id":{"S":"a"},"n":{"N":"2"}}'
    records = [Record(7, KEY, NEW)], [Record(7, KEY, NEW, OLD)], [Record(7, KEY, None, OLD)]
    assert [exported(one, view="NEW_AND_OLD_IMAGES")[3] for one in records] == [
        [STAMP + b"," + new + b"}"],
        [STAMP + b"," + old + b"," + new + b"}"],
        [STAMP + b"," + old + b"}"],
    ]


def test_raw_bytes_are_written_as_they_are():
    raw = msgspec.Raw(b'{"id":{"S":"a"}, "t":{"S":"\xe2\x80\xa8"}}')
    assert exported([Record(7, KEY, raw)])[3] == [STAMP + b',"NewImage":' + bytes(raw) + b"}"]


def test_a_window_has_the_last_state_of_each_key_that_changed_in_it():
    other = {"id": {"S": "b"}}
    history = [Write(1, KEY, OLD), Write(2, other, other), Write(5, KEY, None), Write(7, KEY, NEW), Write(9, KEY, None)]
    assert list(compacted(history, 3, 9)) == [Record(7, KEY, NEW, OLD)]
    assert list(compacted(history, 3, 10)) == [Record(9, KEY, None, OLD)]
    assert list(compacted(history, 1, 2)) == [Record(1, KEY, OLD)]


def test_a_key_that_lived_and_died_inside_of_a_window_is_not_in_it():
    history = [Write(1, KEY, OLD), Write(2, KEY, NEW), Write(3, KEY, None)]
    assert list(compacted(history, 1, 4)) == []
    assert list(compacted(history, 2, 4)) == [Record(3, KEY, None, OLD)]

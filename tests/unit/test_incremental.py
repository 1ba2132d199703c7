import gzip
import hashlib
import json
import re
from base64 import b64encode
from decimal import Decimal

import pytest
from fakes import ObjectStore

from daemon.control import Part
from daemon.source.export import ExportUnusable, read_export
from daemon.source.incremental import Window, chain, change_reader, ranked, read_window
from daemon.source.pages import Sources, pages
from sinks.attributes import UnreadableItem
from sinks.change import Item, Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("PK", "S"))
FOLDER = "p/AWSDynamoDB/01695097218000-d6299cbd"
DATA = "p/AWSDynamoDB/data/uimbi7eofu2b5kzkxe63gsvb6i.json.gz"
MANIFEST = f"s3://b/{FOLDER}/manifest-summary.json"
SUMMARY = {
    "version": "2023-08-01",
    "exportArn": "arn:aws:dynamodb:us-east-1:599882009758:table/export-test/export/01695097218000-d6299cbd",
    "startTime": "2023-09-19T04:20:18.000Z",
    "endTime": "2023-09-19T04:40:24.780Z",
    "tableArn": "arn:aws:dynamodb:us-east-1:599882009758:table/export-test",
    "tableId": "t",
    "exportFromTime": "2023-09-18T17:00:00.000Z",
    "exportToTime": "2023-09-19T04:00:00.000Z",
    "s3Bucket": "b",
    "s3Prefix": "p",
    "s3SseAlgorithm": "AES256",
    "s3SseKmsKeyId": None,
    "manifestFilesS3Key": f"{FOLDER}/manifest-files.json",
    "billedSizeBytes": 20901239349,
    "itemCount": 3,
    "outputFormat": "DYNAMODB_JSON",
    "outputView": "NEW_AND_OLD_IMAGES",
    "exportType": "INCREMENTAL_EXPORT",
}
STAMP = b'{"Metadata":{"WriteTimestampMicros":{"N":"1680109764000000"}},'
LINES = (
    STAMP
    + b'"Keys":{"PK":{"S":"100"}},"NewImage":{"PK":{"S":"100"},"t":{"S":"\xe2\x80\xa8 is one line"}}}\n'
    + STAMP
    # Old before new, as AWS's example has it; the old image says nothing here.
    + b'"Keys":{"PK":{"S":"200"}},"OldImage":{"PK":{"S":"200"},"n":{"N":"1"}},"NewImage":{"PK":{"S":"200"}}}\n'
    + STAMP
    + b'"Keys":{"PK":{"S":"300"}},"OldImage":{"PK":{"S":"300"},"n":{"N":"1"}}}\n'
)


PACKED = gzip.compress(LINES, mtime=0)


def md5(body):
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def exported(folder=FOLDER, data=DATA, body=None, **summary):
    """An object store with one incremental export of three lines and an empty file."""
    store = ObjectStore()
    body = PACKED if body is None else body
    listed = [
        {"itemCount": 3, "md5Checksum": md5(PACKED), "etag": "x-1", "dataFileS3Key": DATA},
        {"itemCount": 0, "md5Checksum": "", "etag": "x-1", "dataFileS3Key": "p/AWSDynamoDB/data/empty.json.gz"},
    ]
    listing = b"".join(json.dumps(file).encode() + b"\n" for file in listed)
    for name, text in {
        "manifest-summary": json.dumps({**SUMMARY, **summary}).encode() + b"\n",
        "manifest-files": listing,
    }.items():
        store.put_object(Bucket="b", Key=f"{folder}/{name}.json", Body=text)
        store.put_object(Bucket="b", Key=f"{folder}/{name}.md5", Body=md5(text).encode())
    if data:
        store.put_object(Bucket="b", Key=data, Body=body)
    return store


def all_rows(store, part):
    return [row for page in pages(Sources(store, KEYS), part) for row in page.rows]


def test_a_manifest_as_aws_writes_it_is_read():
    assert read_window(exported(), MANIFEST) == Window(
        manifest=MANIFEST,
        table_arn=SUMMARY["tableArn"],
        from_time=1695056400.0,
        to_time=1695096000.0,
        items=3,
        parts=[Part(f"s3://b/{DATA}", md5(PACKED), 3, kind="incremental", size_bytes=len(PACKED))],
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exportType": "FULL_EXPORT"}, "of a FULL_EXPORT: a gap is healed with incremental exports"),
        ({"outputFormat": "CSV"}, "is in CSV, known are DYNAMODB_JSON and ION"),
        ({"outputView": "KEYS_ONLY"}, "export again with ExportViewType NEW_IMAGE"),
        ({"outputView": None}, "export again with ExportViewType NEW_IMAGE"),
        ({"exportToTime": None}, "no window of time"),
        ({"exportFromTime": SUMMARY["exportToTime"]}, "no window of time"),
        ({"exportFromTime": "2023-09-18T17:00:00"}, "not the manifest-summary"),
        ({"itemCount": 4}, "add up to 3"),
        ({"tableArn": None}, "not the manifest-summary"),
    ],
)
def test_an_export_that_cannot_be_taken_is_refused_with_the_reason(change, said):
    with pytest.raises(ExportUnusable, match=said):
        read_window(exported(**change), MANIFEST)


def test_an_incremental_export_is_never_taken_for_a_full_one():
    with pytest.raises(ExportUnusable, match="a backfill needs a full export"):
        read_export(exported(), MANIFEST)


@pytest.mark.parametrize("data", ["moved/data/", "moved/here/data/"])
def test_an_export_copied_elsewhere_is_found_near_its_manifest(data):
    store = exported(folder="moved/here", data=data + DATA.rsplit("/", 1)[-1])
    (part,) = read_window(store, "s3://b/moved/here/manifest-summary.json").parts
    assert part.name == f"s3://b/{data}uimbi7eofu2b5kzkxe63gsvb6i.json.gz"


def test_a_data_file_that_is_not_there_is_named_before_anything_is_loaded():
    with pytest.raises(ExportUnusable, match=r"6i\.json\.gz is missing"):
        read_window(exported(data=None), MANIFEST)


def test_a_manifest_that_does_not_match_its_checksum_is_refused():
    store = exported()
    store.put_object(Bucket="b", Key=f"{FOLDER}/manifest-files.json", Body=b"{}")
    with pytest.raises(ExportUnusable, match="altered or cut short"):
        read_window(store, MANIFEST)


def test_a_manifest_that_does_not_exist_is_named_with_the_next_step():
    with pytest.raises(ExportUnusable, match="check its address, and that the export is COMPLETED"):
        read_window(ObjectStore(), MANIFEST)


def test_an_altered_file_is_refused_before_its_first_row():
    store = exported(body=gzip.compress(LINES + LINES))
    (part,) = read_window(store, MANIFEST).parts
    with pytest.raises(ExportUnusable, match="altered or cut short"):
        all_rows(store, part)


def test_every_line_is_a_key_with_its_own_bytes_or_with_its_deletion():
    store = exported()
    (part,) = read_window(store, MANIFEST).parts
    assert all_rows(store, part) == [
        (Key("100"), Item(b'{"PK":{"S":"100"},"t":{"S":"\xe2\x80\xa8 is one line"}}')),
        (Key("200"), Item(b'{"PK":{"S":"200"}}')),
        (Key("300"), None),
    ]


def test_a_line_that_is_no_change_is_named_with_its_number():
    store = ObjectStore()
    body = gzip.compress(LINES + b'{"Item":{"PK":{"S":"a"}}}\n')
    store.put_object(Bucket="b", Key="k", Body=body)
    with pytest.raises(ExportUnusable, match="line 4: not a line of an incremental export"):
        all_rows(store, Part("s3://b/k", md5(body), 4, kind="incremental"))


@pytest.mark.parametrize("image", [b"", b',"NewImage":null', b',"NewImage":{}', b', "NewImage" : {} '])
def test_a_line_without_a_new_image_is_a_deletion(image):
    assert change_reader(KEYS)(STAMP + b'"Keys":{"PK":{"S":"a"}}' + image + b"}") == (Key("a"), None)


@pytest.mark.parametrize("stamp", [b'{"WriteTimestampMicros":"1"}', b'{"WriteTimestampMicros":1}', b"{}"])
def test_the_time_of_the_write_may_be_spelled_in_any_way_for_it_is_not_read(stamp):
    line = b'{"Metadata":' + stamp + b',"Keys":{"PK":{"S":"a"}},"NewImage":{"PK":{"S":"a"}}}'
    assert change_reader(KEYS)(line) == (Key("a"), Item(b'{"PK":{"S":"a"}}'))


def test_fields_in_another_order_with_spaces_and_with_names_inside_of_the_item_are_read():
    image = b'{ "NewImage":{"M":{"NewImage":{"NULL":true}}}, "Keys":{"S":"}"},"PK":{"S":"a"} , "n":{"N":"1.10"}}'
    line = b'{ "NewImage" : ' + image + b' , "New":1, "Keys": {"PK": {"S": "a"}}, "Metadata": {} }'
    assert change_reader(KEYS)(line) == (Key("a"), Item(image))


def test_keys_are_those_that_the_stream_has_for_the_same_item():
    keys = KeySchema(KeyAttribute("n", "N"), KeyAttribute("b", "B"))
    line = STAMP + b'"Keys":{"b":{"B":"/w=="},"n":{"N":"1.10"}}}'
    assert change_reader(keys)(line) == (Key(Decimal("1.1"), b"\xff"), None)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b'{"Item":{"PK":{"S":"a"}}}',
        b'{"Keys":{"PK":{"S":"a"}}}',
        b'{"Record":{"Metadata":{},"Keys":{"PK":{"S":"a"}}}}',
        b'{"Metadata":{},"Keys":{"PK":{"N":"1"}}}',
        b'{"Metadata":{},"Keys":{}}',
        b'{"Metadata":{},"Keys":{"PK":{"S":"a"}},"NewImage":{"x":{"S":"a"}}}',
        b'{"Metadata":{},"Keys":{"PK":{"S":"a"}},"NewImage":{"PK":{"S":"b"}}}',
        b'{"Metadata":{},"Keys":{"PK":{"S":"a"}},"NewImage":7}',
    ],
)
def test_a_line_that_is_no_change_of_one_item_is_refused(line):
    with pytest.raises(UnreadableItem):
        change_reader(KEYS)(line)


T0 = 1_700_000_000.0
HOUR = 3600.0


def window(begin, end, name=None, table="orders"):
    """From `begin` to `end` hours after T0."""
    manifest = name or f"s3://b/{begin}-{end}"
    return Window(manifest, f"arn:table/{table}", T0 + begin * HOUR, T0 + end * HOUR, 0, [])


def why(*windows, begin=1, end=5, margin_seconds=600):
    return chain(windows, T0 + begin * HOUR, T0 + end * HOUR, margin_seconds)


@pytest.mark.parametrize(
    "windows",
    [
        [window(0, 6)],
        [window(0, 3), window(3, 6)],
        [window(3, 6), window(0, 3)],
        [window(0, 4), window(1, 2), window(4, 6)],  # one inside of another
        [window(0, 3), window(2, 6), window(2, 5)],
        [window(0, 6, "s3://b/one"), window(0, 6, "s3://b/two")],
    ],
)
def test_windows_without_a_hole_heal_the_gap_in_any_order_and_with_overlaps(windows):
    assert why(*windows) is None


def test_the_margin_is_covered_to_the_second():
    assert why(window(0.5, 5.5), margin_seconds=1800) is None
    assert "wanted: 1801 s of overlap" in why(window(0.5, 6), margin_seconds=1801)
    assert "wanted: 1801 s of overlap" in why(window(0, 5.5), margin_seconds=1801)


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ([], "no incremental export at all"),
        ([window(0.9, 6)], "the first export, s3://b/0.9-6, at "),
        ([window(0, 5.1)], "the last export, s3://b/0-5.1, at "),
        (
            [window(0, 2), window(3, 6)],
            "s3://b/0-2 ends at .* s3://b/3-6, begins at .*: changes of 3600 s are in neither",
        ),
        ([window(0, 4), window(1, 2), window(4.5, 6)], "s3://b/0-4 ends at .* changes of 1800 s"),
        # Apart from the others, and so it would bring back what its items once were.
        ([window(-3, -2), window(0, 6)], "changes of 7200 s"),
        ([window(0, 6), window(7, 8)], "changes of 3600 s"),
        ([window(0, 3), window(3, 6, table="other")], "of the table arn:table/other, s3://b/0-3 of arn:table/orders"),
        ([window(0, 6), window(0, 6)], "s3://b/0-6 is listed twice"),
    ],
)
def test_windows_that_do_not_heal_the_gap_are_told_why(windows, said):
    assert re.search(said, why(*windows))
    assert re.search(said, why(*reversed(windows)))


def test_a_hole_is_told_with_the_export_that_fills_it():
    told = why(window(0, 2), window(3, 6))
    begin, end = re.search(r"Take incremental exports that cover (\S+) to (\S+) ", told).groups()
    filling = [window(0, 2), window(3, 6), window(2, 3)]
    assert (begin, end) == tuple(re.search(r"ends at (\S+), .* begins at (\S+):", told).groups())
    assert why(*filling) is None


def test_each_window_has_a_rank_below_the_base_in_the_order_of_time():
    first, second, third = window(0, 2), window(1, 3), window(3, 4)
    assert ranked([third, first, second], 1000) == [(first, 997), (second, 998), (third, 999)]


def test_a_window_inside_of_another_has_the_lower_rank_for_its_rows_are_older():
    outer, inner = window(0, 6), window(2, 3)
    assert ranked([outer, inner], 1000) == [(inner, 998), (outer, 999)]


def test_ranks_are_the_same_again_whatever_the_order_in_which_the_windows_come():
    windows = [window(0, 6, "s3://b/one"), window(0, 6, "s3://b/two"), window(1, 6)]
    assert ranked(windows, 1000) == ranked(windows[::-1], 1000)

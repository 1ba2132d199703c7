"""Each fault of an export in a real S3 server: the file is named, the rest of the work is kept."""

import gzip
from decimal import Decimal

import boto3
import pytest
import zstandard
from exports import FOLDER, ion_line, listed, md5, packed, put_export
from fakes import MemoryControl, no_letters

from daemon.apply import Ways
from daemon.backfill import BackfillIncomplete, load_share, loading, part_names
from daemon.control import Part, parts_of
from daemon.plan import versioned
from daemon.source.export import ExportUnusable, read_export
from daemon.source.pages import Sources, pages
from sinks.change import Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

pytestmark = pytest.mark.server
KEYS = KeySchema(KeyAttribute("id", "S"))
ROWS = 50


def lines(name):
    return [b'{"Item":{"id":{"S":"%s-%d"}}}' % (name.encode(), number) for number in range(ROWS)]


def good(*names):
    return {f"{name}.json.gz": (packed(*lines(name)), ROWS) for name in names}


class Bucket:
    """A bucket of its own; what is loaded out of it, into memory."""

    def __init__(self, client, name):
        self.client, self.name = client, name
        self.sink, self.control = MemorySink(), MemoryControl()
        client.create_bucket(Bucket=name)

    def put(self, files, **options):
        return put_export(self.client, self.name, files, **options)

    def replace(self, name, body):
        self.client.put_object(Bucket=self.name, Key=f"{FOLDER}/data/{name}", Body=body)

    def remove(self, name):
        self.client.delete_object(Bucket=self.name, Key=f"{FOLDER}/data/{name}")

    def begin(self, manifest):
        """Anchor, as far as parts go."""
        found = read_export(self.client, manifest)
        for record, part in part_names(versioned(found.parts, found.version), 1).items():
            self.control.put(record, part, 0)
        return found

    def load(self):
        ways = Ways(self.sink.apply, self.sink.apply, no_letters)
        sources = Sources(self.client, KEYS)
        load_share(self.control, 1, 0, 1, lambda part: loading(lambda p: pages(sources, p), part, ways, 100))

    def parts(self):
        return [part for part, _ in self.control.all(parts_of(1), Part).values()]


@pytest.fixture
def bucket(s3, fresh_name):
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=s3.endpoint_url)
    yield Bucket(client, fresh_name())
    client.close()


def spoil_missing(bucket, _):
    bucket.remove("b.json.gz")


def spoil_cut(bucket, body):
    bucket.replace("b.json.gz", body[:-7])


def spoil_altered(bucket, body):
    bucket.replace("b.json.gz", body[:30] + bytes([body[30] ^ 1]) + body[31:])


def spoil_swapped(bucket, _):
    bucket.replace("b.json.gz", packed(*lines("else")))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_missing, "is missing although the manifest lists it"),
        (spoil_cut, "altered or cut short"),
        (spoil_altered, "altered or cut short"),
        (spoil_swapped, "altered or cut short"),
    ],
)
def test_a_file_that_is_spoiled_after_the_begin_is_named_and_a_rerun_after_the_fix_continues(bucket, spoil, said):
    files = good("a", "b", "c")
    found = bucket.begin(bucket.put(files))
    assert [part.size_bytes for part in found.parts] == [len(body) for body, _ in files.values()]
    body = files["b.json.gz"][0]
    spoil(bucket, body)
    with pytest.raises(BackfillIncomplete, match=rf"b\.json\.gz .*{said}"):
        bucket.load()
    assert [(part.done, part.applied) for part in bucket.parts()] == [(True, ROWS), (False, 0), (True, ROWS)]
    bucket.replace("b.json.gz", body)
    bucket.load()
    assert all(part.done and part.error is None for part in bucket.parts())
    assert len(bucket.sink.changes) == 3 * ROWS


# The manifest agrees with these: whoever packed the files anew has also written the checksums.
WRONG = {
    "breaks off in gzip": (packed(*lines("b"))[:-9], ROWS, "cannot be unpacked"),
    "breaks off in zstd": (zstandard.ZstdCompressor().compress(b"\n".join(lines("b")))[:-4], ROWS, "breaks off"),
    "is followed by garbage": (packed(*lines("b")) + b"garbage", ROWS, "cannot be unpacked"),
    "has a row less than was promised": (packed(*lines("b")[1:]), ROWS, f"has {ROWS - 1} items, .* says {ROWS}"),
    "has a row more than was promised": (packed(*lines("b"), *lines("x")[:1]), ROWS, f"has {ROWS + 1} items"),
    "is empty and should not be": (b"", ROWS, f"has 0 items, the manifest says {ROWS}"),
    "is no export": (packed(b"<html>"), 1, "line 1: not a line"),
}


@pytest.mark.parametrize(("body", "items", "said"), WRONG.values(), ids=WRONG)
def test_a_file_that_was_wrong_from_the_begin_is_named_and_the_others_are_loaded(bucket, body, items, said):
    bucket.begin(bucket.put({**good("a"), "b.json.gz": (body, items), **good("c")}))
    with pytest.raises(BackfillIncomplete, match=rf"b\.json\.gz.*{said}"):
        bucket.load()
    assert [part.done for part in bucket.parts()] == [True, False, True]
    assert {key for key in bucket.sink.changes if key.partition[0] in "ac"} == {
        Key(f"{name}-{number}") for name in "ac" for number in range(ROWS)
    }


def test_empty_files_are_no_fault_and_no_work(bucket):
    found = bucket.begin(bucket.put({**good("a"), "empty.json.gz": (packed(), 0), "none.json.gz": (b"", 0)}))
    assert len(found.parts) == 1
    bucket.load()
    assert len(bucket.sink.changes) == ROWS


def test_a_file_that_is_missing_before_the_begin_is_named_before_anything_is_loaded(bucket):
    manifest = bucket.put(good("a", "b"))
    bucket.remove("b.json.gz")
    with pytest.raises(ExportUnusable, match=r"/data/b\.json\.gz is missing"):
        bucket.begin(manifest)


def test_a_file_that_is_listed_twice_is_named(bucket):
    body = packed(*lines("a"))
    twice = [listed(FOLDER, "a.json.gz", body, ROWS)] * 2
    with pytest.raises(ExportUnusable, match=r"lists .*a\.json\.gz twice"):
        bucket.begin(bucket.put(good("a"), entries=twice))


def test_counts_that_do_not_add_up_are_told(bucket):
    with pytest.raises(ExportUnusable, match=f"says {ROWS + 1} items, its files add up to {ROWS}"):
        bucket.begin(bucket.put(good("a"), itemCount=ROWS + 1))


def test_a_list_of_files_that_was_cut_short_is_told(bucket):
    manifest = bucket.put(good("a", "b"))
    key = f"{FOLDER}/manifest-files.json"
    whole = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=whole[: len(whole) // 2])
    with pytest.raises(ExportUnusable, match=r"manifest-files\.json has MD5 .* altered or cut short"):
        bucket.begin(manifest)


@pytest.mark.parametrize("missing", ["manifest-summary.json", "manifest-summary.md5", "manifest-files.md5"])
def test_a_document_of_the_manifest_that_is_missing_is_named(bucket, missing):
    manifest = bucket.put(good("a"))
    bucket.client.delete_object(Bucket=bucket.name, Key=f"{FOLDER}/{missing}")
    with pytest.raises(ExportUnusable, match=missing):
        bucket.begin(manifest)


@pytest.mark.parametrize(
    ("folder", "said"),
    [("elsewhere/copy", FOLDER), (FOLDER, FOLDER.removeprefix("p/")), ("01715685260608-c488b4e1", FOLDER)],
    ids=["moved with its folder", "relative without the prefix", "moved to the bucket's root"],
)
def test_an_export_is_found_where_its_manifest_lies(bucket, folder, said):
    bucket.begin(bucket.put(good("a", "b"), folder=folder, said_folder=said))
    bucket.load()
    assert len(bucket.sink.changes) == 2 * ROWS


def test_an_export_in_ion_and_files_packed_otherwise_are_loaded(bucket):
    ion = b"".join(ion_line(Item={"id": f"i{n}", "n": Decimal("1E+20")}) + b"\n" for n in range(ROWS))
    forms = {
        "gzip.ion.gz": gzip.compress(ion, mtime=0),
        "zstd.ion.gz": zstandard.ZstdCompressor().compress(ion.replace(b'"i', b'"z')),
        "plain.ion.gz": ion.replace(b'"i', b'"p'),
    }
    bucket.begin(bucket.put({name: (body, ROWS) for name, body in forms.items()}, outputFormat="ION"))
    bucket.load()
    assert len(bucket.sink.changes) == 3 * ROWS
    assert bucket.sink.changes[Key("z7")].item.json == b'{"id":{"S":"z7"},"n":{"N":"100000000000000000000"}}'
    assert all(part.md5 == md5(forms[part.name.rsplit("/", 1)[1]]) for part in bucket.parts())

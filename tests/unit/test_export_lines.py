"""Lines and manifests of every export format, word for word: tests/fixtures/exports."""

import shutil
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from amazon.ion import simpleion
from exports import ion_line, md5, packed, put_export
from fakes import ObjectStore

from daemon.control import Part
from daemon.source.export import ExportUnusable, read_export
from daemon.source.incremental import read_window
from daemon.source.ion import json_line
from daemon.source.pages import Sources, pages
from sinks.attributes import UnreadableItem
from sinks.change import Key, KeyAttribute, KeySchema

FIXTURES = Path(__file__).parent.parent / "fixtures" / "exports"
ALL_TYPES = {
    "id": "K3TXQk84Si",
    "a": False,
    "b": None,
    "c": frozenset({"8gfX8dh0xa", "fRjHZJ2Ce9"}),
    "d": frozenset({Decimal(3), Decimal(2)}),
    "e": [Decimal(1), "Dsb87qc6Es"],
    "f": {"h": None, "i": True, "g": Decimal(9)},
    "j": b"hello",
    "k": frozenset({b"is fast", b"scylladb"}),
}
CHANGED = [
    (Key("CUST#100"), {"PK": "CUST#100", "FirstName": "John"}),
    (Key("CUST#200"), {"PK": "CUST#200", "LastName": "Smith"}),
    (Key("CUST#300"), None),
]


def rows(name, keys, **part):
    """Key and attributes of each line of a fixture, through the whole way in."""
    store, body = ObjectStore(), packed(*(FIXTURES / name).read_bytes().split(b"\n"))
    store.put_object(Bucket="b", Key="k", Body=body)
    found = pages(Sources(store, keys), Part("s3://b/k", md5(body), 0, **part))
    return [(key, item and item.attributes()) for page in found for key, item in page.rows]


@pytest.fixture(params=[True, False], ids=["C extension", "Python"])
def either_reader(request):
    """amazon.ion with its C extension and, by its own switch, without."""
    simpleion.c_ext = request.param
    yield
    simpleion.c_ext = True


@pytest.mark.usefixtures("either_reader")
@pytest.mark.parametrize(("name", "format_"), [("full.json", "DYNAMODB_JSON"), ("full.ion", "ION")])
def test_a_full_export_in_either_format_gives_the_same_items(name, format_):
    found = rows(name, KeySchema(KeyAttribute("id", "S")), format=format_)
    assert found == [
        (Key("bar"), {"id": "bar", "baz": Decimal(0)}),
        (Key("K3TXQk84Si"), ALL_TYPES),
    ]


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("incremental-new.json", "DYNAMODB_JSON"),
        ("incremental-new-and-old.json", "DYNAMODB_JSON"),
        ("incremental-as-printed.json", "DYNAMODB_JSON"),
        ("incremental.ion", "ION"),
    ],
)
def test_an_incremental_export_in_either_view_and_format_gives_the_same_changes(name, format_):
    assert rows(name, KeySchema(KeyAttribute("PK", "S")), format=format_, kind="incremental") == CHANGED


def test_numbers_of_the_guides_ion_are_plain_as_the_stream_has_them():
    line = (FIXTURES / "guide.ion").read_bytes().strip()
    item = msgspec.json.decode(json_line(line))["Item"]
    assert (item["Id"], item["PageCount"], item["Price"]) == ({"N": "103"}, {"N": "600"}, {"N": "2000"})
    ((key, _),) = rows("guide.ion", KeySchema(KeyAttribute("PageCount", "N")), format="ION")
    assert (key, str(key.partition)) == (Key(Decimal(600)), "600")


def test_a_real_manifest_is_read_word_for_word():
    store, folder = ObjectStore(), "dynamodb-export/AWSDynamoDB/01715685260608-c488b4e1"
    for name in ("manifest-summary", "manifest-files"):
        text = (FIXTURES / f"full-{name}.json").read_bytes()
        store.put_object(Bucket="test-bucket", Key=f"{folder}/{name}.json", Body=text)
        store.put_object(Bucket="test-bucket", Key=f"{folder}/{name}.md5", Body=md5(text).encode())
    data = f"{folder}/data/uimbi7eofu2b5kzkxe63gsvb6i.json.gz"
    store.put_object(Bucket="test-bucket", Key=data, Body=b"12345")
    found = read_export(store, f"s3://test-bucket/{folder}/manifest-summary.json")
    assert (found.items, found.exported_at) == (3, 1715685260.608)
    assert found.parts == [Part(f"s3://test-bucket/{data}", "rzAeIrtALbOlNdK5Hh8tgA==", 3, size_bytes=5)]


def test_the_guides_manifest_of_an_incremental_export_is_read_and_its_missing_files_are_told():
    text = (FIXTURES / "incremental-manifest-summary.json").read_bytes()
    store, folder = ObjectStore(), "20230919-prefix/AWSDynamoDB/01693685934212-ac809da5"
    store.put_object(Bucket="b", Key=f"{folder}/manifest-summary.json", Body=text)
    store.put_object(Bucket="b", Key=f"{folder}/manifest-summary.md5", Body=md5(text).encode())
    with pytest.raises(ExportUnusable, match=r"manifest-files\.json is missing"):
        read_window(store, f"s3://b/{folder}/manifest-summary.json")


def test_a_manifest_of_an_ion_export_makes_parts_in_ion():
    store = ObjectStore()
    body = packed(ion_line(Item={"id": "a"}))
    found = read_export(store, put_export(store, "b", {"a.ion.gz": (body, 1)}, outputFormat="ION"))
    assert [(part.format, part.size_bytes) for part in found.parts] == [("ION", len(body))]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{Item:{a:sym}}", "no DynamoDB type"),
        (b"{Item:{a:2020T}}", "no DynamoDB type"),
        (b"{Item:{a:1e0}}", "(?i)float"),
        (b"{Item:{a:(1 2)}}", "sexp"),
        (b'{Item:{a:{{"x"}}}}', "clob"),
        (b"{Item:{a:x::1.}}", "only sets"),
        (b"{Item:{a:x::[]}}", r"known are \$dynamodb_SS"),
        (b'{Item:{a:$dynamodb_NS::["x"]}}', "a set of N holds 'x'"),
        (b"{Item:{a:1d126}}", "beyond DynamoDB's numbers"),
        (b"{Item:{a:1d99999}}", "beyond DynamoDB's numbers"),
        (b"{Item:{$0:1.}}", "symbol without text"),
        (b"{Item:[]}", "an item is a struct"),
        (b"[]", "a line is one struct"),
        (b"{Item:{}} {Item:{}}", "found 2"),
        (b"{Item:{a:'''one", "not a line of Ion"),
        (b'{Item:{a:"one', "not a line of Ion"),
        (b'{Item:{a:"\xff"}}', "not a line of Ion"),
    ],
)
@pytest.mark.usefixtures("either_reader")
def test_a_line_of_ion_that_no_export_has_is_refused_with_the_reason(line, said):
    with pytest.raises(UnreadableItem, match=said):
        json_line(line)


def test_a_bad_line_of_ion_is_named_with_its_number():
    store, body = ObjectStore(), packed(ion_line(Item={"id": "a"}), b"{Item:{id:1e0}}")
    store.put_object(Bucket="b", Key="k", Body=body)
    part = Part("s3://b/k", md5(body), 2, format="ION")
    with pytest.raises(ExportUnusable, match="s3://b/k, line 2: "):
        list(pages(Sources(store, KeySchema(KeyAttribute("id", "S"))), part))


def test_text_and_blobs_of_the_largest_item_are_read():
    long = {"id": "x" * 400_000, "b": b"y" * 400_000}
    assert len(msgspec.json.decode(json_line(ion_line(Item=long)))["Item"]["id"]["S"]) == 400_000


def test_nothing_of_ion_is_loaded_on_the_way_of_json():
    import subprocess
    import sys

    python = shutil.which(sys.executable)
    code = (
        "import sys, daemon.worker, daemon.source.pages; print([m for m in sys.modules if m.startswith('amazon.ion')])"
    )
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"

"""Any items, written as an export in either format and any packing, are the same items when they are read."""

import gzip

import zstandard
from exports import ion_line, md5
from fakes import ObjectStore
from hypothesis import given, settings
from hypothesis import strategies as st
from property.test_attributes import items, numbers

from daemon.control import Part
from daemon.source.pages import Sources, pages
from sinks.attributes import encode_item
from sinks.change import Key, KeyAttribute, KeySchema

tables = st.lists(st.tuples(numbers, items.map(lambda item: {k: v for k, v in item.items() if k != "id"})), max_size=5)
PACKED = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "gzip in members": lambda body: gzip.compress(body[:20], mtime=0) + gzip.compress(body[20:], mtime=0),
    "zstd": lambda body: zstandard.ZstdCompressor().compress(body),
    "plain": lambda body: body,
}
KEYS = KeySchema(KeyAttribute("id", "N"))


def read(body, **part):
    store = ObjectStore()
    store.put_object(Bucket="b", Key="k", Body=body)
    found = pages(Sources(store, KEYS), Part("s3://b/k", md5(body), 0, **part))
    return [(key, item and item.attributes()) for page in found for key, item in page.rows]


@settings(deadline=None, max_examples=50)
@given(tables, st.sampled_from(sorted(PACKED)))
def test_a_full_export_of_any_items_is_read_the_same_in_json_and_in_ion(table, packing):
    expected = [(Key(number), {"id": number, **item}) for number, item in table]
    json = b"".join(b'{"Item":' + encode_item(item) + b"}\n" for _, item in expected)
    ion = b"".join(ion_line(Item=item) + b"\n" for _, item in expected)
    assert read(PACKED[packing](json)) == expected
    assert read(PACKED[packing](ion), format="ION") == expected
    assert [str(key.partition) for key, _ in read(ion, format="ION")] == [str(key.partition) for key, _ in expected]


@settings(deadline=None, max_examples=50)
@given(tables, st.booleans())
def test_an_incremental_export_of_any_items_is_read_the_same_in_json_and_in_ion(table, old):
    json = ion = b""
    for number, item in table:
        image = {"id": number, **item} if item else None
        images = {"OldImage": {"id": number, "was": "else"}} if old else {}
        images.update({"NewImage": image} if image else {})
        record = {"Keys": {"id": number}, "Metadata": {"WriteTimestampMicros": number}, **images}
        ion += ion_line(Record=record) + b"\n"
        json += b"{" + b",".join(b'"%s":%s' % (n.encode(), encode_item(v)) for n, v in record.items()) + b"}\n"
    expected = [(Key(number), {"id": number, **item} if item else None) for number, item in table]
    assert read(json, kind="incremental") == expected
    assert read(ion, kind="incremental", format="ION") == expected

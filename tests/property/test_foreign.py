import json

from hypothesis import given
from hypothesis import strategies as st
from property.test_attributes import items, texts

from daemon.source.foreign import documents
from daemon.source.foreign.lines import lines
from daemon.source.foreign.typed import any_case, exact_type, item_reader
from sinks.attributes import decode_item, encode_item
from sinks.change import Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))
with_key = st.builds(lambda item, key: {**item, "id": key}, items, texts)


def emr(value, null):
    """As Gson writes the SDK's AttributeValue: the first letter of a type in lower case, names as they are."""
    ((kind, raw),) = value.items()
    if kind == "M":
        raw = {name: emr(member, null) for name, member in raw.items()}
    elif kind == "L":
        raw = [emr(member, null) for member in raw]
    return {null if kind == "NULL" else kind[0].lower() + kind[1:]: raw}


def emr_line(item, null):
    typed = json.loads(encode_item(item))
    written = {name: emr(value, null) for name, value in typed.items()}
    return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()


def before_v3(item):
    typed = json.loads(emr_line(item, "nULL"))
    return b"\x02".join(name.encode() + b"\x03" + json.dumps(value).encode() for name, value in typed.items())


@given(with_key, st.sampled_from(["nULL", "nULLValue"]))
def test_every_item_survives_the_way_through_an_emr_export(item, null):
    key, found = item_reader(KEYS, any_case)(emr_line(item, null))
    assert (key, decode_item(found.json)) == (Key(item["id"]), item)


plain_names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


@given(st.dictionaries(plain_names.filter(lambda name: not name.lstrip().startswith("{")), items, max_size=4), texts)
def test_every_item_survives_the_way_through_an_export_of_before_v3(maps, key):
    item = {"id": key, **{name: value for name, value in maps.items() if name != "id"}}
    _, found = item_reader(KEYS, any_case)(before_v3(item))
    assert decode_item(found.json) == item


@given(st.lists(with_key, max_size=4), st.integers(1, 50), st.booleans())
def test_every_item_survives_the_way_through_a_scan_document_in_any_blocks(many, size, pretty):
    typed = [json.loads(encode_item(item)) for item in many]
    document = json.dumps({"Items": typed, "Count": len(many)}, indent=4 if pretty else None).encode()
    blocks = (document[start : start + size] for start in range(0, len(document), size))
    read = item_reader(KEYS, exact_type)
    assert [decode_item(read(json)[1].json) for _, json in documents.items(blocks)] == many


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_lines_are_the_same_in_any_blocks(many, size):
    whole = b"\n".join(line.replace(b"\n", b"") for line in many).removeprefix(b"\xef\xbb\xbf")
    blocks = (whole[start : start + size] for start in range(0, len(whole), size))
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [line for _, line in lines(blocks)] == expected

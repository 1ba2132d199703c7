from pathlib import Path

import pytest

from daemon.source.foreign.numbers import number
from daemon.source.foreign.typed import any_case, exact_type, item_reader
from sinks.attributes import UnreadableItem
from sinks.change import Key, KeyAttribute, KeySchema

GOLDEN = Path(__file__).parent.parent / "fixtures" / "foreign"
KEYS = KeySchema(KeyAttribute("id", "S"))
EVERY_TYPE = (
    b'{"id":{"S":"x"},"n1":{"N":"1"},"tags":{"SS":["a","b"]},"ns":{"NS":["1"]},"bin":{"B":"aGVsbG8="},'
    b'"bs":{"BS":["aGVsbG8="]},"flag":{"BOOL":true},"m":{"M":{"k":{"S":"v"}}},"l":{"L":[{"N":"1"}]},"nul":{"NULL":true}}'
)
NAMED_LIKE_TYPES = (
    b'{"id":{"S":"y"},"s":{"S":"an attribute named s"},"nULL":{"NULL":true},'
    b'"m":{"M":{"sS":{"SS":["deep"]},"empty":{"L":[]}}}}'
)


def golden(name, type_of=any_case):
    lines = (GOLDEN / name).read_bytes().split(b"\n")[:-1]
    return [item_reader(KEYS, type_of)(line) for line in lines]


def test_a_line_of_emr_with_every_type_becomes_dynamodbs_own_typed_json():
    rows = golden("emr/92dd1414-3f1c-4b0e-8d7e-5f6a4a1c9b10")
    assert [key for key, _ in rows] == [Key("x"), Key("y")]
    assert rows[0][1].json == EVERY_TYPE


def test_attributes_that_are_named_like_types_keep_their_names():
    assert golden("emr/92dd1414-3f1c-4b0e-8d7e-5f6a4a1c9b10")[1][1].json == NAMED_LIKE_TYPES


@pytest.mark.parametrize("null", [b"nULL", b"nULLValue", b"NULL", b"null", b"nullValue"])
def test_each_way_in_which_sdks_have_written_null_is_read(null):
    _, item = item_reader(KEYS, any_case)(b'{"id":{"s":"x"},"a":{"%s":true}}' % null)
    assert item.attributes() == {"id": "x", "a": None}


def test_the_control_characters_of_data_pipeline_before_v3_are_read():
    rows = golden("before-v3")
    assert rows[0][1].json == b'{"id":{"S":"Seattle"},"scores":{"NS":["100","30","45"]}}'
    assert rows[1][1].attributes() == {"id": "Kent", "s": "braces { } and \x02 inside"}


def test_items_a_line_are_read_with_and_without_their_wrapper():
    rows = golden("items", exact_type)
    assert [key.partition for key, _ in rows] == ["bar", "wrapped", "c"]
    assert rows[2][1].attributes() == {"Item": "an attribute named Item", "id": "c"}


def test_a_wrapper_is_told_from_an_attribute_named_item_by_the_key():
    read = item_reader(KeySchema(KeyAttribute("Item", "S")), any_case)
    assert read(b'{"Item":{"S":"x"}}')[0] == Key("x")
    assert read(b'{"Item":{"Item":{"S":"x"}}}')[0] == Key("x")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"id":{"s":"x"},"a":{"sx":"y"}}', "attribute a: 'sx' is no type"),
        (b'{"id":{"s":"x"},"a":{"s":"y","n":"1"}}', "attribute a: a value with its one type"),
        (b'{"id":{"s":"x"},"a":{"m":{"b":{"l":[{"n":"one"}]}}}}', r"attribute a.b\[0\]: 'one' is not a number"),
        (b'{"id":{"s":"x"},"a":{"n":1}}', "attribute a: text was expected"),
        (b'{"id":{"s":"x"},"a":{"b":"=="}}', "attribute a: '==' is not base64"),
        (b'{"id":{"s":"x"},"a":{"sS":[]}}', "attribute a: .* does not fit the type SS"),
        (b'{"id":{"s":"x"},"a":{"nULL":false}}', "attribute a: a NULL says true"),
        (b'{"id":{"s":"x"},"a":{"bOOL":"true"}}', "attribute a: true or false was expected"),
        (b'{"a":{"s":"x"}}', "no key id"),
        (b"id\x01x", "as Hive writes them with a column mapping"),
        (b"id\x03{}\x02b", "no .x03 between name and value"),
        (b"[1]", "an item with the key id"),
        (b'{"id":', "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_item_is_refused_and_the_attribute_named(line, told):
    with pytest.raises(UnreadableItem, match=told):
        item_reader(KEYS, any_case)(line)


def test_lower_case_types_are_no_items_of_dynamodbs_own_form():
    with pytest.raises(UnreadableItem, match="'s' is no type"):
        item_reader(KEYS, exact_type)(b'{"id":{"s":"x"}}')


@pytest.mark.parametrize(
    ("text", "plain"),
    [("1.50", "1.5"), ("1e3", "1000"), ("-0", "0"), ("007", "7"), ("+3", "3"), (".5", "0.5"), ("9" * 38, "9" * 38)],
)
def test_a_number_is_written_as_dynamodb_writes_it(text, plain):
    assert number(text) == plain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("9" * 39, "39 significant digits, a number has at most 38"),
        ("1_000", "not a number"),
        ("٣", "not a number"),
        ("NaN", "not a number"),
        ("", "not a number"),
        ("1e126", "lies outside"),
        ("1e-131", "lies outside"),
        ("1e999999", "lies outside"),
    ],
)
def test_a_number_beyond_dynamodbs_limits_is_refused(text, told):
    with pytest.raises(UnreadableItem, match=told):
        number(text)

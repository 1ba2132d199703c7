"""Looking for a key's attributes in an item's bytes finds what reading them finds."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sinks.attributes import without
from sinks.key_texts import remover_of_one, remover_of_two

# Few of each, so that the key's name and text come back elsewhere; some that are the format's own words and signs.
names = st.sampled_from(["id", "order", "S", "M", ",", ":", '":{"', "}", "é", 'a"b', "x\\"])
texts = st.sampled_from(["a", "id", "order", "S", ",", ":", "},", ":{", '"', "\\", "é", "/", "a b", '"},"id":{"S":"a'])
values = st.recursive(
    st.builds(lambda text: {"S": text}, texts) | st.just({"N": "1"}) | st.builds(lambda text: {"SS": [text]}, texts),
    lambda inner: (
        st.builds(lambda members: {"M": members}, st.dictionaries(names, inner, max_size=3))
        | st.builds(lambda members: {"L": members}, st.lists(inner, max_size=3))
    ),
    max_leaves=6,
)
rests = st.lists(st.tuples(names, values), max_size=4)
# DynamoDB's own spelling, white space everywhere, escapes.
SPELLINGS = (
    lambda item: json.dumps(item, separators=(",", ":"), ensure_ascii=False),
    lambda item: json.dumps(item, ensure_ascii=False),
    lambda item: json.dumps(item, indent=1),
    lambda item: json.dumps(item, separators=(" ,", " :"), ensure_ascii=False),
)
spellings = st.sampled_from(SPELLINGS)


def placed(key, rest, places):
    """The item with its key's attributes at these places among the others."""
    members = [(name, value) for name, value in dict(rest).items() if name not in key]
    for (name, text), place in zip(key.items(), places, strict=False):
        members.insert(place % (len(members) + 1), (name, {"S": text}))
    return dict(members)


def same(found, expected):
    """Equal as items, in the same order; and where there is no white space that could differ, byte by byte."""
    return list(json.loads(found).items()) == list(json.loads(expected).items())


@given(names, texts, rests, st.integers(0, 9), spellings)
def test_one_attribute_is_taken_out_as_by_reading(name, text, rest, place, spelled):
    item = spelled(placed({name: text}, rest, [place])).encode()
    assert same(remover_of_one(name)(item, text.encode()), without(item, frozenset({name})))


@given(
    st.lists(names, min_size=2, max_size=2, unique=True),
    texts,
    texts,
    rests,
    st.tuples(*[st.integers(0, 9)] * 2),
    spellings,
)
@example(["id", "order"], "a", "b", [("x", {"M": {"id": {"S": "a"}}})], (0, 1), SPELLINGS[0])
def test_two_attributes_are_taken_out_as_by_reading(pair, text, other, rest, places, spelled):
    item = spelled(placed(dict(zip(pair, (text, other), strict=True)), rest, places)).encode()
    found = remover_of_two(*pair)(item, text.encode(), other.encode())
    assert same(found, without(item, frozenset(pair)))


@given(texts, texts, rests, st.tuples(*[st.integers(0, 9)] * 2))
def test_in_dynamodbs_spelling_every_byte_of_the_others_stays(text, other, rest, places):
    item = SPELLINGS[0](placed({"id": text, "order": other}, rest, places)).encode()
    assert remover_of_two("id", "order")(item, text.encode(), other.encode()) == without(item, {"id", "order"})


# The key itself is spelled otherwise, and a nested attribute looks as the key should: that one must stay.
LOOK_ALIKE = '"m":{"M":{"x":{"N":"1"},"id":{"S":"a"},"order":{"S":"b"}}}'


OTHER_SPELLINGS = (
    '"id" :{"S":"a"}',
    '"id": {"S":"a"}',
    '"id":{ "S":"a"}',
    '"id":{"S" :"a"}',
    '"id":{"S": "a"}',
    '"id":{"S":"a" }',
    r'"\u0069d":{"S":"a"}',
    r'"id":{"\u0053":"a"}',
    r'"id":{"S":"\u0061"}',
)


@pytest.mark.parametrize("key", OTHER_SPELLINGS)
def test_a_nested_look_alike_of_a_key_in_another_spelling_stays(key):
    for text in (f"{{{key},{LOOK_ALIKE}}}", f"{{{LOOK_ALIKE},{key}}}"):
        assert json.loads(remover_of_one("id")(text.encode(), b"a")) == json.loads(f"{{{LOOK_ALIKE}}}")
        both = text[:-1] + ',"order" :{"S":"b"}}'
        assert json.loads(remover_of_two("id", "order")(both.encode(), b"a", b"b")) == json.loads(f"{{{LOOK_ALIKE}}}")


@pytest.mark.parametrize("key", OTHER_SPELLINGS)
def test_a_nested_look_alike_of_a_sort_key_stays_beside_a_plain_partition_key(key):
    item = f'{{"p":{{"S":"z"}},{LOOK_ALIKE},{key}}}'.encode()
    assert json.loads(remover_of_two("p", "id")(item, b"z", b"a")) == json.loads(f"{{{LOOK_ALIKE}}}")


def test_an_item_that_is_all_key_is_empty_then():
    assert remover_of_one("id")(b'{"id":{"S":"a"}}', b"a") == b"{}"
    assert remover_of_two("id", "order")(b'{"order":{"S":"b"},"id":{"S":"a"}}', b"a", b"b") == b"{}"


def test_white_space_around_a_key_leaves_json():
    for item in (
        b'{ "id":{"S":"a"} , "n":{"N":"1"}}',
        b'{"id":{"S":"a"} ,"n":{"N":"1"}}',
        b'{"n":{"N":"1"}, "id":{"S":"a"}}',
    ):
        assert json.loads(remover_of_one("id")(item, b"a")) == {"n": {"N": "1"}}

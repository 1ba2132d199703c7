from decimal import Decimal

import pytest

from sinks.attributes import UnreadableItem, canonical, decode_item, decode_value, encode_value, plain, without


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [("1.0", "1"), ("1e3", "1000"), ("007", "7"), ("+3", "3"), ("-0", "0"), ("1.10", "1.1"), (".5", "0.5")],
)
def test_every_spelling_of_a_number_becomes_the_one_that_dynamodb_writes(spelled, expected):
    assert str(canonical(spelled)) == expected == plain(Decimal(spelled))


def test_canonical_numbers_have_equal_digits_and_scale_not_only_equal_value():
    assert canonical("6E+2").as_tuple() == canonical("600").as_tuple() == canonical("600.00").as_tuple()


@pytest.mark.parametrize("extreme", ["1E+125", "9.9999999999999999999999999999999999999E+125", "1E-130"])
def test_the_largest_and_smallest_numbers_of_dynamodb_survive(extreme):
    assert decode_value({"N": plain(Decimal(extreme))}) == Decimal(extreme)


@pytest.mark.parametrize("nonsense", ["", "one", "NaN", "Infinity", "-sNaN"])
def test_what_is_no_number_is_refused(nonsense):
    with pytest.raises(UnreadableItem):
        canonical(nonsense)


def test_null_and_absent_are_told_apart():
    assert decode_item(b'{"a":{"NULL":true}}') == {"a": None}
    assert decode_item(b"{}") == {}


@pytest.mark.parametrize(
    "damaged",
    [b"", b"[]", b'{"a":1}', b'{"a":{"X":"y"}}', b'{"a":{}}', b'{"a":{"S":"x","N":"1"}}', b'{"a":{"B":"not base64!"}}'],
)
def test_a_damaged_item_is_refused_and_not_guessed_at(damaged):
    with pytest.raises(UnreadableItem):
        decode_item(damaged)


def test_an_empty_set_cannot_be_written_because_dynamodb_has_none():
    with pytest.raises(TypeError, match="never empty"):
        encode_value(frozenset())


def test_taking_keys_off_keeps_every_other_byte():
    json = b'{"id":{"S":"x"},"n":{"N":"1.50"},"t":{"S":"\xe2\x80\xa8\\u0041"}}'
    assert without(json, frozenset({"id"})) == b'{"n":{"N":"1.50"},"t":{"S":"\xe2\x80\xa8\\u0041"}}'

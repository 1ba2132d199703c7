import copy
import json
from base64 import b64encode
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.demo.compare import SAMPLES_MAX, Difference, compare
from daemon.demo.dataset import items
from daemon.demo.sides import CassandraSide
from daemon.verify.canonical import NotAnItem, canonical_item, canonical_value

KEYS = ("customer", "order")
MISSING, EXTRA, CHANGED = Difference.MISSING, Difference.EXTRA, Difference.CHANGED


class Rows:
    """A side made of a list."""

    def __init__(self, rows):
        self.rows = list(rows)

    def items(self):
        yield from self.rows

    def get(self, key):
        return next((row for row in self.rows if all(row[name] == key[name] for name in key)), None)


def row(order, **attributes):
    return {"customer": {"S": "c"}, "order": {"S": order}, **attributes}


def counts(source, target, names=KEYS):
    found = compare(Rows(source), Rows(target), names).counts
    return {kind: count for kind, count in found.items() if count}


def test_two_equal_tables_in_another_order_have_no_difference():
    rows = list(items(1, 300))
    found = compare(Rows(rows), Rows(reversed(copy.deepcopy(rows))), KEYS)
    assert (found.differences, found.source_items, found.target_items) == (0, 300, 300)


def test_a_row_that_is_not_there_is_missing():
    rows = list(items(1, 50))
    assert counts(rows, rows[:20] + rows[21:]) == {MISSING: 1}


def test_a_row_that_came_back_is_extra():
    rows = list(items(1, 50))
    assert counts(rows[:20] + rows[21:], rows) == {EXTRA: 1}


def test_a_key_that_the_target_holds_twice_is_extra():
    one = {"id": {"N": "1"}, "x": {"S": "y"}}
    assert counts([one], [one, {**one, "id": {"N": "1.0"}}], ("id",)) == {EXTRA: 1}


@pytest.mark.parametrize(
    ("was", "became"),
    [
        ({"S": "new"}, {"S": "old"}),
        ({"S": ""}, {"NULL": True}),
        ({"S": "1"}, {"N": "1"}),
        ({"B": "aGk="}, {"S": "aGk="}),
        ({"B": "aGk="}, {"B": "aGkA"}),
        ({"BOOL": True}, {"BOOL": False}),
        ({"N": "9007199254740993"}, {"N": "9007199254740992"}),
        ({"N": "0." + "0" * 129 + "1"}, {"N": "0"}),
        ({"N": "1"}, {"N": "-1"}),
        ({"M": {}}, {"L": []}),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
        ({"SS": ["a"]}, {"L": [{"S": "a"}]}),
        ({"SS": ["a", "b"]}, {"SS": ["a", "b", "b"]}),
        ({"NS": ["1", "2"]}, {"NS": ["1"]}),
        ({"S": "é"}, {"S": "e\u0301"}),
        ({"M": {"a": {"NULL": True}}}, {"M": {}}),
    ],
)
def test_a_damaged_value_is_found(was, became):
    assert counts([row("1", x=was)], [row("1", x=became)]) == {CHANGED: 1}


def test_null_and_absent_are_not_the_same():
    assert counts([row("1", x={"NULL": True})], [row("1")]) == {CHANGED: 1}


def test_an_attribute_too_many_is_found():
    assert counts([row("1")], [row("1", x={"S": "stale"})]) == {CHANGED: 1}


def test_a_sample_names_the_key_and_the_attribute_that_differs():
    source, target = [row("1", x={"S": "new"}, y={"N": "1"})], [row("1", x={"S": "old"}, y={"N": "1.0"})]
    ((sample,),) = [compare(Rows(source), Rows(target), KEYS).samples[CHANGED]]
    assert sample.key == {"customer": {"S": "c"}, "order": {"S": "1"}}
    assert sample.detail == "'x': {'S': 'new'} became {'S': 'old'}"


def test_all_differences_are_counted_and_the_first_few_shown():
    found = compare(Rows(row(str(n)) for n in range(100)), Rows([]), KEYS)
    assert found.counts[MISSING] == found.differences == 100
    assert len(found.samples[MISSING]) == SAMPLES_MAX


def test_heartbeats_are_left_out_on_both_sides_and_lookalikes_are_not():
    beat = {"customer": {"S": "moveout#heartbeat#7"}, "order": {"S": "moveout"}}
    assert counts([beat], []) == counts([], [beat]) == {}
    assert counts([{**beat, "customer": {"S": "moveout#heartbeat"}}], []) == {MISSING: 1}


@pytest.mark.parametrize(
    "damaged",
    [{"X": "1"}, {}, {"S": "a", "N": "1"}, {"N": "x"}, {"N": "NaN"}, {"N": 1}, {"SS": []}, {"NULL": False}, {"S": 1}],
)
def test_what_is_no_item_is_refused_and_not_called_different(damaged):
    with pytest.raises(NotAnItem, match="found"):
        canonical_value(damaged)


# Canonical form, over every value that DynamoDB has.


def spelled(value):
    """Any Python value as typed JSON; a set is a frozenset."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case bytes():
            return {"B": b64encode(value).decode()}
        case Decimal():
            return {"N": str(value)}
        case frozenset():
            kinds = {str: "SS", Decimal: "NS", bytes: "BS"}
            members = [spelled(member) for member in value]
            return {kinds[type(next(iter(value)))]: [next(iter(member.values())) for member in members]}
        case list():
            return {"L": [spelled(member) for member in value]}
        case dict():
            return {"M": {name: spelled(member) for name, member in value.items()}}
    raise AssertionError(value)


# Small on purpose: two drawn values shall often be nearly the same.
texts = st.text('aé\u0301"1:', max_size=3)
blobs = st.binary(max_size=2)
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**37), max_value=10**37)
scalars = st.none() | st.booleans() | texts | blobs | numbers
sets = st.one_of(*(st.frozensets(members, min_size=1, max_size=3) for members in (texts, blobs, numbers)))
values = st.recursive(
    scalars | sets,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
attributes = st.dictionaries(texts, values, max_size=3)


def tagged(value):
    """The value with its type, comparable: True and 1 are not the same here, "a" and b"a" neither."""
    match value:
        case list():
            return ("list", tuple(map(tagged, value)))
        case dict():
            return ("dict", frozenset((name, tagged(member)) for name, member in value.items()))
    return (type(value), value)


@given(attributes, attributes)
def test_canonical_bytes_are_equal_exactly_when_the_values_are(one, other):
    same = tagged(one) == tagged(other)
    assert (canonical_item(spelled(one)["M"]) == canonical_item(spelled(other)["M"])) == same


@given(attributes, st.randoms(use_true_random=False))
def test_order_of_attributes_and_set_members_does_not_matter(item, chance):
    def shuffled(value):
        ((kind, raw),) = value.items()
        if kind == "M":
            return {kind: {name: shuffled(raw[name]) for name in chance.sample(list(raw), len(raw))}}
        if kind == "L":
            return {kind: [shuffled(member) for member in raw]}
        return {kind: chance.sample(raw, len(raw))} if kind in {"SS", "NS", "BS"} else value

    typed = spelled(item)
    assert canonical_value(shuffled(typed)) == canonical_value(typed)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10), st.integers(0, 20))
def test_the_spelling_of_a_number_does_not_matter(number, zeros):
    plain = format(number, "f") + "0" * zeros
    assert canonical_value({"N": plain}) == canonical_value({"N": f"{number:e}"})


@given(values, st.data())
def test_one_changed_member_changes_the_bytes(value, data):
    other = data.draw(values.filter(lambda drawn: tagged(drawn) != tagged(value)))
    assert canonical_value({"L": [spelled(value)]}) != canonical_value({"L": [spelled(other)]})


# A row of the Cassandra table, as the driver gives it.


class Session:
    """A driver's session that answers rows."""

    def __init__(self, *rows):
        self.rows = rows

    def execute(self, statement):
        self.statement = statement.query_string
        return self.rows


def test_a_row_of_cassandra_becomes_the_item_that_it_holds():
    attrs = json.dumps({"x": {"S": "y"}})
    session = Session((Decimal("1.50"), b"\xff", attrs, 7))
    (item,) = CassandraSide(session, "moved", "orders", ("Id", "raw")).items()
    assert item == {"Id": {"N": "1.50"}, "raw": {"B": "/w=="}, "x": {"S": "y"}}
    assert session.statement == 'SELECT "Id", "raw", attrs, version FROM "moved"."orders"'


@pytest.mark.parametrize(
    "damaged", [("k", None, 7), ("k", "{}", None), ("k", '{"id":{"S":"k"}}', 7)], ids=["attrs", "version", "key twice"]
)
def test_a_row_that_no_sink_writes_is_refused(damaged):
    with pytest.raises(NotAnItem, match="expected"):
        list(CassandraSide(Session(damaged), "moved", "orders", ("id",)).items())

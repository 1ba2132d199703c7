"""DynamoDB in memory: all or nothing, its own retries, and no word about what it does not model."""

import itertools

import pytest
from simulation import expressions
from simulation.dynamodb_store import DynamoStore
from simulation.faults import Fault, Faults, Unsupported
from simulation.targets import SimulatedDynamoDb
from sink_contract import KEY, TEXT_KEYS, apply, deleted, held, put

from sinks.change import Key
from sinks.sink import SinkUnavailable

BOB = Key("bob", "1")
WIRE_KEY = {"customer": {"S": "alice"}, "order": {"S": "1"}}
ORDERS = {"TableName": "orders", "Key": WIRE_KEY}


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def store():
    return DynamoStore()


@pytest.fixture
def sink(store, faults):
    made = SimulatedDynamoDb(store, TEXT_KEYS, faults)
    made.open()
    apply(made, put(KEY, 1))
    return made


def test_a_second_writer_between_look_and_transaction_never_loses_to_an_older_change():
    """Every pair of changes of one key over every state, the second made before each request of the first."""
    between = 0
    older, newer, states = (
        [put(KEY, 5), deleted(KEY, 5)],
        [put(KEY, 6), deleted(KEY, 6)],
        [put(KEY, 4), deleted(KEY, 4)],
    )
    pairs = [*itertools.product(older, newer), *itertools.product(newer, older)]
    for (mine, theirs), before, at in itertools.product(pairs, [None, *states], range(3)):
        store = DynamoStore()
        other = SimulatedDynamoDb(store, TEXT_KEYS)
        other.open()
        apply(other, *([before] if before else []))
        meddler = Meddler(at, lambda other=other, theirs=theirs: apply(other, theirs))
        sink = SimulatedDynamoDb(store, TEXT_KEYS, meddler)
        sink.open()
        meddler.armed = True
        apply(sink, mine)
        meddler.armed = False
        winner = max(mine, theirs, key=lambda change: change.version) if meddler.done else mine
        assert (held(sink) is not None) == (winner.item is not None), (mine, theirs, before, at)
        between += meddler.done
    assert between > 20


class Meddler(Faults):
    """Acts before the n-th request from when it is armed."""

    def __init__(self, at, act):
        super().__init__()
        self.at, self.act, self.armed, self.done = at, act, False, False

    def next(self, operation, key):
        if self.armed:
            self.at -= 1
            if self.at < 0:
                self.armed, self.done = False, True
                self.act()
        return super().next(operation, key)


def test_a_transaction_changes_all_or_nothing_and_says_which_condition_failed(sink, store):
    guard = {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": "customer"}}
    fresh = {"TableName": "orders", "Item": {**WIRE_KEY, "order": {"S": "2"}}}
    actions = [{"Put": {**fresh, **guard}}, {"ConditionCheck": {"TableName": "orders", "Key": WIRE_KEY, **guard}}]
    assert sink._transact(actions) == (False, True)
    assert len(store.items("orders")) == 1
    assert sink._transact(actions[:1]) == (False,)
    assert len(store.items("orders")) == 2


def test_a_conflict_of_transactions_is_tried_again_and_twenty_are_unavailable(sink, faults):
    faults.script = [None, Fault.CONFLICT]
    apply(sink, put(BOB, 1))
    faults.script = [Fault.CONFLICT] * 20
    with pytest.raises(SinkUnavailable, match="20 transaction conflicts"):
        sink.apply([deleted(BOB, 2)])
    assert held(sink, BOB)[0] == 1


def test_a_transaction_whose_answer_was_lost_is_told_by_its_own_retry(sink, faults):
    faults.script = [None, Fault.APPLIED]
    apply(sink, put(BOB, 1))
    faults.script = [Fault.FAILED_APPLIED]
    apply(sink, deleted(BOB, 2))
    assert held(sink, BOB) is None


@pytest.mark.parametrize(
    "words",
    ["#v <> :v", "NOT #v = :v", "contains(#v, :v)", "#v = :v OR", "#v", "size(#v) > :v", "(#v = :v", "#v = #v", "!"],
)
def test_an_expression_outside_the_grammar_is_so_loud_that_no_retry_hides_it(sink, words):
    with pytest.raises(Unsupported):
        sink._guarded(lambda words: sink._call("DeleteItem", {**ORDERS, "ConditionExpression": words}), words)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("Scan", {"TableName": "orders"}),
        ("GetItem", ORDERS),
        ("BatchGetItem", {"TableName": "orders"}),
        ("PutItem", {"TableName": "orders", "Item": WIRE_KEY, "ReturnValues": "ALL_OLD"}),
    ],
)
def test_a_request_that_is_not_modelled_is_as_loud(sink, operation, request_):
    with pytest.raises(Unsupported):
        sink._guarded(lambda request: sink._call(operation, request), request_)


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ("#a = :one OR #a = :two AND #b = :two", True),
        ("(#a = :one OR #a = :two) AND #b = :two", False),
        ("#a < :two AND #b >= :one", True),
        ("#c < :two OR #c >= :one", False),
        ("attribute_exists(#a) AND attribute_not_exists(#c)", True),
    ],
)
def test_and_binds_closer_than_or_and_what_is_absent_compares_to_nothing(words, holds):
    names, values = {f"#{name}": name for name in "abc"}, {":one": {"N": "1"}, ":two": {"N": "2"}}
    place = expressions.Place(names, values)
    assert expressions.condition(words)({"a": {"N": "1.0"}, "b": {"N": "1"}}, place) is holds


@pytest.mark.parametrize(
    ("low", "high"),
    [({"N": "9"}, {"N": "10"}), ({"S": "Z"}, {"S": "a"}), ({"N": "-1"}, {"N": "0.5"}), ({"B": "AA=="}, {"B": "/w=="})],
)
def test_values_are_ordered_by_their_type_and_never_across_types(low, high):
    less = expressions.condition("#a < :v")
    assert less({"a": low}, expressions.Place({"#a": "a"}, {":v": high}))
    assert not less({"a": high}, expressions.Place({"#a": "a"}, {":v": low}))
    assert not less({"a": low}, expressions.Place({"#a": "a"}, {":v": {"SS": ["x"]}}))

"""Deletions without transactions: every order of the steps of several writers, each of which may die at any step."""

import itertools

import msgspec
import pytest
from simulation.dynamodb_store import DynamoStore
from simulation.targets import SimulatedDynamoDb

from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.dynamodb import alternator
from sinks.dynamodb.options import DynamoDbOptions

KEYS = KeySchema(KeyAttribute("id", "S"))
KEY = Key("x")
OPTIONS = DynamoDbOptions(
    kind="dynamodb", table="orders", region="here", endpoint_url="http://scylla", flavor="alternator"
)
STEPS_MAX = 5


def put(version):
    return Change(KEY, version, Item(b'{"id":{"S":"x"},"of":{"N":"%d"}}' % version))


def deleted(version):
    return Change(KEY, version, None)


def target():
    """A store, and an open sink on it."""
    store = DynamoStore()
    sink = SimulatedDynamoDb(store, KEYS, flavor="alternator", endpoint_url="http://scylla", table="orders")
    sink.open()
    return store, sink


class Writer:
    """One process that applies one change, step by step; it dies after `dies_after` of them."""

    def __init__(self, store, change, dies_after=None):
        self._store = store
        self._steps = alternator.steps(OPTIONS, KEYS, change)
        self._left = dies_after
        self._answer = None
        self.over = False

    def step(self):
        if self.over:
            return
        if self._left == 0:
            self.over = True
            return
        try:
            operation, request = self._steps.send(self._answer)
        except StopIteration:
            self.over = True
            return
        if "Item" in request:
            request = {**request, "Item": msgspec.json.decode(request["Item"])}
        self._answer = alternator.answered(self._store.execute, operation, request)
        self._left = None if self._left is None else self._left - 1


def orders(writers):
    """Every interleaving of so many writers' steps."""
    return merged([STEPS_MAX] * writers)


def merged(left):
    if not any(left):
        yield ()
        return
    for number, count in enumerate(left):
        if count:
            rest = [*left]
            rest[number] -= 1
            yield from ((number, *more) for more in merged(rest))


def outcome(changes, order, dies_after=None, *, before=(), settled=False):
    """What the table holds after the writers took their steps in this order, then everyone alive went to the end."""
    store, sink = target()
    assert list(sink.apply(list(before))) == []
    writers = [Writer(store, change, dies_after if n == 0 else None) for n, change in enumerate(changes)]
    for turn in order:
        writers[turn].step()
    for writer in writers:
        while not writer.over:
            writer.step()
    if settled:
        sink.settle()
    held = store.items("orders").get(KEY)
    return None if held is None else int(held["moveout:version"]["N"])


def last(changes):
    newest = max(changes, key=lambda change: change.version)
    return None if newest.item is None else newest.version


TWO = list(itertools.permutations([put(10), deleted(20), put(30), deleted(40)], 2))


@pytest.mark.parametrize("before", [(), (put(5),), (put(5), deleted(6))], ids=["new", "there", "deleted"])
def test_two_writers_in_every_order_leave_the_newest(before):
    for changes in TWO:
        for order in orders(2):
            assert outcome(changes, order, before=before) == last(changes), (changes, order)


def test_a_deletion_between_two_puts_in_every_order_of_their_first_steps():
    for changes in itertools.permutations([put(10), deleted(20), put(30)]):
        for order in merged([3, 2, 3]):
            assert outcome(changes, order) == last(changes), (changes, order)


@pytest.mark.parametrize("dies_after", range(STEPS_MAX))
def test_who_dies_at_any_step_is_made_good_by_whoever_applies_the_same_again(dies_after):
    for change in (put(10), deleted(20)):
        for other in (deleted(20), put(30), deleted(40)):
            if other.version <= change.version:
                continue
            changes = [change, other]
            for order in merged([STEPS_MAX, 3]):
                assert outcome_with_replay(changes, order, dies_after) == last(changes), (changes, order, dies_after)


def outcome_with_replay(changes, order, dies_after):
    store, sink = target()
    writers = [Writer(store, changes[0], dies_after), Writer(store, changes[1])]
    for turn in order:
        writers[turn].step()
    while not writers[1].over:
        writers[1].step()
    assert list(sink.apply([changes[0]])) == []  # its batch was never confirmed
    held = store.items("orders").get(KEY)
    return None if held is None else int(held["moveout:version"]["N"])


@pytest.mark.parametrize("dies_after", range(STEPS_MAX))
def test_what_a_late_writer_leaves_that_dies_is_swept_by_settle(dies_after):
    """Its batch was applied by another long ago: nobody applies it again."""
    for order in merged([STEPS_MAX, 2]):
        found = outcome([put(10), deleted(20)], order, dies_after, before=[put(10)], settled=True)
        assert found is None, (order, dies_after)
    assert outcome([put(10)], (), dies_after, before=[deleted(20)], settled=True) is None


def test_without_settle_a_late_writer_would_leave_a_deleted_item():
    """The moment between the two steps is real."""
    found = {
        outcome([put(10), deleted(20)], order, dies_after)
        for dies_after in range(STEPS_MAX)
        for order in merged([STEPS_MAX, 2])
    }
    assert found == {None, 10}

"""The merge of a CQL table, rule by rule and as a law; and the adversary that forgets tombstones."""

import itertools
import random

import pytest
from simulation.cql_store import DELETE, INSERT, UPDATE, CqlStore, Write
from simulation.targets import SimulatedCassandra
from sink_contract import KEY, TEXT_KEYS, apply, deleted, held, put

from sinks.change import Key
from sinks.sink import SinkMisconfigured

ROW = ("k",)
DAY = 86_400


def after(*writes, store=CqlStore):
    made = store()
    for write in writes:
        made.apply(write)
    return made.read(ROW)


def both_orders(one, other):
    found = after(one, other)
    assert found == after(other, one)
    return found


def insert(timestamp, **cells):
    return Write(INSERT, ROW, timestamp, cells)


def update(timestamp, **cells):
    return Write(UPDATE, ROW, timestamp, cells)


def delete(timestamp):
    return Write(DELETE, ROW, timestamp, {})


def test_the_larger_timestamp_wins():
    assert both_orders(insert(2, a="x"), insert(1, a="y")) == {"a": "x"}


def test_of_two_as_old_the_dead_one_wins():
    assert both_orders(insert(1, a="x"), insert(1, a=None)) == {}


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [("a", "b"), ("a", "aa"), ("z", "é"), ("\uffff", "🚀"), (1, 2), (9, -5), (255, 256), ("", "a")],
)
def test_of_two_as_old_and_alive_the_larger_bytes_win(smaller, larger):
    assert both_orders(insert(1, a=smaller), insert(1, a=larger)) == {"a": larger}


def test_rows_as_old_as_each_other_are_mixed_cell_by_cell():
    assert both_orders(insert(1, a="x", b=1), insert(1, a="w", b=2)) == {"a": "x", "b": 2}


def test_a_tombstone_covers_what_is_as_old_as_itself_and_nothing_newer():
    assert both_orders(delete(5), insert(4, a="x")) is None
    assert both_orders(delete(5), insert(5, a="x")) is None
    assert both_orders(delete(5), insert(6, a="x")) == {"a": "x"}


def test_a_newer_insert_of_some_columns_does_not_bring_back_the_others():
    writes = [insert(1, a="x", b="y"), delete(2), insert(3, a="z")]
    assert {str(after(*order)) for order in itertools.permutations(writes)} == {"{'a': 'z'}"}


def test_a_row_that_was_inserted_stays_without_columns_and_one_that_was_updated_does_not():
    assert both_orders(insert(1, a="x"), update(2, a=None)) == {}
    assert both_orders(update(1, a="x"), update(2, a=None)) is None


def test_a_marker_older_than_the_tombstone_does_not_hold_the_row():
    assert after(insert(1), delete(2), update(3, a="x"), update(4, a=None)) is None


def some_writes(chance):
    """A few mutations of one row, most of them tied with another."""
    for _ in range(4):
        timestamp, cells = chance.randrange(3), {n: chance.choice([None, "x", "y"]) for n in ("a", "b")}
        yield chance.choice([delete(timestamp), insert(timestamp, **cells), update(timestamp, a=cells["a"])])


def orders_agree(seed, store):
    """True when every permutation, with a duplicate thrown in, leaves the same row."""
    chance = random.Random(seed)
    writes = list(some_writes(chance))
    found = set()
    for order in itertools.permutations(writes):
        again = list(order)
        again.insert(chance.randrange(5), chance.choice(writes))
        found.add(str(sorted((after(*again, store=store) or {"": "none"}).items())))
    return len(found) == 1


def test_every_order_with_every_duplicate_leaves_the_same_row():
    assert all(orders_agree(seed, CqlStore) for seed in range(300))


class LastToArriveWins(CqlStore):
    """Planted: a tie goes to whoever comes last."""

    @staticmethod
    def wins(cell, known):
        return cell.timestamp >= known.timestamp


class TombstoneSparesItsOwnTime(CqlStore):
    """Planted: a write that arrives after the tombstone of the same time lives, one that came before does not."""

    def apply(self, write):
        row = self.rows.get(write.key)
        if row is not None and write.kind != DELETE and write.timestamp == row.deleted:
            row.deleted -= 1
        super().apply(write)


@pytest.mark.parametrize("planted", [LastToArriveWins, TombstoneSparesItsOwnTime])
def test_a_merge_that_minds_the_order_breaks_the_law(planted):
    assert not all(orders_agree(seed, planted) for seed in range(50))


def moved(**settings):
    """A sink whose target has heard of a deletion that is newer than a backfill row still to come."""
    store = CqlStore(**settings)
    sink = SimulatedCassandra(store, TEXT_KEYS)
    sink.open()
    apply(sink, put(KEY, 1, a="x"), deleted(KEY, 5))
    return store, sink


def test_a_tombstone_purged_too_early_brings_an_older_row_back():
    store, sink = moved(tombstone_gc="immediate")
    assert store.purge(random.Random(1)) == 1
    apply(sink, put(KEY, 4, a="late backfill row"))
    assert held(sink)[0] == 4


def test_before_its_grace_is_over_no_tombstone_is_purged():
    now = [0.0]
    store, sink = moved(now=lambda: now[0])
    now[0] = 9.9 * DAY
    assert store.purge(random.Random(1)) == 0
    apply(sink, put(KEY, 4, a="late backfill row"))
    assert held(sink) is None
    now[0] = 10 * DAY
    assert store.purge(random.Random(1)) == 1
    apply(sink, put(KEY, 4, a="late backfill row"))
    assert held(sink)[0] == 4


def test_a_deletion_that_is_replayed_begins_its_grace_anew():
    now = [0.0]
    store, sink = moved(now=lambda: now[0])
    now[0] = 9 * DAY
    apply(sink, deleted(KEY, 5))
    now[0] = 11 * DAY
    assert store.purge(random.Random(1)) == 0


def test_a_table_told_to_keep_its_tombstones_keeps_them():
    store, _ = moved(tombstone_gc="disabled", now=lambda: 1e9)
    assert store.purge(random.Random(1)) == 0


def test_a_purge_changes_nothing_that_can_be_seen_and_each_tombstone_goes_by_chance():
    chance = random.Random(3)
    store = CqlStore(tombstone_gc="immediate")
    for number in range(200):
        key = (str(number % 40),)
        store.apply(Write(chance.choice([INSERT, UPDATE, DELETE]), key, number, {"a": chance.choice([None, "x"])}))
    before = store.visible()
    first = store.purge(chance, rate=0.5)
    rest = store.purge(chance)
    assert min(first, rest) > 5
    assert store.visible() == before
    assert store.purge(chance) == 0


def test_the_sink_refuses_a_table_that_would_forget_too_soon():
    with pytest.raises(SinkMisconfigured, match="gc_grace_seconds is 60"):
        SimulatedCassandra(CqlStore(gc_grace_seconds=60), TEXT_KEYS).open()


@pytest.mark.parametrize(
    "key", [Key("", "1"), Key("é" * 33_000, "1"), Key("k", "é" * 33_000)], ids=["empty", "long", "sort"]
)
def test_a_key_that_no_node_takes_is_rejected_and_the_others_are_stored(key):
    sink = SimulatedCassandra(CqlStore(), TEXT_KEYS)
    sink.open()
    assert [rejection.change.key for rejection in sink.apply([put(key, 1), put(KEY, 1)])] == [key]
    assert held(sink)[0] == 1


def test_a_row_that_is_put_a_microsecond_after_its_deletion_is_there():
    sink = SimulatedCassandra(CqlStore(), TEXT_KEYS)
    sink.open()
    apply(sink, deleted(KEY, 2), put(KEY, 3, a="x"))
    assert held(sink)[0] == 3

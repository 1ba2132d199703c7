"""The contract of a sink as tests: one list, run over every sink, against real servers.

A module of tests makes a fixture `make_sink(keys) -> Sink` and imports these with `from sink_contract import *`.
"""

import itertools
import random
from decimal import Decimal

import pytest

from sinks.attributes import encode_item
from sinks.change import Change, Item, Key, KeyAttribute, KeySchema
from sinks.sink import BulkLoad, Stored

__all__ = ["OrderedContract", "SinkContract"]

TEXT_KEYS = KeySchema(KeyAttribute("customer", "S"), KeyAttribute("order", "S"))
NUMBER_KEYS = KeySchema(KeyAttribute("n", "N"), KeyAttribute("at", "N"))
BINARY_KEYS = KeySchema(KeyAttribute("Raw Key", "B"))
BASE = 1_700_000_000_000_000
KEY = Key("alice", "1")


def put(key, version, keys=TEXT_KEYS, **attributes):
    parts = {keys.partition.name: key.partition} | ({keys.sort.name: key.sort} if keys.sort else {})
    return Change(key, BASE + version, Item(encode_item({**parts, **attributes})))


def deleted(key, version):
    return Change(key, BASE + version, None)


def held(sink, key=KEY):
    stored = sink.read([key]).get(key)
    return None if stored is None else (stored.version - BASE, stored.item.attributes())


def apply(sink, *changes):
    for change in changes:
        assert list(sink.apply([change])) == []


class SinkContract:
    @pytest.fixture
    def sink(self, make_sink):
        return make_sink(TEXT_KEYS)

    def test_a_put_is_read_back_exactly(self, sink):
        attributes = {
            "text": "žluťoučký \u2028 🚀",
            "empty": "",
            "number": Decimal(-12345678901234567890123456789012345678),
            "tiny": Decimal("1E-130"),
            "huge": Decimal("9.9999999999999999999999999999999999999E+125"),
            "raw": bytes(range(256)),
            "yes": True,
            "nothing": None,
            "map": {"list": [Decimal(1), {"deep": frozenset({b"\x00", b"\xff"})}], "none": []},
            "names": frozenset({"a", "ü"}),
            "numbers": frozenset({Decimal("1.5"), Decimal(-2)}),
            'quoted "name"': "x",
            "with space.and-dot": {},
        }
        apply(sink, put(KEY, 1, **attributes))
        assert held(sink) == (1, {"customer": "alice", "order": "1", **attributes})

    def test_an_item_of_its_key_alone_exists(self, sink):
        apply(sink, put(KEY, 1))
        assert held(sink) == (1, {"customer": "alice", "order": "1"})

    def test_a_newer_put_replaces_the_whole_item(self, sink):
        apply(sink, put(KEY, 1, a="old", gone="x"), put(KEY, 2, a="new"))
        assert held(sink) == (2, {"customer": "alice", "order": "1", "a": "new"})

    def test_an_older_put_changes_nothing(self, sink):
        apply(sink, put(KEY, 2, a="new"), put(KEY, 1, a="old", late="x"))
        assert held(sink) == (2, {"customer": "alice", "order": "1", "a": "new"})

    def test_a_delete_removes_and_an_older_put_stays_away(self, sink):
        apply(sink, put(KEY, 1, a="x"), deleted(KEY, 3), put(KEY, 2, a="y"))
        assert held(sink) is None

    def test_a_delete_of_a_row_never_seen_is_remembered(self, sink):
        apply(sink, deleted(KEY, 5), put(KEY, 4, a="late backfill row"))
        assert held(sink) is None

    def test_an_older_delete_changes_nothing(self, sink):
        apply(sink, put(KEY, 5, a="x"), deleted(KEY, 4))
        assert held(sink) == (5, {"customer": "alice", "order": "1", "a": "x"})

    def test_a_deleted_key_can_be_put_again(self, sink):
        apply(sink, put(KEY, 1, a="x"), deleted(KEY, 2), put(KEY, 3, b="y"))
        assert held(sink) == (3, {"customer": "alice", "order": "1", "b": "y"})

    def test_applying_a_batch_again_changes_nothing(self, sink):
        batch = [put(KEY, 1, a="x"), deleted(KEY, 2), put(KEY, 3, a="y"), deleted(Key("bob", "1"), 1)]
        assert list(sink.apply(batch)) == []
        before = held(sink)
        assert list(sink.apply(batch)) == []
        assert held(sink) == before == (3, {"customer": "alice", "order": "1", "a": "y"})

    def test_versions_one_microsecond_apart_are_told_apart(self, sink):
        # Two writes of one second: what a clock of whole seconds gets wrong.
        apply(sink, put(KEY, 1_000_001, a="second"), put(KEY, 1_000_000, a="first"))
        assert held(sink)[1]["a"] == "second"

    @pytest.mark.parametrize("seed", range(3))
    def test_every_order_of_delivery_with_a_duplicate_ends_in_the_last_state(self, sink, seed):
        chance = random.Random(seed)
        events = [put(KEY, 10, a="backfill", b="b"), put(KEY, 20, a="1"), deleted(KEY, 30), put(KEY, 40, b="2")]
        for number, history in enumerate((events, events[:3])):
            orders = list(itertools.permutations([*history, chance.choice(history)]))
            for turn, order in enumerate(chance.sample(orders, 8)):
                key = Key(f"perm-{seed}-{number}", str(turn))
                apply(sink, *(self._moved(change, key) for change in order))
                last = self._moved(history[-1], key)
                stored = sink.read([key]).get(key)
                assert (stored.version if stored else None) == (last.version if last.item else None)

    @staticmethod
    def _moved(change, key):
        if change.item is None:
            return Change(key, change.version, None)
        attributes = {**change.item.attributes(), "customer": key.partition, "order": key.sort}
        return Change(key, change.version, Item(encode_item(attributes)))

    def test_many_keys_in_one_batch_all_arrive(self, sink):
        keys = [Key(f"many-{n % 7}", str(n)) for n in range(300)]
        assert list(sink.apply([put(key, 1, n=Decimal(n)) for n, key in enumerate(keys)])) == []
        assert len(sink.read(keys)) == 300

    def test_an_item_of_nearly_400_kb_fits(self, sink):
        apply(sink, put(KEY, 1, big="x" * 380_000))
        assert len(held(sink)[1]["big"]) == 380_000

    def test_an_empty_batch_is_nothing(self, sink):
        assert list(sink.apply([])) == []

    def test_numeric_keys_are_the_same_key_in_every_spelling(self, make_sink):
        sink = make_sink(NUMBER_KEYS)
        plain, exponent = Key(Decimal(600), Decimal("1.5")), Key(Decimal(600), Decimal("1.5"))
        apply(sink, put(plain, 1, NUMBER_KEYS, a="x"), put(exponent, 2, NUMBER_KEYS, a="y"))
        assert held(sink, plain)[0] == 2
        assert held(sink, plain)[1]["n"] == Decimal(600)

    def test_binary_keys_work_without_a_sort_key(self, make_sink):
        sink = make_sink(BINARY_KEYS)
        key = Key(b"\x00\xff binary")
        apply(sink, put(key, 1, BINARY_KEYS, a="x"))
        assert held(sink, key) == (1, {"Raw Key": b"\x00\xff binary", "a": "x"})
        apply(sink, deleted(key, 2))
        assert held(sink, key) is None

    def test_a_row_loaded_late_is_gone_after_settling(self, sink):
        if not isinstance(sink, BulkLoad):
            pytest.skip("this sink has no bulk load: apply is all it needs")
        apply(sink, deleted(KEY, 5))
        assert list(sink.load([put(KEY, 4, a="late"), put(Key("bob", "1"), 4, a="stays")])) == []
        sink.settle()
        assert held(sink) is None
        assert held(sink, Key("bob", "1"))[0] == 4

    def test_loading_never_replaces_what_the_tail_wrote(self, sink):
        if not isinstance(sink, BulkLoad):
            pytest.skip("this sink has no bulk load: apply is all it needs")
        apply(sink, put(KEY, 5, a="tail"))
        assert list(sink.load([put(KEY, 4, a="backfill")])) == []
        assert held(sink)[1]["a"] == "tail"

    def test_opening_again_goes_on_with_the_same_table(self, make_sink):
        apply(make_sink(TEXT_KEYS), put(KEY, 1, a="x"))
        again = make_sink(TEXT_KEYS, fresh=False)
        assert held(again)[0] == 1


class OrderedContract(SinkContract):
    """As much of it as a sink without versions promises (DynamoDB, mode `ordered`): what arrives last is what is there.

    The tests give it `Remembering`, for it tells no versions. What it does not promise:
    """

    test_an_older_put_changes_nothing = None
    test_an_older_delete_changes_nothing = None
    test_a_delete_removes_and_an_older_put_stays_away = None
    test_a_delete_of_a_row_never_seen_is_remembered = None
    test_versions_one_microsecond_apart_are_told_apart = None
    test_every_order_of_delivery_with_a_duplicate_ends_in_the_last_state = None
    test_opening_again_goes_on_with_the_same_table = None

    def test_of_one_batch_the_newest_of_a_key_is_stored_whatever_its_place(self, sink):
        assert list(sink.apply([put(KEY, 2, a="new"), put(KEY, 1, a="old")])) == []
        assert sink.read([KEY])[KEY].item.attributes()["a"] == "new"

    @pytest.mark.parametrize("begin", range(5))
    def test_any_suffix_of_a_history_replayed_in_order_ends_in_the_last_state(self, sink, begin):
        history = [put(KEY, 1, a="1"), deleted(KEY, 2), put(KEY, 3, b="2"), put(KEY, 4, c="3"), put(KEY, 5, d="4")]
        apply(sink, *history, *history[begin:])
        assert held(sink) == (5, {"customer": "alice", "order": "1", "d": "4"})

    def test_a_deletion_replayed_after_its_key_is_gone_changes_nothing(self, sink):
        apply(sink, put(KEY, 1), deleted(KEY, 2), deleted(KEY, 2))
        assert held(sink) is None

    def test_its_items_have_no_version(self, make_sink):
        sink = make_sink(TEXT_KEYS)
        apply(sink, put(KEY, 7, a="x"))
        assert sink.inner.read([KEY])[KEY].version == 0
        assert sink.inner.read([KEY])[KEY].item.attributes() == {"customer": "alice", "order": "1", "a": "x"}


class Remembering:
    """A sink that tells no versions, with those of what was applied last: so that one list of promises does for all."""

    def __init__(self, inner):
        self.inner = inner
        self._versions = {}
        self.open, self.close = inner.open, inner.close

    def apply(self, changes):
        found = self.inner.apply(changes)
        self._versions.update({c.key: c.version for c in sorted(changes, key=lambda c: c.version)})
        return found

    def read(self, keys):
        return {key: Stored(self._versions[key], one.item) for key, one in self.inner.read(keys).items()}

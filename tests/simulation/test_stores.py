"""The stores of the simulation are held to truth: the contract of a sink, the laws of a merge, faults that are faults.

What is true is what a real server does: integration/test_stores_conform.py asks one.
"""

import random
from contextlib import contextmanager

import pytest
from fakes import Crash
from simulation import cql_driver, dynamodb_wire
from simulation.cql_store import CqlStore
from simulation.dynamodb_store import DynamoStore
from simulation.faults import Fault, Faults, Unsupported
from simulation.targets import SimulatedCassandra, SimulatedDynamoDb, SimulatedOrdered
from sink_contract import (
    BINARY_KEYS,
    KEY,
    TEXT_KEYS,
    OrderedContract,
    Remembering,
    SinkContract,
    apply,
    deleted,
    held,
    put,
)

from sinks.change import Key
from sinks.sink import SinkMisconfigured, SinkUnavailable

KINDS = [(CqlStore, SimulatedCassandra), (DynamoStore, SimulatedDynamoDb)]
NOTHING_HAPPENED = (Fault.AWAY, Fault.THROTTLED, Fault.LOST)
DONE_ALL_THE_SAME = (Fault.APPLIED, Fault.FAILED_APPLIED)
BOB = Key("bob", "1")


class EverySimulatedSink(SinkContract):
    @pytest.fixture
    def make_sink(self):
        stores = []

        def make(keys, *, fresh=True):
            if fresh:
                stores.append(self.store())
            sink = self.sink_of(stores[-1], keys)
            sink.open()
            return sink

        return make


class TestCassandra(EverySimulatedSink):
    store, sink_of = CqlStore, SimulatedCassandra


class TestDynamoDb(EverySimulatedSink):
    sink_of = SimulatedDynamoDb

    def store(self):
        return DynamoStore(page_items=1)


class TestOrderedDynamoDb(OrderedContract):
    @pytest.fixture
    def make_sink(self):
        stores = []

        def make(keys, *, fresh=True):
            if fresh:
                stores.append(DynamoStore())
            sink = Remembering(SimulatedOrdered(stores[-1], keys))
            sink.open()
            return sink

        return make


class Simulated:
    """A sink over a fresh store, open and with KEY at version 1; from then on faults are met."""

    def __init__(self, store, sink):
        self.store, self.faults = store(), Lasting(poison=lambda _, body: body is not None and "poison" in body)
        self.sink = sink(self.store, TEXT_KEYS, self.faults)
        self.sink.open()
        apply(self.sink, put(KEY, 1, a="old"))

    @contextmanager
    def during(self, *fates):
        """The next requests meet these, each key its own however often the sink tries again by itself."""
        self.faults.fates, self.faults.of_key = list(fates), {}
        try:
            yield
        finally:
            self.faults.of_key = None
            assert self.faults.fates == []


class Lasting(Faults):
    """Each key has the fate that was next when it was first seen."""

    fates, of_key = (), None

    def next(self, operation, key):
        if self.of_key is None:
            return super().next(operation, key)
        if key not in self.of_key:
            self.of_key[key] = self.fates.pop(0) if self.fates else None
        return self.of_key[key]


@pytest.fixture(params=KINDS, ids=["cassandra", "dynamodb"])
def simulated(request):
    return Simulated(*request.param)


@pytest.mark.parametrize("fault", [*NOTHING_HAPPENED, *DONE_ALL_THE_SAME, Fault.LATE], ids=lambda fault: fault.name)
def test_a_fault_is_unavailable_to_the_engine_and_the_target_is_as_the_fault_says(simulated, fault):
    with pytest.raises(SinkUnavailable), simulated.during(fault):
        simulated.sink.apply([put(KEY, 2, a="new")])
    assert held(simulated.sink)[0] == (2 if fault in DONE_ALL_THE_SAME else 1)
    apply(simulated.sink, put(KEY, 2, a="new"))
    assert held(simulated.sink)[0] == 2


def test_a_late_write_lands_when_told_and_never_over_a_newer_one(simulated):
    with pytest.raises(SinkUnavailable), simulated.during(Fault.LATE):
        simulated.sink.apply([put(KEY, 3, a="late")])
    apply(simulated.sink, put(KEY, 2, a="between"))
    assert held(simulated.sink)[0] == 2
    simulated.store.land(0)
    assert held(simulated.sink)[0] == 3
    with pytest.raises(SinkUnavailable), simulated.during(Fault.LATE):
        simulated.sink.apply([put(KEY, 4, a="late")])
    apply(simulated.sink, deleted(KEY, 5))
    while simulated.store.late:
        simulated.store.land()
    assert held(simulated.sink) is None


def test_of_a_batch_some_are_stored_and_some_are_not(simulated):
    batch = [put(Key("k", str(n)), 1) for n in range(3)]
    for change in batch:
        apply(simulated.sink, put(change.key, 0))
    with pytest.raises(SinkUnavailable) as told, simulated.during(None, Fault.LOST, None):
        simulated.sink.apply(batch)
    versions = [held(simulated.sink, change.key)[0] for change in batch]
    assert versions == [1, 0, 1]
    assert told.value.left == [batch[1]]


def test_what_of_a_batch_is_left_after_an_outage_has_the_refused_changes_too(simulated):
    poisoned, lost = put(BOB, 2, poison="x"), put(Key("carol", "1"), 2)
    apply(simulated.sink, put(lost.key, 0))
    with pytest.raises(SinkUnavailable) as told, simulated.during(None, None, Fault.LOST):
        simulated.sink.apply([put(KEY, 2), poisoned, lost])
    assert set(told.value.left) == {poisoned, lost}


@pytest.mark.parametrize("key", [KEY, BOB], ids=["there", "absent"])
def test_poison_is_rejected_and_the_others_are_stored(simulated, key):
    poisoned, sound = put(key, 2, poison="x"), put(Key("carol", "1"), 1)
    assert [rejection.change for rejection in simulated.sink.apply([poisoned, sound])] == [poisoned]
    assert held(simulated.sink, sound.key)[0] == 1
    assert held(simulated.sink)[0] == 1
    apply(simulated.sink, deleted(key, 3))


def test_a_crash_leaves_what_was_sent_before_it(simulated):
    class Crashing(Faults):
        def next(self, operation, key):
            if key == BOB:
                raise Crash
            return super().next(operation, key)

    dying = type(simulated.sink)(simulated.store, TEXT_KEYS, Crashing())
    dying.open()
    with pytest.raises(Crash):
        dying.apply([put(KEY, 2), put(BOB, 2), put(Key("carol", "1"), 2)])
    assert held(simulated.sink)[0] == 2
    assert held(simulated.sink, BOB) is None
    assert held(simulated.sink, Key("carol", "1")) is None


@pytest.mark.parametrize("module", [cql_driver, dynamodb_wire], ids=["cassandra", "dynamodb"])
@pytest.mark.parametrize("seed", range(5))
def test_under_dice_every_kind_is_met_the_target_ends_right_and_a_seed_repeats_itself(module, seed):
    kind = KINDS[0] if module is cql_driver else KINDS[1]
    first, again = (weathered(kind, module.FAULTS, seed) for _ in range(2))
    assert first == again
    assert set(first) == set(module.FAULTS)


def weathered(kind, kinds, seed):
    """Sixty batches over three keys under dice; what was met. The target must end with the newest versions."""
    chance = random.Random(seed)
    faults = Faults(chance, rate=0.3, kinds=kinds, burst=6)
    store = kind[0]()
    sink = kind[1](store, TEXT_KEYS, faults)
    until_done(sink.open)
    last = {}
    for version in range(60):
        key = Key("k", str(chance.randrange(3)))
        last[key] = put(key, version) if chance.random() < 0.6 else deleted(key, version)
        batch = [last[key], *chance.sample(list(last.values()), chance.randrange(len(last)))]
        until_done(lambda batch=batch: apply(sink, *batch))
        if store.late and chance.random() < 0.5:
            store.land(chance.randrange(len(store.late)))
    faults.calm()
    found = {key: held(sink, key) for key in last}
    assert {k: f and f[0] for k, f in found.items()} == {
        k: c.version - put(KEY, 0).version if c.item else None for k, c in last.items()
    }
    return faults.met


def until_done(act):
    for _ in range(500):
        try:
            return act()
        except SinkUnavailable:
            continue
    raise AssertionError("never done")


def test_a_sink_that_was_never_opened_is_unavailable_and_rejects_nothing():
    for store, sink in KINDS:
        with pytest.raises(SinkUnavailable, match="not open"):
            sink(store(), TEXT_KEYS).apply([put(KEY, 1), deleted(BOB, 1)])


def test_a_target_that_does_not_answer_cannot_be_opened():
    for store, sink in KINDS:
        faults = Faults()
        faults.script = [Fault.AWAY] * 5
        with pytest.raises(SinkUnavailable):
            sink(store(), TEXT_KEYS, faults).open()


def test_a_table_of_another_key_is_refused():
    for store, sink in KINDS:
        shared = store()
        sink(shared, TEXT_KEYS).open()
        with pytest.raises(SinkMisconfigured, match="key"):
            sink(shared, BINARY_KEYS).open()


def test_a_statement_that_no_node_was_asked_about_is_so_loud_that_no_retry_hides_it():
    sink = Simulated(*KINDS[0]).sink
    with pytest.raises(Unsupported, match="TRUNCATE"):
        sink._prepare('TRUNCATE "moved"."orders"')

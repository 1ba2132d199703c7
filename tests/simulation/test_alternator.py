"""Alternator's way of remembering deletions, under the same adversaries as the transactions of mode `exact`."""

import pytest
import structlog
from simulation import dynamodb_wire
from simulation.faults import Fault, Faults
from simulation.on_scylla import AlternatorWorld, WithoutTransactions
from simulation.targets import ALTERNATOR, SimulatedDynamoDb
from simulation.world import quiet
from sink_contract import KEY, TEXT_KEYS, apply, deleted, put

SEEDS = 40


@pytest.fixture(autouse=True)
def _without_log():
    quiet()
    yield
    structlog.reset_defaults()


def test_whatever_fails_the_target_ends_as_the_source_is_without_a_transaction():
    worlds = [AlternatorWorld(seed) for seed in range(SEEDS)]
    for world in worlds:
        world.run()
    assert sum(world.checks.proofs for world in worlds) > SEEDS
    met = {fault for world in worlds for fault in world.sink_faults.met}
    assert met == set(dynamodb_wire.FAULTS)


def test_a_put_that_lands_behind_a_newer_deletion_stays_until_somebody_settles_which_is_the_limit_of_this_way():
    store, faults = WithoutTransactions(), Faults()
    sink = SimulatedDynamoDb(store, TEXT_KEYS, faults, **ALTERNATOR)
    sink.open()
    # The first look at what is there, the look at what is remembered, then the put, which is lost on its way.
    faults.script = [None, None, Fault.LATE]
    apply(sink, put(KEY, 1, a="old"))
    apply(sink, deleted(KEY, 2))
    store.land()
    assert KEY in sink.read([KEY])
    sink.settle()
    assert KEY not in sink.read([KEY])

"""DynamoDB, mode `ordered`: histories in which everything fails but nobody wakes up late, and no request arrives late.

Those are the limits that the mode states; the last test shows one of them. That the histories see a tail that does not
wait, mutants/dynamodb.py plants.
"""

import pytest
import structlog
from simulation.dynamodb_store import DynamoStore
from simulation.faults import Fault, Faults
from simulation.in_order import OrderedWorld
from simulation.targets import SimulatedOrdered
from simulation.world import quiet
from sink_contract import KEY, TEXT_KEYS, apply, put

SEEDS = 25


@pytest.fixture(autouse=True)
def _without_log():
    quiet()
    yield
    structlog.reset_defaults()


def test_whatever_fails_the_target_ends_as_the_source_is():
    worlds = [OrderedWorld(seed, crash_rate=0.002) for seed in range(SEEDS)]
    for world in worlds:
        world.run()
    assert sum(world.held for world in worlds) > SEEDS
    met = {fault for world in worlds for fault in world.sink_faults.met}
    assert met == {fault for fault in Fault if fault is not Fault.LATE}


def test_a_tail_that_waits_for_the_backfill_is_told_with_what_is_left():
    world = OrderedWorld(4, crash_rate=0.0, fault_rate=0.0)
    told = []
    published = world.checks.published
    world.checks.published = lambda service: told.append(service.published) or published(service)
    world.run()
    waiting = [document for document in told if document is not None and document.paused.tail_waits]
    assert "the tail waits for the backfill" in waiting[-1].message
    assert "hours more (target.mode: ordered)" in waiting[-1].message
    assert not told[-1].paused.tail_waits


def test_a_request_that_lands_behind_its_successor_damages_the_row_which_is_the_limit_of_this_mode():
    store, faults = DynamoStore(), Faults()
    sink = SimulatedOrdered(store, TEXT_KEYS, faults)
    sink.open()
    faults.script = [Fault.LATE]
    apply(sink, put(KEY, 1, a="old"), put(KEY, 2, a="new"))  # the first is sent again, and the lost one is on its way
    store.land()
    assert sink.read([KEY])[KEY].item.attributes()["a"] == "old"

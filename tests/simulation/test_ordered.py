"""DynamoDB, mode `ordered`: histories in which everything fails but nobody wakes up late, and no request arrives late.

Those are the limits that the mode states; the last test shows one of them. That the histories see a tail that does not
wait, mutants/dynamodb.py plants.
"""

import pytest
import structlog
from simulation import dynamodb_wire
from simulation.dynamodb_store import DynamoStore
from simulation.faults import Fault, Faults
from simulation.kcl import Jvm
from simulation.replicas import Replica
from simulation.targets import SimulatedOrdered
from simulation.world import World, quiet
from sink_contract import KEY, TEXT_KEYS, apply, put

SEEDS = 25


class OrderedWorld(World):
    """One replica, no stolen leases, no late requests, no loss of the stream: the last cannot be healed in place."""

    def __init__(self, seed, **settings):
        super().__init__(seed, sink="dynamodb", **settings)
        self.replicas = [Replica(self, 0)]
        self.clock.idle = self._meanwhile
        self.held = 0

    def _make_target(self, kind, rate):
        super()._make_target(kind, rate)
        self.sink_kind, self.poisonous = SimulatedOrdered, False
        self.sink_faults.kinds = tuple(kind for kind in dynamodb_wire.FAULTS if kind is not Fault.LATE)

    def _configured(self):
        config = super()._configured()
        return config.model_copy(update={"target": config.target.model_copy(update={"mode": "ordered"})})

    def steals(self):
        return False

    def _adversity(self):
        for _ in range(self.steps):
            self.step()

    def _actors(self):
        """A shard that waits in the middle of another's step would wait for one that cannot go on."""
        found = super()._actors()
        return [actor for actor in found if not isinstance(actor, Jvm)] if self.depth else found

    def _meanwhile(self):
        """While a shard's process sleeps, the others go on, also in calm."""
        if isinstance(self.actors_now[-1], Jvm):
            self.held += 1
            self.step()
            self.may_crash()
        else:
            self.between()


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

"""The pre-image assertion of every event, over whole moves in which everything fails: it never cries wolf."""

import pytest
import structlog
from simulation.checks import Violation
from simulation.world import World, quiet

from daemon.control import Migration, ShardState, shards_of
from daemon.verify.record import DIFFERENCES, Difference

SEEDS = 60
COMPARED = 500


class AssertedWorld(World):
    """Every event is held against its row, where the default is every hundredth key."""

    def _configured(self):
        config = super()._configured()
        return config.model_copy(update={"verify": config.verify.model_copy(update={"preimage_percent": 100})})

    def compared(self):
        """How many events; raises Violation where one was told to differ."""
        control = self.operator().control
        migration = control.get("migration", Migration)[0]
        generations = range(1, migration.reserved + 1)
        states = [state for g in generations for state, _ in control.all(shards_of(g), ShardState).values()]
        found = control.all(DIFFERENCES, Difference)
        if found or any(state.preimages_wrong for state in states):
            raise Violation(f"seed {self.seed}: {found}")
        return sum(state.preimages for state in states)


@pytest.fixture(autouse=True)
def _quiet():
    quiet()
    yield
    structlog.reset_defaults()


def test_no_event_of_a_move_with_crashes_zombies_and_gaps_is_told_to_differ():
    compared = 0
    for seed in range(SEEDS):
        world = AssertedWorld(seed)
        world.run()
        compared += world.compared()
    assert compared > COMPARED

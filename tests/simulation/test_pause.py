"""A pause of the tail, through the real service, over the simulated stores."""

import pytest
import structlog
from simulation.world import World, quiet

from daemon.settings import change, replaced

TURNS = 60


@pytest.fixture(autouse=True)
def _without_log():
    quiet()
    yield
    structlog.reset_defaults()


def caught_up(seed):
    """A world that is ready, in which nothing fails."""
    world = World(seed, crash_rate=0.0, fault_rate=0.0)
    world.poisonous = False
    world._before()
    world._calm()
    world._until(world.checks.ready, "become ready")
    return world


@pytest.mark.parametrize("seed", [3, 5, 11, 12])
def test_a_paused_tail_takes_ready_back_tells_what_is_left_and_goes_on_where_it_was(seed):
    world = caught_up(seed)
    control, told = world.operator().control, []

    def meanwhile():
        """While a shard's process sleeps in the middle of its page, the service goes on turning."""
        for replica in world.replicas:
            replica.step(world.chance, world.clock.now)
            if replica.service is not None and replica.service._leading:
                told.append(replica.service.published)
        if len(told) == TURNS:
            change(control, replaced(tail_paused=False))

    world.clock.idle = meanwhile
    change(control, replaced(tail_paused=True))
    world.clock.advance(2)  # the settings are looked at every other second
    world._write()
    while len(told) < TURNS:
        world.step()
    paused = [document for document in told if document.paused.tail]
    assert len(paused) > TURNS / 2
    assert paused[-1].lag.seconds > paused[0].lag.seconds
    assert not paused[-1].ready.readers
    assert "the tail is paused" in paused[-1].message
    assert paused[-1].paused.trims_in_seconds < paused[0].paused.trims_in_seconds <= 23 * 3600
    world.stopped_at = world.clock.now
    world._until(world.checks.ready, "become ready again")
    world.checks.target_equals_source()

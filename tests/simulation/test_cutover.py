"""Drills of the writers' switch. `--seeds 50000` plays a thousand of them, --seed N that one."""

import itertools

import pytest
import structlog
from simulation.cutover import CutoverWorld
from simulation.world import quiet

from daemon.switching import Step

STEPS = [Step.FENCE, Step.DRAIN, Step.VERIFY, Step.CLOCK, Step.FREEZE, Step.COMMIT, Step.OPEN, Step.DONE, Step.UNFENCE]


@pytest.fixture(autouse=True)
def _without_log():
    quiet()
    yield
    structlog.reset_defaults()


def seeds(request, share):
    one = request.config.getoption("--seed")
    return range(max(request.config.getoption("--seeds") // share, 8)) if one is None else [one]


@pytest.mark.timeout(3000)
def test_an_application_that_follows_the_route_loses_nothing_whatever_crashes_at_which_step(request):
    worlds = []
    for seed, step in zip(seeds(request, 50), itertools.cycle(STEPS), strict=False):
        world = CutoverWorld(seed, crash_at=step)
        world.run()
        worlds.append((world.crashed, world.undone, bool(world.strays()), world.kind))
    if len(worlds) >= 30:
        assert sum(crashed for crashed, *_ in worlds) > len(worlds) / 2
        assert any(undone for _, undone, *_ in worlds)
        assert {kind for *_, kind in worlds} == {"cassandra", "dynamodb"}


@pytest.mark.timeout(3000)
def test_a_move_that_is_given_up_in_the_middle_of_it_leaves_no_fence_and_no_process(request):
    for seed in seeds(request, 100):
        CutoverWorld(seed, give_up=True).run()

"""The engine under the simulator. `pytest --seed N` plays one history again; `make simulate SEEDS=N` plays many."""

import os
import random

import pytest
import structlog
from simulation import crash_points
from simulation.run import main, outcome, outcomes
from simulation.world import World, quiet

CORES = os.cpu_count() or 1
POINTS = {"some": 200, "most": 1500}  # all of them: make crash-points


@pytest.fixture(autouse=True)
def _without_log():
    yield
    structlog.reset_defaults()


@pytest.mark.timeout(3000)
def test_no_history_violates_an_invariant(request):
    one = request.config.getoption("--seed")
    seeds = range(request.config.getoption("--seeds")) if one is None else [one]
    found = list(outcomes(seeds, min(CORES, len(seeds))))
    assert [outcome.fault for outcome in found if outcome.fault] == []
    if one is None:
        # A simulation in which nothing is proven and nothing is lost would prove nothing.
        assert sum(outcome.proofs for outcome in found) > len(found)
        assert sum(outcome.gaps for outcome in found) > len(found) / 20
        assert {outcome.kind for outcome in found} == {"cassandra", "dynamodb"}
        assert {outcome.layout for outcome in found if outcome.kind == "cassandra"} == {"document", "columns"}


@pytest.mark.timeout(1200)
def test_a_move_that_asks_for_its_export_itself_violates_no_invariant_whatever_fails():
    quiet()
    worlds = [World(seed, managed=True, steps=700) for seed in range(25)]
    for world in worlds:
        world.run()
    asked = [world.exports for world in worlds]
    assert sum(exports.asked for exports in asked) > sum(len(exports.made) for exports in asked) > len(worlds)
    assert all(len(exports.made) == len(exports.tokens) for exports in asked)


def told(world):
    quiet()
    world.run()
    return (world.clock.now, world.source.sequence, world.checks.rows(), world.checks.proofs, len(world.said))


@pytest.mark.parametrize("seed", [3, 1853])
def test_a_seed_is_one_history_and_replays_exactly(seed):
    assert told(World(seed)) == told(World(seed))


def test_the_command_tells_seeds_and_violations_in_its_last_line(capsys):
    assert main(["--seeds", "3", "--cores", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 seeds, 0 violations"


def test_a_violation_is_told_with_its_seed():
    class Deaf(World):
        def _calm(self):
            self.source.items["k0"] = {"id": {"S": "k0"}, "n": {"N": "-1"}}  # planted: nobody told the stream
            super()._calm()

    world = Deaf(5)
    with pytest.raises(AssertionError, match="seed 5: I1"):
        world.run()
    assert outcome(5).fault is None


@pytest.mark.timeout(3000)
def test_a_crash_at_an_executed_line_is_survived_whichever_line_it_is(request):
    points = [point for scenario in crash_points.SCENARIOS for point in crash_points.points(scenario)]
    lines = {(point.file, point.line) for point in points}
    assert len(lines) > 800
    wanted = POINTS[request.config.getoption("--crash-points")]
    points = random.Random(0).sample(points, wanted)
    assert [fault for fault in crash_points.run(points, CORES) if fault] == []

"""The pre-image assertion: no false alarm whatever is replayed, loaded late or dies; each planted damage is found."""

from collections import Counter

import pytest
import structlog
from property.repair_world import World

from daemon.verify import preimage
from daemon.verify.record import DIFFERENCES, Difference, State

COMPARED, DAMAGES = 10_000, 1000


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


def counted(world):
    states = world.states().values()
    return sum(state.preimages for state in states), sum(state.preimages_wrong for state in states)


def lived(seed, steps=900, **rates):
    """A table that lives through its backfill, with processes that die and replay."""
    world = World(seed, keys=8, writes=0.35, kills=0.015, asserts=True, **rates)
    for number in range(steps):
        world.step()
        if number == 60:
            world.export()
    return world


def test_there_is_no_false_alarm_in_ten_thousand_comparisons():
    compared = seed = 0
    while compared < COMPARED:
        world = lived(seed)
        found, wrong = counted(world)
        assert wrong == 0, f"seed {seed}: {world.control.all(DIFFERENCES, Difference)}"
        compared += found
        seed += 1


def test_every_planted_damage_is_found_by_the_next_event_of_its_key():
    planted, seed = Counter(), 0
    while min(planted[kind] for kind in ("missing", "stale", "changed", "extra")) < DAMAGES:
        world = World(seed, keys=60, writes=0, kills=0, asserts=True)
        for key in world.keys:
            world.write(key, {"n": {"N": "1"}})
        world.export()
        world.sleep(60)
        world.write("k0", None)  # what makes the processes look whether the load is over
        world.write("k1", None)
        world.write("k2", None)
        world.sleep(10)
        for _ in range(4):
            planted += damaged(world, seed)
        seed += 1


def damaged(world, seed):
    """One damage of each key, and one event after it; which damages there were."""
    world.settle()
    before = counted(world)[1]
    kinds = Counter(world.damage(key) for key in world.keys)
    for number, key in enumerate(world.keys):
        there = key in world.source
        if there and number % 3 == 0 and world.row(key) is not None:
            world.write(key, None)
        else:
            world.write(key, {"n": {"N": str(world.sequence)}})
    world.settle()
    world.sleep(10)  # a missing row is a doubt until the next heartbeat
    assert counted(world)[1] - before == kinds.total(), f"seed {seed}"
    found = world.control.all(DIFFERENCES, Difference).values()
    assert {one.state for one, _ in found} == {State.GONE}
    assert {one.by for one, _ in found} == {"preimage"}
    assert world.wrong() == []
    return kinds


def test_a_sample_is_a_share_of_the_keys_and_always_the_same_ones():
    from sinks.change import Key

    keys = [Key(f"order-{number}", (number % 3 and f"line{number}") or None) for number in range(40_000)]
    chosen = {key for key in keys if preimage.sampler(5)(key)}
    assert 0.045 < len(chosen) / len(keys) < 0.055
    assert chosen == {key for key in keys if preimage.sampler(5)(key)}
    assert chosen < {key for key in keys if preimage.sampler(20)(key)}
    assert preimage.sampler(0) is None
    assert all(map(preimage.sampler(100), keys))

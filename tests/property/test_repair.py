"""Repairs beside a writing application, with shard clocks that drift and deaths at any request: none may be wrong."""

from collections import Counter

import pytest
import structlog
from fakes import Crash
from property.repair_world import Tied, World

from daemon.verify.repair import Outcome, Repairer
from daemon.verify.watching import NotWatched
from sinks.change import Key

REPAIRS = 20_000
WINDOWS = 12  # of one world


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


def played(seed, kind=Repairer):
    """What became of the keys, and those that a repair has left wrong."""
    world, outcomes, wrong = World(seed), Counter(), []
    for _ in range(40):
        world.step()
    for _ in range(WINDOWS):
        world.settle()
        assert world.wrong() == [], f"seed {seed}: before any damage"
        for key in world.keys:
            world.damage(key)
        outcomes.update(repaired(world, kind).values())
        world.settle()
        wrong += world.wrong()
        if wrong:
            break
    return outcomes, wrong, world


def repaired(world, kind):
    """With a death now and then: who repairs is started again."""
    while True:
        rate = world.chance.choice((0.0, 0.0, 0.02))
        try:
            return world.repairer(rate, kind).repair([Key(key) for key in world.keys])
        except (Crash, NotWatched):
            world.now += 301  # the watch of a dead one is not taken over at once


def test_no_repair_of_twenty_thousand_is_wrong():
    outcomes, crashes, seed = Counter(), 0, 0
    while outcomes[Outcome.REPAIRED] < REPAIRS:
        found, wrong, world = played(seed)
        assert wrong == [], f"seed {seed}"
        outcomes += found
        crashes += world.crashes
        seed += 1
    assert crashes > 50
    # A key that was written in a window was done again in another, as a rule.
    assert outcomes[Outcome.BUSY] < outcomes[Outcome.REPAIRED] / 20
    assert outcomes.keys() <= {Outcome.REPAIRED, Outcome.EQUAL, Outcome.BUSY}


class StampedWithNow(Repairer):
    """Planted: the version is the time of the copy."""

    def window(self, keys):
        return super().window(keys)._replace(version=int(self._clock.time() * 1_000_000))


class WhateverHappens(Repairer):
    """Planted: it does not matter whether the key was written in the window."""

    def window(self, keys):
        return super().window(keys)._replace(untouched=set(keys))


class QuickestShard(Repairer):
    """Planted: the clock of the shard that is ahead."""

    def window(self, keys):
        window = super().window(keys)
        return window._replace(version=max(state.version for state in self._watch.states().values()))


@pytest.mark.parametrize("planted", [StampedWithNow, WhateverHappens, QuickestShard])
def test_a_planted_bug_is_seen(planted):
    assert any(seen(seed, planted) for seed in range(60))


def seen(seed, planted):
    try:
        return bool(played(seed, planted)[1])
    except Tied:
        return True

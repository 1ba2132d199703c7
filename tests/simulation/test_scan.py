"""Backfill by scan, under the same adversaries: a table without an export, read while it is written."""

import pytest
import structlog
from simulation.by_scan import ScanWorld
from simulation.world import quiet

SEEDS = range(60)


@pytest.fixture(autouse=True)
def _without_log():
    quiet()
    yield
    structlog.reset_defaults()


def ended(seed, **settings):
    """What is wrong with this history, or None; and what was proven in it."""
    world = ScanWorld(seed, **settings)
    try:
        world.run()
    except AssertionError as error:
        return str(error), world
    return None, world


def test_a_scan_under_writes_crashes_and_lost_streams_ends_with_the_target_as_the_source():
    faults, proofs, kinds = [], 0, set()
    for seed in SEEDS:
        fault, world = ended(seed)
        faults += [fault] if fault else []
        proofs += world.checks.proofs
        kinds.add(world.kind)
    assert faults == []
    assert proofs > len(SEEDS)
    assert kinds == {"cassandra", "dynamodb"}


class YoungStream(ScanWorld):
    """The stream is enabled, and the scan would begin: what a stale row lacks may be of before the stream."""

    def _before(self):
        for _ in range(20):
            self._write()
            self.clock.advance(1)
        super()._before()
        self.source.disable()
        for _ in range(12):
            self._write()
            self.clock.advance(1)
        self.source.enable()


def test_a_scan_waits_until_the_stream_is_old_enough_and_then_misses_nothing():
    faults, waited = [], 0
    for seed in SEEDS:
        world = YoungStream(seed, crash_rate=0.0, fault_rate=0.0)
        try:
            world.run()
        except AssertionError as error:
            faults.append(str(error))
        waited += any("a scan begins after" in said for said in world.said)
    assert faults == []
    assert waited > len(SEEDS) / 2

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


def stale(fault):
    """The fault says that the target lacks a change: at the end, or while it is claimed to be there."""
    return "I1: target and source differ" in fault or "I3: applied through" in fault


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


def test_rows_with_the_version_of_the_moment_of_the_scan_would_be_seen(monkeypatch):
    # Planted: a stale row gets a version above the change that it has missed.
    monkeypatch.setattr("daemon.plan.version_of", lambda at: int(at + 60) * 1_000_000)
    assert any(stale(ended(seed)[0] or "") for seed in SEEDS)


def test_a_scan_that_begins_before_the_stream_is_old_enough_would_be_seen(monkeypatch):
    # Planted: nobody waits, so what a stale row lacks is of before the stream.
    monkeypatch.setattr("daemon.scanning._old_enough", lambda *_: None)

    class Young(ScanWorld):
        """The stream is enabled, and the scan begins."""

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

    def seen(seed):
        world = Young(seed, crash_rate=0.0, fault_rate=0.0)
        try:
            world.run()
        except AssertionError as error:
            return stale(str(error))
        return False

    assert any(seen(seed) for seed in SEEDS)

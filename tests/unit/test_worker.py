"""When a worker begins, when it must not go on, and what one table's fault costs the others."""

from types import SimpleNamespace

import pytest
from fakes import MemoryControl

from daemon import worker
from daemon.backfill import BackfillIncomplete
from daemon.completion import Completion
from daemon.config import load_all
from daemon.control import Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.retry import Abandoned


class Known:
    """As much of daemon.app.Parts as the begin of a worker asks for."""

    def __init__(self, **migration):
        self.control, self.clock = MemoryControl(), SimpleNamespace(monotonic=lambda: self.at, sleep=self._sleep)
        self.config = SimpleNamespace(name="orders")
        self.at, self.slept = 0.0, 0
        self.put(**migration)

    def put(self, **migration):
        self.control.update("migration", Migration, lambda _: Migration(**migration))

    def _sleep(self, _seconds):
        self.slept += 1
        if self.slept > 3:
            raise TimeoutError


def test_a_worker_waits_for_the_anchor_and_for_an_export_that_is_being_made():
    for waits in ({"reserved": 1}, {"phase": Phase.ANCHORED, "pending": True}):
        with pytest.raises(TimeoutError):
            worker._anchored(Known(**waits))


def test_a_worker_of_a_table_that_is_only_tailed_has_nothing_to_wait_for():
    # A Job goes through all tables of a migration: one that loads nothing must not hold up the others.
    known = Known(phase=Phase.REPLICATING, mode="tail", generation=1)
    assert worker._anchored(known).generation == 1
    assert known.slept == 0


def test_a_worker_that_a_resync_has_overtaken_applies_nothing_more():
    # Its rows are older than the sweep's deletions, but the sweep may have passed their keys already.
    known = Known(phase=Phase.BACKFILLING, generation=1, backfill_version=5)
    in_force = worker.in_force(known, known.control.get("migration", Migration)[0])
    in_force()
    known.put(phase=Phase.BACKFILLING, generation=2, backfill_version=9)
    known.at += worker.LOOK_SECONDS
    with pytest.raises(Abandoned, match="resync"):
        in_force()


def test_a_worker_of_a_migration_that_was_completed_loads_nothing():
    known = Known(phase=Phase.BACKFILLING, generation=1, backfill_version=5)
    known.control.put("completion", Completion(1.0), 0)
    with pytest.raises(CheckFailed, match="was completed"):
        worker.run(known, 0, 1)


TABLES = """
migration: shop
source: {region: eu-west-1}
backfill: {from: scan}
dead_letters: {to: /letters}
target: {kind: dynamodb, region: us-east-1}
tables:
  - {source: {table: orders}, target: {table: orders-moved}}
  - {source: {table: customers}, target: {table: customers-moved}}
"""


def test_a_table_that_cannot_be_loaded_does_not_keep_the_others_waiting(tmp_path, capsys):
    path, loaded = tmp_path / "moveout.yaml", []
    path.write_text(TABLES)

    def load(known):
        loaded.append(known.config.source.table)
        if known.config.source.table == "orders":
            raise BackfillIncomplete("s3://b/1 is damaged")

    begun = []
    assert worker.for_each(load_all(path), load, begun.append) == 3
    assert loaded == [config.source.table for config in begun] == ["orders", "customers"]
    assert "orders: s3://b/1 is damaged" in capsys.readouterr().err

"""Settings that would bring a deleted row back, and what mends them."""

import struct
from types import SimpleNamespace

import pytest

from sinks.cassandra import scylla, settings

TABLE = '"k"."t"'
KEEP_SECONDS = 3 * 86_400
TWCS = {"class": "org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy"}


def unsafe(**options):
    return list(settings.unsafe(options, TABLE, KEEP_SECONDS))


def test_a_table_as_cassandra_makes_it_is_safe():
    assert unsafe(gc_grace_seconds=864_000, default_time_to_live=0, compaction={"class": "SizeTiered"}) == []
    assert unsafe() == []


@pytest.mark.parametrize(("seconds", "safe"), [(0, False), (KEEP_SECONDS - 1, False), (KEEP_SECONDS, True)])
def test_tombstones_must_be_kept_as_long_as_the_move_needs_them(seconds, safe):
    assert (unsafe(gc_grace_seconds=seconds) == []) == safe


def test_a_step_says_what_was_there_before_as_an_alter_would_write_it():
    grace, live = unsafe(gc_grace_seconds=60, default_time_to_live=5)
    assert (grace.statement, grace.before) == (
        f"ALTER TABLE {TABLE} WITH gc_grace_seconds = {KEEP_SECONDS}",
        {"gc_grace_seconds": "60"},
    )
    assert (live.statement, live.before) == (
        f"ALTER TABLE {TABLE} WITH default_time_to_live = 0",
        {"default_time_to_live": "5"},
    )


def test_repairs_do_not_take_the_place_of_grace():
    # A repair may come before the backfill row that the tombstone is kept for.
    compaction = {"class": "SizeTieredCompactionStrategy", "only_purge_repaired_tombstones": "true"}
    assert len(unsafe(gc_grace_seconds=60, compaction=compaction)) == 1
    assert unsafe(gc_grace_seconds=KEEP_SECONDS, compaction=compaction) == []


@pytest.mark.parametrize(
    ("window", "safe"),
    [
        ({}, False),
        ({"compaction_window_unit": "HOURS", "compaction_window_size": "71"}, False),
        ({"compaction_window_unit": "HOURS", "compaction_window_size": "72"}, True),
        ({"compaction_window_unit": "DAYS", "compaction_window_size": "3"}, True),
        ({"compaction_window_unit": "MINUTES", "compaction_window_size": "4319"}, False),
    ],
)
def test_a_time_window_shorter_than_the_move_is_unsafe(window, safe):
    assert (unsafe(compaction={**TWCS, **window}) == []) == safe


def test_a_wider_window_keeps_the_rest_of_the_strategy_and_the_old_one_is_noted():
    compaction = {**TWCS, "compaction_window_unit": "HOURS", "compaction_window_size": "2", "max_threshold": "32"}
    (step,) = unsafe(compaction=compaction)
    assert step.statement.endswith(
        "'compaction_window_unit': 'DAYS', 'compaction_window_size': '3', 'max_threshold': '32'}"
    )
    assert step.before == {"compaction": settings.literal(compaction)}


def test_dropping_expired_files_blindly_is_unsafe():
    wide = {**TWCS, "compaction_window_size": "30"}
    assert len(unsafe(compaction={**wide, "unsafe_aggressive_sstable_expiration": "true"})) == 1
    assert unsafe(compaction={**wide, "unsafe_aggressive_sstable_expiration": "false"}) == []


def test_a_literal_cannot_be_left_by_a_quote():
    assert settings.literal({"it's": "o'clock"}) == "{'it''s': 'o''clock'}"


def serialised(**told):
    """As ScyllaDB keeps the extension: counts and lengths in four bytes, then the text."""
    texts = [text.encode() for pair in told.items() for text in pair]
    return struct.pack("<I", len(told)) + b"".join(struct.pack("<I", len(text)) + text for text in texts)


def cluster(*system_tables):
    return SimpleNamespace(keyspaces={"system_schema": SimpleNamespace(tables=dict.fromkeys(system_tables))})


def test_scylladb_is_told_by_a_system_table_of_its_own():
    assert scylla.is_scylla(cluster("tables", "scylla_tables"))
    assert not scylla.is_scylla(cluster("tables"))
    assert not scylla.is_scylla(SimpleNamespace(keyspaces={}))


@pytest.mark.parametrize("mode", ["timeout", "repair", "immediate"])
def test_on_scylladb_every_mode_but_disabled_is_unsafe_and_noted(mode):
    (step,) = scylla.unsafe({"tombstone_gc": serialised(mode=mode)}, TABLE)
    assert step.statement == f"ALTER TABLE {TABLE} WITH tombstone_gc = {{'mode': 'disabled'}}"
    assert step.before == {"tombstone_gc": f"{{'mode': '{mode}'}}"}


def test_on_scylladb_a_table_that_says_nothing_is_unsafe_and_one_that_keeps_all_is_safe():
    assert [step.before for step in scylla.unsafe({}, TABLE)] == [{"tombstone_gc": "{'mode': 'timeout'}"}]
    assert list(scylla.unsafe({"tombstone_gc": serialised(mode="disabled")}, TABLE)) == []


def test_the_delay_of_scylladbs_repair_mode_is_kept():
    told = {"tombstone_gc": serialised(mode="repair", propagation_delay_in_seconds="7200")}
    assert scylla.tombstone_gc(told) == {"mode": "repair", "propagation_delay_in_seconds": "7200"}


def test_on_scylladb_grace_is_not_asked_for():
    assert list(settings.unsafe({"gc_grace_seconds": 0}, TABLE, KEEP_SECONDS, by_grace=False)) == []


def test_a_table_made_on_scylladb_keeps_its_tombstones_from_its_first_row_on():
    assert scylla.created("CREATE TABLE t (a int, PRIMARY KEY ((a)))").endswith(
        "PRIMARY KEY ((a))) WITH tombstone_gc = {'mode': 'disabled'}"
    )
    ordered = "CREATE TABLE t (a int, PRIMARY KEY ((a))) WITH CLUSTERING ORDER BY (b DESC)"
    assert scylla.created(ordered).endswith("(b DESC) AND tombstone_gc = {'mode': 'disabled'}")

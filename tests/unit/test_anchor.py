"""What a tail alone can promise, and a migration that was begun with another number of tables."""

import pytest
from fakes import MemoryControl
from unit.managed_export import NOW, Move

from daemon import anchor, gap
from daemon.control import Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.source.export import REACH_SECONDS
from daemon.source.shards import Shard, Stream

HOUR = 3600.0


def tailing(**stream):
    move = Move()
    move.known.config = move.known.config.model_copy(update={"mode": "tail"})
    vars(move.known.facts.stream).update(stream)
    return move


def test_a_tail_that_never_caught_up_is_a_gap_before_what_it_did_not_read_is_trimmed():
    # Without a backfill nothing but the stream holds its first hours: they are not safe because the move has begun.
    migration = tailing(created_at=NOW - 900 * HOUR).anchored()
    shard = Shard(f"shardId-{int((NOW - 30 * HOUR) * 1000):020d}-a", None, closed=False)
    stream = Stream("arn", "NEW_IMAGE", "ENABLED", 0.0, {shard.id: shard}, NOW)
    assert migration.exported_at == NOW - REACH_SECONDS
    assert gap.of_time(migration, stream, {}, None, NOW + 2 * HOUR) is None
    assert "may be trimmed" in gap.of_time(migration, stream, {}, None, NOW + 4 * HOUR)


def test_a_tail_of_a_young_stream_promises_what_came_since_it_was_enabled():
    assert tailing(created_at=NOW - HOUR).anchored().exported_at == NOW - HOUR


@pytest.mark.parametrize(("one_of", "begun_as"), [(1, "orders.orders"), (2, "orders")])
def test_a_migration_begun_with_one_table_is_not_begun_anew_with_several_nor_the_reverse(one_of, begun_as):
    move = Move()
    move.known.config = move.known.config.model_copy(update={"one_of": one_of})
    others = {begun_as: MemoryControl()}
    others[begun_as].put("migration", Migration(phase=Phase.REPLICATING), 0)
    move.known.control_of = lambda name: others.get(name, MemoryControl())
    with pytest.raises(CheckFailed, match="several tables"):
        move.anchored()
    assert move.control.records == {}
    others.clear()
    assert move.anchored().phase is Phase.ANCHORED
    with pytest.raises(CheckFailed, match="put it back"):
        anchor.unchanged(move.known, Migration(mode="tail"))

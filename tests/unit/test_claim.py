"""What a shard's process takes over, and what it must leave as it is."""

import pytest

from daemon.control import Conflict, Position, ShardState
from daemon.kcl.processor import Claimed, ShardLost

KNOWN = ShardState(anchor=1, positions=[Position("10", 100), Position("20", 200)], ended=True, heartbeat_round=7)


class Record:
    """One record, written by compare-and-set."""

    def __init__(self, state=KNOWN):
        self.state, self.revision = state, 1

    def put(self, state, revision):
        if revision != self.revision:
            raise Conflict("shard")
        self.state, self.revision = state, revision + 1
        return self.revision


def test_who_claims_late_takes_back_neither_positions_nor_the_end_of_a_shard():
    record = Record()
    Claimed(record.state, record.revision, record.put, version=100).claim("late")
    assert (record.state.owner, record.state.positions, record.state.ended) == ("late", KNOWN.positions, True)


def test_a_claim_forgets_the_trouble_of_the_process_before():
    record = Record(ShardState(anchor=1, trouble="no node answers"))
    Claimed(record.state, record.revision, record.put, version=1).claim("new")
    assert record.state.trouble is None


def test_whoever_was_claimed_from_is_told_at_the_next_save():
    record = Record()
    first = Claimed(record.state, record.revision, record.put, version=200)
    first.claim("first")
    Claimed(record.state, record.revision, record.put, version=200).claim("second")
    with pytest.raises(ShardLost):
        first.save(first.state)
    assert record.state.owner == "second"

from types import SimpleNamespace

import msgspec
import pytest
from fakes import MemoryControl

from daemon.clock import SYSTEM
from daemon.control import Conflict, Position, ShardState
from daemon.kcl.processor import ShardLost
from daemon.kcl.shard import claim

RECORD = "g1/shard#s"


class LossyControl(MemoryControl):
    """Loses the answer to a write on demand; the client sends it again, which finds the record written already."""

    def __init__(self):
        super().__init__()
        self.lost = 0

    def put(self, record, value, revision):
        written = super().put(record, value, revision)
        if self.lost:
            self.lost -= 1
            raise Conflict(record)
        return written


@pytest.fixture
def control():
    made = LossyControl()
    made.put(RECORD, ShardState(anchor=7, positions=[Position("1", 10)]), 0)
    return made


def claimed(control):
    return claim(SimpleNamespace(control=control, clock=SYSTEM), 1, "s", "1")


def read(records):
    return {"records": records, "positions": (Position("2", 20),)}


def test_a_save_whose_answer_was_lost_is_known_for_our_own(control):
    mine = claimed(control)
    control.lost = 1
    mine.save(msgspec.structs.replace(mine.state, **read(5)))
    mine.save(msgspec.structs.replace(mine.state, **read(6)))
    assert control.get(RECORD, ShardState)[0].records == 6


def test_a_claim_whose_answer_was_lost_is_our_own_too(control):
    control.lost = 1
    mine = claimed(control)
    mine.save(msgspec.structs.replace(mine.state, **read(5)))
    assert control.get(RECORD, ShardState)[0].records == 5


def test_a_shard_that_another_process_has_claimed_is_lost_whatever_was_lost_on_the_way(control):
    mine = claimed(control)
    claimed(control)
    with pytest.raises(ShardLost):
        mine.save(msgspec.structs.replace(mine.state, **read(5)))

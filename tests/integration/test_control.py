import pytest

from daemon.control import Conflict, Control, Leader, Part, Position, ShardState
from daemon.leader import LEASE_SECONDS, Leadership

pytestmark = pytest.mark.server


@pytest.fixture
def control(client, fresh_name):
    made = Control(client, fresh_name(), "orders")
    made.create_table()
    return made


STATE = ShardState(anchor=5, positions=[Position("0001", 10)], heartbeat_key="moveout#heartbeat#1", touched=[])


def test_a_record_comes_back_as_it_was_written(control):
    control.put("shard#a", STATE, 0)
    assert control.get("shard#a", ShardState) == (STATE, 1)
    assert control.get("shard#b", ShardState) is None


def test_of_two_writers_the_slower_one_is_refused(control):
    control.put("shard#a", STATE, 0)
    with pytest.raises(Conflict):
        control.put("shard#a", STATE, 0)
    control.put("shard#a", STATE, 1)
    with pytest.raises(Conflict):
        control.put("shard#a", STATE, 1)


def test_records_are_listed_by_prefix_and_never_mixed_with_another_migration(control, client):
    other = Control(client, control._table, "customers")
    for number in range(30):
        control.put(f"part#{number:06d}", Part(f"file-{number}", "", number), 0)
        other.put(f"part#{number:06d}", Part("other", "", 0), 0)
    control.put("shard#a", STATE, 0)
    found = control.all("part#", Part)
    assert [part.items for part, _ in found.values()] == list(range(30))


def test_an_update_is_tried_again_when_somebody_was_quicker(control):
    control.put("shard#a", STATE, 0)
    meddled = []

    def change(state):
        if not meddled:
            meddled.append(control.put("shard#a", state, 1))
        return ShardState(anchor=state.anchor + 1)

    assert control.update("shard#a", ShardState, change).anchor == 6


def test_creating_the_table_again_changes_nothing(control):
    control.put("shard#a", STATE, 0)
    control.create_table()
    assert control.get("shard#a", ShardState) is not None


def test_one_replica_leads_and_the_next_takes_over_when_it_falls_silent(control):
    now = [1000.0]
    first, second = (Leadership(control, owner, lambda: now[0]) for owner in ("one", "two"))
    assert first.held()
    assert not second.held()
    now[0] += LEASE_SECONDS - 1
    assert first.held()
    assert not second.held()
    now[0] += LEASE_SECONDS + 1
    assert second.held()
    assert not first.held()
    assert control.get("leader", Leader)[0].owner == "two"

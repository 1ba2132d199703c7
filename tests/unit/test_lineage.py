import pytest

from daemon.control import Position, ShardState
from daemon.lineage import StateMissing, anchors, inherited, resumed
from daemon.source.shards import Shard

STATE = ShardState(anchor=7, positions=[Position("0010", 100), Position("0020", 200), Position("0030", 300)])


def test_a_resume_after_an_older_checkpoint_goes_on_from_that_ones_version():
    assert resumed("s", STATE, "0020") == 200


def test_sequence_numbers_are_compared_as_numbers():
    assert resumed("s", STATE, "20") == 200


def test_a_shard_read_from_its_beginning_goes_on_from_its_anchor():
    assert resumed("s", STATE, "TRIM_HORIZON") == 7


@pytest.mark.parametrize("sequence", ["0025", "0005", "0040"])
def test_a_checkpoint_whose_version_is_unknown_stops_the_shard(sequence):
    with pytest.raises(StateMissing, match="control table knows"):
        resumed("s", STATE, sequence)


def test_starting_at_latest_is_refused_because_it_skips_records():
    with pytest.raises(StateMissing, match="LATEST"):
        resumed("s", STATE, "LATEST")


def test_a_child_goes_on_from_its_parents_last_version():
    parent = ShardState(anchor=1, positions=[Position("9", 900)], ended=True)
    assert inherited(Shard("child", "parent", closed=False), parent).version == 900


def test_both_children_of_a_split_inherit():
    parent = ShardState(anchor=1, positions=[Position("9", 900)], ended=True)
    children = [inherited(Shard(name, "parent", closed=False), parent) for name in ("left", "right")]
    assert [child.version for child in children] == [900, 900]


@pytest.mark.parametrize("parent", [None, ShardState(anchor=1, ended=False)])
def test_a_child_whose_parent_is_unknown_or_unfinished_does_not_start_at_zero(parent):
    with pytest.raises(StateMissing, match="parent"):
        inherited(Shard("child", "parent", closed=False), parent)


def test_only_shards_without_a_listed_parent_are_anchored():
    tree = {
        "root": Shard("root", "trimmed-long-ago", closed=True),
        "child": Shard("child", "root", closed=False),
        "other": Shard("other", None, closed=False),
    }
    assert set(anchors(tree)) == {"root", "other"}


def sequences(state):
    return [int(position.sequence) for position in state.positions]


def test_positions_stay_until_the_kcl_is_known_to_have_passed_them():
    assert sequences(STATE.advanced(Position("40", 400), None)) == [10, 20, 30, 40]
    assert sequences(STATE.advanced(Position("40", 400), "0020")) == [20, 30, 40]


def test_a_replay_from_further_back_keeps_the_positions_that_another_process_may_have_checkpointed():
    replayed = STATE.advanced(Position("0015", 150), "0010")
    assert sequences(replayed) == [10, 15, 20, 30]
    assert replayed.version == 300
    assert sequences(STATE.advanced(Position("0020", 200), "0010")) == [10, 20, 30]

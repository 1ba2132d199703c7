import itertools

from sinks.change import Change, Key, newest

FIRST, SECOND, THIRD = (Change(Key("a"), version, None) for version in (1, 2, 3))
OTHER = Change(Key("b"), 2, None)


def test_of_each_key_the_highest_version_is_left_in_whatever_order_they_come():
    for order in itertools.permutations([FIRST, SECOND, THIRD, OTHER, THIRD]):
        assert set(newest(order)) == {THIRD, OTHER}


def test_keys_stay_in_the_order_in_which_they_first_appear():
    assert newest([FIRST, OTHER, THIRD]) == [THIRD, OTHER]

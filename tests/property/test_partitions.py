"""The summary of the largest partitions against counting all of them: it may say less than there is, never more."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.partitions import Summary, counting, spread
from sinks.change import Change, Item, Key
from sinks.sink import SinkUnavailable


def change(partition, size, sort="s"):
    return Change(Key(partition, sort), 1, Item(b"x" * size))


def summed(batches, counted):
    summary = Summary(counted)
    for batch in batches:
        summary.add([change(partition, size) for partition, size in batch])
    return summary


# Few partitions have most of the bytes, and many come once: what a summary must tell apart.
rows = st.tuples(st.one_of(st.integers(0, 4), st.integers(0, 400)).map(str), st.integers(1, 500))
histories = st.lists(st.lists(rows, max_size=15), max_size=15)
sizes = st.integers(1, 12)


def held(summary, batches):
    """What the summary's docstring says of all these rows."""
    size_bytes, items = Counter(), Counter()
    for partition, size in (row for batch in batches for row in batch):
        size_bytes[partition] += size
        items[partition] += 1
    assert (summary.size_bytes, summary.items) == (size_bytes.total(), items.total())
    assert summary.cut * (summary.counted + 1) <= summary.size_bytes
    known = {one.partition: one for one in summary.largest(10**6)}
    for partition, true_bytes in size_bytes.items():
        if partition not in known:
            assert true_bytes <= summary.cut
            continue
        one = known[partition]
        assert one.size_bytes <= true_bytes <= one.size_bytes + one.missed_bytes
        assert one.items <= items[partition]
        assert one.missed_bytes <= summary.cut
        if one.exact:
            assert one.items == items[partition]
    listed = summary.largest(3)
    unlisted = size_bytes.keys() - {one.partition for one in listed}
    assert all(size_bytes[partition] <= summary.unlisted_bytes_max(listed) for partition in unlisted)


@given(histories, sizes)
def test_no_figure_is_too_high_and_no_partition_with_its_share_is_missed(batches, counted):
    held(summed(batches, counted), batches)


@given(st.lists(histories, min_size=2, max_size=4), sizes)
def test_what_several_workers_have_seen_is_one_summary_with_the_same_promises(of_workers, counted):
    whole = summed(of_workers[0], counted)
    for batches in of_workers[1:]:
        whole.merge(summed(batches, counted))
    held(whole, [batch for batches in of_workers for batch in batches])


@given(histories)
def test_where_everything_has_room_every_figure_is_exact(batches):
    summary = summed(batches, 1000)
    assert summary.cut == 0
    assert all(one.exact for one in summary.largest(10**6))


@given(histories, sizes)
def test_memory_is_bounded_whatever_comes(batches, counted):
    summary = Summary(counted)
    for batch in batches:
        summary.add([change(partition, size) for partition, size in batch])
        assert len(summary.largest(10**6)) <= 2 * counted


def test_the_largest_come_first():
    summary = summed([[("a", 1), ("b", 5), ("c", 3), ("b", 1)]], 10)
    assert [(one.partition, one.items, one.size_bytes) for one in summary.largest(2)] == [("b", 2, 6), ("c", 1, 3)]


def test_a_deletion_is_no_item():
    summary = Summary()
    summary.add([Change(Key("a", "s"), 1, None)])
    assert (summary.items, summary.largest(1)) == (0, [])


def test_a_batch_that_comes_again_counts_once():
    summary, refuses = Summary(), [True]

    def into(_changes):
        if refuses.pop() if refuses else False:
            raise SinkUnavailable("away")
        return ()

    delivered = counting(into, summary)
    with pytest.raises(SinkUnavailable):
        delivered([change("a", 7)])
    delivered([change("a", 7)])
    assert [(one.items, one.size_bytes) for one in summary.largest(1)] == [(1, 7)]


@given(st.integers(1, 50), st.integers(1, 60))
def test_a_sample_has_as_many_as_asked_for_none_twice_and_they_lie_far_apart(parts, sample):
    names = [f"{number:03}" for number in range(parts)]
    chosen = spread(names, sample)
    assert len(chosen) == len(set(chosen)) == min(parts, sample)
    gaps = [int(after) - int(before) for before, after in pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 1

"""Incremental exports heal a gap in the stream, over random histories, gaps and windows: all but the ghosts.

And bugs planted one at a time, each of which must be seen.
"""

import msgspec
import pytest
from property.gap import MARGIN_SECONDS, MICROS, NAMES, Gap, load_as_a_worker, name_of

from daemon.source.incremental import ranked
from sinks.change import Change, Item, Key

SEEDS = range(400)


def last_heard(gap, name):
    """Up to when the target was told of this key: the end of the last window that has it, else its shard's stop."""
    told = [window.to_time for window in gap.windows if any(name_of(record) == name for record in gap.records(window))]
    return gap.micros(max(told)) if told else gap.stops[name]


def in_the_new_stream(gap, name):
    return any(name_of(write) == name and write.at_micros >= gap.to_time * MICROS for write in gap.history)


def ghosts(gap):
    """Gone in the source, alive when the target last heard of it, and no window and no stream tells of its end."""
    return {
        name
        for name in NAMES
        if gap.state(name) is None
        and gap.state(name, last_heard(gap, name)) is not None
        and not in_the_new_stream(gap, name)
    }


def born_and_gone_inside_of_one_window(gap, name, alive_at):
    """The only way to be a ghost: caught alive by the old stream or by another window, in the midst of this one."""
    return any(
        begin < alive_at < end and gap.state(name, begin) is None and gap.state(name, end) is None
        for begin, end in ((gap.micros(w.from_time), gap.micros(w.to_time)) for w in gap.windows)
    )


def test_after_the_windows_and_the_new_stream_only_ghosts_differ_from_the_source():
    caught_before_the_gap, caught_by_a_window = 0, 0
    for seed in SEEDS:
        gap = Gap(seed)
        assert gap.uncovered() is None, f"seed {seed}"
        differing = gap.differing(gap.healed())
        assert set(differing) == ghosts(gap), f"seed {seed}"
        for name, found in differing.items():
            alive_at = last_heard(gap, name)
            assert (found.truth, found.item) == (None, gap.state(name, alive_at)), f"seed {seed}"
            assert born_and_gone_inside_of_one_window(gap, name, alive_at), f"seed {seed}"
            by_a_window = found.change.version >= gap.base - len(gap.windows)
            caught_by_a_window += by_a_window
            caught_before_the_gap += not by_a_window
    assert min(caught_before_the_gap, caught_by_a_window) > 20


def test_every_ghost_is_at_a_version_where_a_sweep_is_told_to_look():
    for seed in SEEDS:
        gap = Gap(seed)
        first = (min(window.from_time for window in gap.windows) - MARGIN_SECONDS) * MICROS
        versions = [found.change.version for found in gap.differing(gap.healed()).values()]
        assert all(first <= version < gap.base - 1 for version in versions), f"seed {seed}"


def seen(**planted):
    """True when at least one gap is healed wrong, beyond the ghosts, with this bug."""
    return any(set(gap.differing(gap.healed(**planted))) != ghosts(gap) for gap in map(Gap, SEEDS))


def by_begin(windows, base):
    ordered = sorted(windows, key=lambda window: window.from_time)
    return [(window, base - len(ordered) + number) for number, window in enumerate(ordered)]


def all_the_same(windows, base):
    return [(window, base - 1) for window in windows]


def one_left_out(windows, base):
    return ranked(windows, base)[1:]


def above_the_stream(windows, base):
    return ranked(windows, base + 10**9)


@pytest.mark.parametrize("rank", [by_begin, all_the_same, one_left_out, above_the_stream])
def test_another_rank_would_be_seen(rank):
    assert seen(rank=rank)


def at_their_own_micros(gap, sink, window, _version):
    for record in gap.records(window):
        item = None if record.new is None else Item(msgspec.json.encode(record.new))
        sink.apply([Change(Key(name_of(record)), record.at_micros, item)])


class PutsOnly:
    """A sink that passes deletions over."""

    def __init__(self, sink):
        self._sink = sink

    def apply(self, changes):
        return self._sink.apply([change for change in changes if change.item is not None])


def without_deletions(gap, sink, window, version):
    load_as_a_worker(gap, PutsOnly(sink), window, version)


@pytest.mark.parametrize("load", [at_their_own_micros, without_deletions])
def test_rows_loaded_in_another_way_would_be_seen(load):
    assert seen(load=load)

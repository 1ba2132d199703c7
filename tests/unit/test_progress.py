"""Progress is counted exactly, and an ETA is only told when it can be trusted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from daemon.control import Part
from daemon.progress import Meter, progress


def part(name="a", items=1000, read=0, **more):
    return Part(name=name, md5="", items=items, rows_read=read, applied=read, bytes_read=read * 100, **more)


def watched(rates, *, parts=None, step=1.0):
    """Progress after reading so many items in each step."""
    known = parts or [part(items=10_000)]
    shown = progress(known, at=100.0)
    for number, rate in enumerate(rates, 1):
        first = known[0]
        read = first.rows_read + rate
        known = [replace(first, rows_read=read, bytes_read=read * 100), *known[1:]]
        shown = progress(known, at=100.0 + number * step, before=shown)
    return shown


def test_every_figure_is_the_sum_of_the_parts():
    parts = [
        replace(part("a", 10, 10, done=True), rejected=2, skipped=1, applied=7),
        replace(part("b", 30, 5), skipped=1, applied=4),
    ]
    total = progress(parts, at=0.0).total
    assert (total.items, total.items_total, total.applied, total.rejected, total.skipped) == (15, 40, 11, 2, 2)
    assert (total.parts, total.parts_done, total.bytes_read, total.done) == (2, 1, 1500, False)
    assert total.done_fraction == 15 / 40


def test_no_rate_and_no_eta_before_five_seconds():
    shown = watched([100] * 4)
    assert (shown.total.eta_seconds, shown.total.items_per_second) == (None, None)
    assert watched([100] * 5).total.eta_seconds == pytest.approx(95.0)


def test_what_was_read_before_the_first_look_is_no_rate():
    parts = [part(items=10_000, read=5000)]
    assert watched([100] * 10, parts=parts).total.items_per_second == pytest.approx(100)


def test_a_change_of_pace_is_followed_within_half_a_minute():
    shown = watched([10] * 60 + [100] * 30)
    assert 85 < shown.total.items_per_second < 100


def test_one_stalled_second_hardly_moves_the_eta():
    steady, stalled = watched([100] * 40), watched([100] * 39 + [0])
    assert stalled.total.eta_seconds < steady.total.eta_seconds * 1.12


def test_a_stall_that_lasts_makes_the_eta_grow_and_in_the_end_unknown():
    assert watched([100] * 10 + [0] * 60).total.eta_seconds > 1000
    assert watched([100] * 10 + [0] * 600).total.eta_seconds is None
    assert watched([0] * 10).total.eta_seconds is None
    assert watched([1] + [0] * 10).total.eta_seconds > 1000


def test_a_part_that_waited_for_its_turn_has_not_been_slow():
    waiting, shown = part(items=10_000), None
    for second in range(60):
        shown = progress([waiting], float(second), shown)
    for second in range(60, 67):
        waiting = replace(waiting, rows_read=waiting.rows_read + 100)
        shown = progress([waiting], float(second), shown)
    assert shown.total.items_per_second == pytest.approx(100)


def test_all_done_is_zero_left_whatever_the_rate():
    shown = progress([part(read=1000, done=True)], at=0.0)
    assert (shown.total.eta_seconds, shown.total.done_fraction, shown.total.done) == (0.0, 1.0, True)


def test_a_part_that_is_begun_again_is_no_negative_rate():
    shown = watched([100] * 10)
    assert progress([part(items=10_000)], at=111.0, before=shown).total.eta_seconds is None
    again = progress([part(items=10_000, read=10)], at=111.0, before=shown)
    assert again.total.items_per_second > 0
    assert again.total.eta_seconds > shown.total.eta_seconds


def test_bytes_tell_the_eta_where_all_sizes_are_known():
    large = part("large", items=10, size_bytes=9_000)
    small = part("small", items=90, read=90, size_bytes=1_000, done=True)
    assert progress([large, small], at=0.0).total.done_fraction == 0.1
    assert progress([replace(large, size_bytes=0), small], at=0.0).total.done_fraction == 0.9


def test_a_part_of_unknown_size_makes_the_whole_unknown():
    unknown = part("b", items=0, counted=False)
    shown = watched([100] * 10, parts=[part(items=10_000), unknown])
    assert (shown.total.eta_seconds, shown.total.done_fraction, shown.total.items_total) == (None, None, None)
    assert shown.parts[0].eta_seconds == pytest.approx(90.0)


def test_an_estimate_that_was_too_low_is_no_estimate_any_more():
    lagging = [part(items=300, counted=False)]
    assert watched([100] * 10, parts=lagging).total.eta_seconds is None


def test_plain_files_are_told_by_their_bytes_and_packed_ones_once_one_of_them_is_done():
    plain = replace(part("a.json", items=0, counted=False, size_bytes=1000), bytes_read=250)
    assert progress([plain], at=0.0).total.done_fraction == 0.25
    packed = replace(part("b.json.gz", items=0, counted=False, size_bytes=1000), bytes_read=2000)
    assert progress([packed], at=0.0).total.done_fraction is None
    done = replace(part("c.json.gz", 50, 50, counted=False, size_bytes=500, done=True), bytes_read=2000)
    assert progress([packed, done], at=0.0).parts[0].done_fraction == 0.5


def test_nothing_to_load_is_done():
    assert progress([], at=0.0).total.done


@given(st.lists(st.floats(0.01, 60), min_size=1, max_size=50), st.floats(1, 1e6))
def test_a_steady_rate_is_told_exactly_however_often_one_looks(steps, rate):
    meter, at = Meter(0.0, 0.0, 0.0), 0.0
    for step in steps:
        at += step
        meter = meter.then(at, at * rate)
    if at >= 5:
        assert math.isclose(meter.per_second, rate, rel_tol=1e-6)
    else:
        assert meter.per_second is None


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 500)), max_size=30))
def test_an_eta_is_never_negative_and_a_share_never_beyond_all(steps):
    known, at, shown = part(items=1000), 0.0, progress([part(items=1000)], at=0.0)
    for seconds, read in steps:
        at += seconds
        known = replace(known, rows_read=min(known.rows_read + read, 1000))
        shown = progress([known], at, shown)
        assert shown.total.eta_seconds is None or shown.total.eta_seconds >= 0
        assert 0 <= shown.total.done_fraction <= 1

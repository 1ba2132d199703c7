import pytest

from daemon import gap
from daemon.control import Migration, ShardState
from daemon.gap import StreamIdentity
from daemon.source.shards import Shard, Stream

HOUR = 3600.0
DAY0 = 1_700_000_000.0
ARN = "arn:…/stream/1"
MIGRATION = Migration(stream_arn=ARN, exported_at=DAY0, anchored_at=DAY0)


def shard_id(hours):
    return f"shardId-{int((DAY0 + hours * HOUR) * 1000):020d}-abc"


def listing(*ids, at):
    return Stream(ARN, "NEW_IMAGE", "ENABLED", 0.0, {i: Shard(i, None, closed=False) for i in ids}, DAY0 + at * HOUR)


def state(*, ended=False, applied_to=0.0):
    return ShardState(anchor=0, ended=ended, applied_to=applied_to and DAY0 + applied_to * HOUR)


def test_the_same_enabled_stream_is_no_gap():
    assert gap.of_identity(MIGRATION, StreamIdentity(ARN, enabled=True)) is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (StreamIdentity(ARN, enabled=False), "was disabled"),
        (StreamIdentity(None, enabled=False), "was disabled"),
        (StreamIdentity("arn:…/stream/2", enabled=True), "disabled and enabled again"),
    ],
)
def test_a_stream_that_was_disabled_or_replaced_is_a_gap(found, told):
    assert told in gap.of_identity(MIGRATION, found)


def test_a_shard_that_left_the_stream_unread_is_a_gap_once_it_stays_away():
    gone = shard_id(0)
    assert gap.vanished(listing(at=2), {gone: state()}) == [gone]
    assert gap.of_shards({gone: 100.0}, 130.0) is None
    assert gone in gap.of_shards({gone: 100.0}, 161.0)


def test_a_shard_read_to_its_end_may_leave_and_a_young_one_may_be_missing_from_a_listing():
    assert gap.vanished(listing(at=2), {shard_id(0): state(ended=True), shard_id(1.5): state()}) == []


def lost(states, *ids, now, through=None):
    through = None if through is None else DAY0 + through * HOUR
    return gap.of_time(MIGRATION, listing(*ids, at=now), states, through, DAY0 + now * HOUR)


def test_a_proof_of_less_than_23_hours_ago_rules_out_a_gap():
    assert lost({}, shard_id(0), now=30, through=7.5) is None
    assert lost({}, shard_id(0), now=31, through=7.5) is not None


def test_a_shard_that_nobody_has_read_for_23_hours_may_be_half_trimmed_and_no_error_would_say_so():
    assert lost({}, shard_id(1), now=23.9) is None
    assert "more than 23 hours ago" in lost({}, shard_id(1), now=24.1)


def test_a_shard_that_is_read_on_is_no_gap_however_old_it_is():
    old = shard_id(0)
    assert lost({old: state(applied_to=20)}, old, now=40) is None
    assert old in lost({old: state(applied_to=20)}, old, now=43.5)


def test_a_shard_read_to_its_end_needs_no_more_reading():
    old, new = shard_id(0), shard_id(40)
    assert lost({old: state(ended=True), new: state()}, old, new, now=41) is None


def test_what_came_before_the_export_needs_no_reading():
    assert lost({}, shard_id(-20), now=10) is None


def test_what_is_left_until_the_stream_forgets_is_told_by_the_shard_that_was_read_least():
    one, two, ended = shard_id(0), shard_id(1), shard_id(-30)
    seen = listing(one, two, ended, at=5)
    states = {one: state(applied_to=2), two: state(applied_to=4), ended: state(ended=True)}
    assert gap.trims_in_seconds(MIGRATION, seen, states, None, DAY0 + 5 * HOUR) == 20 * HOUR
    # A proof covers every shard, also one in which nothing was written.
    assert gap.trims_in_seconds(MIGRATION, seen, states, DAY0 + 3 * HOUR, DAY0 + 5 * HOUR) == 21 * HOUR
    assert gap.trims_in_seconds(MIGRATION, seen, states, None, DAY0 + 60 * HOUR) == 0
    assert gap.trims_in_seconds(MIGRATION, listing(ended, at=5), {ended: state(ended=True)}, None, DAY0) is None


def test_when_nothing_is_left_it_is_a_gap_and_not_before():
    shard = shard_id(0)
    seen, states = listing(shard, at=5), {shard: state(applied_to=2)}
    for hours in (5, 24.9, 25.1, 40):
        now = DAY0 + hours * HOUR
        left = gap.trims_in_seconds(MIGRATION, seen, states, None, now)
        assert (left == 0) == (gap.of_time(MIGRATION, seen, states, None, now) is not None)

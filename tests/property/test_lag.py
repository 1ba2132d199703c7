"""No false zero: a simulated stream, read by us late and in pieces, and the proof asked at every step."""

import random

import pytest

from daemon.control import ShardState
from daemon.lag import coverage, forgotten, uncovered
from daemon.source.shards import Shard, Stream

LATER = 1000.0
VISIBLE_SECONDS_MAX = 9


def stream(*shards, listed_at=LATER):
    return Stream("arn", "NEW_IMAGE", "ENABLED", 0.0, {s.id: s for s in shards}, listed_at)


def state(beat=0, *, ended=False, key=""):
    return ShardState(anchor=0, heartbeat_round=beat, ended=ended, heartbeat_key=key)


ROOT, LEFT, RIGHT = (
    Shard("root", None, closed=True),
    Shard("left", "root", closed=False),
    Shard("right", "root", closed=False),
)


def test_a_round_is_proven_when_it_came_through_every_leaf():
    states = {"root": state(ended=True), "left": state(5), "right": state(4)}
    assert coverage(stream(ROOT, LEFT, RIGHT), states, listed_after=9).proven_round == 4


def test_a_leaf_that_opened_after_the_round_is_covered_by_its_finished_parent():
    states = {"root": state(4, ended=True), "left": state(), "right": state()}
    assert coverage(stream(ROOT, LEFT, RIGHT), states, listed_after=9).proven_round == 4


def test_a_parent_that_is_not_read_to_its_end_proves_nothing():
    states = {"root": state(4), "left": state(5), "right": state(5)}
    seen = coverage(stream(ROOT, LEFT, RIGHT), states, listed_after=9)
    assert (seen.proven_round, "not read to their end" in seen.reason) == (0, True)


def test_a_shard_without_an_owner_proves_nothing():
    seen = coverage(stream(ROOT, LEFT, RIGHT), {"root": state(4, ended=True), "left": state(5)}, listed_after=9)
    assert (seen.proven_round, seen.shards_unowned) == (0, 1)


def test_a_listing_older_than_the_round_proves_only_the_rounds_before_it():
    states = {"root": state(ended=True), "left": state(7), "right": state(7)}
    assert coverage(stream(ROOT, LEFT, RIGHT), states, listed_after=6).proven_round == 6


def test_an_empty_listing_proves_nothing():
    assert coverage(stream(), {}, listed_after=9).proven_round == 0


def test_a_leaf_whose_key_is_unknown_is_counted_so_that_fresh_keys_are_tried():
    states = {"root": state(ended=True), "left": state(5, key="known"), "right": state()}
    assert uncovered(stream(ROOT, LEFT, RIGHT), states) == (["known"], [], 1)


def test_an_only_child_is_not_trusted_before_its_sibling_has_had_time_to_show():
    child = Shard("shardId-00000000000000995000-a", "root", closed=False)
    states = {"root": state(4, ended=True), child.id: state(5)}
    assert coverage(stream(ROOT, child, listed_at=1000.0), states, listed_after=9).proven_round == 0
    assert coverage(stream(ROOT, child, listed_at=1006.0), states, listed_after=9).proven_round == 5


def test_a_shards_record_is_dropped_only_when_no_child_can_still_inherit_from_it():
    states = {"root": state(ended=True), "left": state(5)}
    listed = stream(LEFT, RIGHT)
    assert forgotten(stream(ROOT, LEFT, RIGHT), states) == []
    assert forgotten(listed, states) == []
    states["right"] = state(5)
    assert [shard for shard, _ in forgotten(listed, states)] == ["root"]
    assert forgotten(listed, {**states, "root": state()}) == []


class Simulated:
    """A stream of four key ranges: shards roll over and split; listings are late; a reader applies records late."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.records = {"s0": []}  # shard -> [(write number or None, round or None)]
        self.shards = {"s0": Shard("s0", None, closed=False)}
        self.ranges = {"s0": frozenset(range(4))}
        self.read = {"s0": 0}
        self.states = {"s0": state()}
        self.open = {"s0"}
        self.now = 0
        self.visible_at = {"s0": 0}
        self.written = self.round = 0
        self.begun = {}
        self.listed, self.listed_after = stream(), 0

    def write(self):
        self.written += 1
        self._append(self.chance.randrange(4), (self.written, None))

    def beat(self):
        self.round += 1
        self.begun[self.round] = self.written
        for part in self.chance.sample(range(4), self.chance.randrange(1, 5)):
            if self.chance.random() < 0.3:
                self.reshape()  # a shard may close between two heartbeats of a round
            self._append(part, (None, self.round))
        self.listed = self._listing()
        self.listed_after = self.round

    def reshape(self):
        parent = self.chance.choice(sorted(self.open))
        ranges = sorted(self.ranges[parent])
        cut = len(ranges) // 2 if len(ranges) > 1 and self.chance.random() < 0.5 else 0
        self.open.discard(parent)
        self.shards[parent] = Shard(parent, self.shards[parent].parent, closed=True)
        for part in [ranges[:cut], ranges[cut:]]:
            if part:
                child = f"shardId-{self.now * 1000:020d}-{len(self.shards)}"
                self.visible_at[child] = self.now + self.chance.randrange(VISIBLE_SECONDS_MAX)
                self.shards[child] = Shard(child, parent, closed=False)
                self.ranges[child], self.records[child], self.read[child] = frozenset(part), [], 0
                self.open.add(child)

    def apply(self):
        ready = [s for s in self.shards if self._startable(s) and not self._ended(s)]
        if not ready:
            return
        shard = self.chance.choice(sorted(ready))
        known = self.states.get(shard, state())
        new = self.records[shard][self.read[shard] : self.read[shard] + self.chance.randrange(4)]
        self.read[shard] += len(new)
        beat = max([known.heartbeat_round, *(r for _, r in new if r)])
        at_end = self.shards[shard].closed and self.read[shard] == len(self.records[shard])
        self.states[shard] = state(beat, ended=at_end)

    def applied_through(self):
        applied = {n for s, records in self.records.items() for n, _ in records[: self.read[s]] if n}
        through = 0
        while through + 1 in applied:
            through += 1
        return through

    def step(self):
        self.now += self.chance.choice([0, 1, 3])
        self.chance.choice([self.write, self.write, self.beat, self.reshape, *[self.apply] * 6])()

    def _listing(self):
        """Eventually consistent: each shard shows some seconds after it opened, one child before the other."""
        shown = [s for name, s in self.shards.items() if self.visible_at[name] <= self.now]
        return stream(*shown, listed_at=float(self.now))

    def _append(self, part, entry):
        shard = next(s for s in self.open if part in self.ranges[s])
        self.records[shard].append(entry)

    def _startable(self, shard):
        parent = self.shards[shard].parent
        return parent is None or self._ended(parent)

    def _ended(self, shard):
        return shard in self.states and self.states[shard].ended


def false_zeros(seeds, proven):
    """How often the proof was false, and how often there was one."""
    wrong = claims = 0
    for seed in seeds:
        world = Simulated(seed)
        for _ in range(80):
            world.step()
            claimed = proven(world)
            claims += bool(claimed)
            wrong += bool(claimed) and world.applied_through() < world.begun[claimed]
    return wrong, claims


def test_no_proof_is_ever_false_whatever_rolls_over_splits_or_is_listed_late():
    wrong, claims = false_zeros(
        range(700), lambda world: coverage(world.listed, world.states, world.listed_after).proven_round
    )
    assert claims > 500
    assert wrong == 0


def seen_anywhere(world):
    """Planted: one heartbeat somewhere is taken for all."""
    return max((s.heartbeat_round for s in world.states.values()), default=0)


def siblings_not_waited_for(world):
    """Planted: an only child is taken for the whole family at once."""
    return coverage(world.listed, world.states, world.listed_after, sibling_seconds=0).proven_round


@pytest.mark.parametrize("bug", [seen_anywhere, siblings_not_waited_for])
def test_a_planted_weaker_proof_is_seen_to_be_false(bug):
    wrong, _ = false_zeros(range(500), bug)
    assert wrong

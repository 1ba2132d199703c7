"""The comparison under live writes: no false alarm, and every planted damage found."""

import pytest
from property.verify_world import B, World
from simulation.world import quiet

from daemon.verify.comparison import Shares
from daemon.verify.record import RUN, Run, RunState
from sinks.change import Change, Key

KINDS = ("missing", "extra", "stale", "changed")
SEEDS = range(12)
quiet()
EACH = 90  # of each kind in each world
OFTEN, ALL, NEVER = Shares(1.0, 0.05), Shares(1.0, 1.0), Shares(1.0, 1e-9)


def damaged(world, each=EACH):
    """Key -> the kind that was planted there."""
    planted = {}
    for kind in KINDS:
        keys = [key for key in world.quiet if key not in planted]
        world.chance.shuffle(keys)
        done = 0
        for key in keys:
            if done < each and world.damage(kind, key):
                planted[key] = kind
                done += 1
        assert done == each, (kind, done)
    return planted


def test_no_false_alarm_in_more_than_ten_thousand_comparisons_under_live_writes():
    compared = hot = 0
    for seed in SEEDS:
        world = World(seed, keys=800, live=300)
        run = world.compared(shares=ALL)
        assert run.state is RunState.FINISHED
        assert world.differences()["open"] == {}, seed
        compared, hot = compared + run.compared, hot + len(world.differences()["hot"])
    assert compared >= 10_000
    assert hot < compared / 100


def test_every_planted_damage_is_found_with_its_kind_and_nothing_else():
    found = dict.fromkeys(KINDS, 0)
    for seed in SEEDS:
        world = World(1000 + seed, keys=900, live=60)
        planted = damaged(world)
        run = world.compared(shares=ALL)
        standing = world.differences()["open"]
        assert {key: one.kind for key, one in standing.items()} == planted, seed
        assert run.state is RunState.FINISHED
        assert all(one.attributes == ["n"] for one in standing.values() if one.kind == "changed")
        for one in standing.values():
            found[one.kind] += 1
    assert min(found.values()) >= 1000, found


def test_a_run_tells_how_far_it_is_before_it_saves_and_what_it_waits_for():
    world = World(5, keys=900, live=60)
    damaged(world, each=5)
    pages, settling = [], []

    def page():
        world.now += 3  # a page in 3 s, say
        pages.append(world.control.get(RUN, Run)[0].looked_at)

    settle = world.wait_beyond
    world.wait_beyond = lambda begun: (settling.append(world.control.get(RUN, Run)[0]), settle(begun))
    ended = world.compared(shares=ALL, wanted=page)
    assert len(set(pages)) > 10
    assert pages == sorted(pages)
    assert all("row(s) in doubt" in one.stage for one in settling)
    assert settling[-1].looked_at == ended.looked_at


def test_damage_to_rows_of_the_backfill_is_found_without_a_sample_of_the_source():
    world = World(5, keys=600, live=60, may_scan=False)
    stored = world.sink.changes
    as_loaded = [key for key, _ in world.export if key in world.quiet and stored[key].version == B]
    planted = [key for key in as_loaded if world.damage(world.chance.choice(("changed", "missing", "stale")), key)]
    world.compared(shares=NEVER)
    assert set(world.differences()["open"]) == set(planted)
    assert len(planted) > 50


@pytest.mark.parametrize("may_scan", [True, False])
def test_an_update_that_was_never_applied_is_seen_at_the_source_only(may_scan):
    world = World(6, keys=300, live=1, may_scan=may_scan)
    lost = [key for key, _ in world.export if key in world.quiet and world.sink.changes[key].version == B][:40]
    for key in lost:
        world.source[key] = world._item(key, may_expire=False)
    may, world.may_scan = world.may_scan, False
    world.compared(1, NEVER)
    assert world.differences()["open"] == {}
    world.may_scan = may
    world.compared(2, ALL)
    assert {key: one.kind for key, one in world.differences()["open"].items()} == dict.fromkeys(lost, "stale")


def test_a_deletion_that_was_never_applied_is_seen_where_the_target_lists_its_rows():
    world = World(9, keys=300, live=1, ttl=False)
    lost = [key for key, _ in world.export if key in world.quiet and world.sink.changes[key].version == B][:40]
    for key in lost:
        del world.source[key]
    world.compared(1, NEVER)
    assert world.differences()["open"] == {}
    world.compared(2, ALL)
    assert {key: one.kind for key, one in world.differences()["open"].items()} == dict.fromkeys(lost, "extra")


def test_a_row_that_nobody_wrote_is_seen_without_reading_a_sample():
    world = World(10, keys=300, live=1, may_scan=False)
    foreign = [Key(f"foreign{number}") for number in range(30)]
    for key in foreign:
        world.sink.changes[key] = Change(key, B, world._item(key, may_expire=False))
    world.compared(1, NEVER)
    assert {key: one.kind for key, one in world.differences()["open"].items()} == dict.fromkeys(foreign, "extra")


def test_a_row_that_was_put_since_the_backfill_and_got_lost_is_seen_by_the_sample_only():
    world = World(8, keys=300, live=1)
    loaded = {key for key, _ in world.export}
    lost = [key for key in world.quiet if key in world.source and key not in loaded and world.damage("missing", key)]
    world.may_scan = False
    world.compared(1, ALL)
    assert world.differences()["open"] == {}
    world.may_scan = True
    world.compared(2, NEVER)
    assert {key: one.kind for key, one in world.differences()["open"].items()} == dict.fromkeys(lost, "missing")
    assert len(lost) > 5


def test_what_is_equal_again_does_not_stand_any_more_after_the_next_run():
    world = World(7, keys=600, live=40)
    planted = damaged(world, each=20)
    world.compared(1, ALL)
    for key in planted:
        world.write(key, world._item(key, may_expire=False))
    world.drain()
    run = world.compared(2, OFTEN)
    assert world.differences()["open"] == {}
    assert set(world.differences()["gone"]) == set(planted)
    assert run.clean is not None


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("seed", range(6))
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(seed):
    world = World(50 + seed, keys=700, live=40)
    planted = damaged(world, each=40)
    left = [world.chance.randrange(1, 12) for _ in range(6)]

    def wanted():
        if left:
            left[0] -= 1
            if left[0] < 0:
                left.pop(0)
                raise Killed

    run = None
    number = world.claim()
    while run is None:
        try:
            run = world.resumed(number, ALL, wanted)
        except Killed:
            continue
    assert {key: one.kind for key, one in world.differences()["open"].items()} == planted
    assert run.state is RunState.FINISHED


@pytest.mark.parametrize("at", range(30))
def test_what_was_in_doubt_when_a_process_was_killed_is_looked_at_again(at):
    # No sample may find it instead: only the files' rows are compared.
    world = World(70, keys=700, live=40, may_scan=False, ttl=False)
    stored = world.sink.changes
    as_loaded = [key for key, _ in world.export if key in world.quiet and stored[key].version == B]
    planted = [key for key in as_loaded[::3] if world.damage("changed", key)]
    calls = iter(range(1000))

    def wanted():
        if next(calls) == at:
            raise Killed

    number = world.claim()
    try:
        world.resumed(number, NEVER, wanted)
    except Killed:
        world.resumed(number, NEVER, lambda: None)
    assert set(world.differences()["open"]) == set(planted)
    assert len(planted) > 20


class Restless(World):
    """Little is quiet, and much happens between two reads."""

    def __init__(self, seed, **settings):
        super().__init__(seed, keys=10, live=120, **settings)
        self.toggling = self.live[:6]
        self.live = self.writing = self.live[6:]

    def step(self):
        if self.chance.random() < 0.2:
            key = self.chance.choice(self.toggling)
            self._event(key, None if key in self.source else self._item(key))
        super().step()

    def consistent(self, keys):
        self.steps(60)
        return super().consistent(keys)


def alarms(kind, seeds):
    found = 0
    for seed in range(seeds):
        world = kind(seed, ttl=False)
        world.compared(shares=ALL)
        found += len(world.differences()["open"])
    return found


def test_no_false_alarm_where_nearly_every_row_is_written_between_two_reads():
    assert alarms(Restless, 40) == 0


def test_a_watch_that_says_too_much_gives_false_alarms():
    # What is absent needs the watch: without it keys that come and go fool the rule.
    class Deceived(Restless):
        def untouched(self, keys):
            return set(keys)

    assert alarms(Deceived, 40) > 0


def test_where_no_proof_is_waited_for_there_are_false_alarms():
    class Impatient(Restless):
        def wait_beyond(self, begun):  # noqa: ARG002
            self.steps()

    assert alarms(Impatient, 10) > 0

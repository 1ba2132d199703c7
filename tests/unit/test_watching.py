"""Watching keys: what a shard says that it has seen, and what may be concluded from it."""

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from fakes import Checkpointer, Lease, MemoryControl, no_letters, page, record
from property.repair_world import World

from daemon.control import ShardState, shards_of
from daemon.kcl.processor import Claimed, ShardLost, ShardProcessor
from daemon.lineage import resumed
from daemon.source.stream import record_reader
from daemon.verify.run import Patient
from daemon.verify.watching import HELD_SECONDS, WATCH, Head, NotWatched, ShardWatch, Watch
from sinks.change import Key, KeyAttribute, KeySchema
from sinks.memory import MemorySink

KEYS = KeySchema(KeyAttribute("id", "S"))
A, B, C = Key("a"), Key("b"), Key("c")


class Time:
    """A clock on which whoever waits lets the shards act."""

    def __init__(self):
        self.now, self.idle = 1_700_000_000.0, lambda: None

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds
        self.idle()


class AwayControl(MemoryControl):
    """A control table that can be away for those who look at the watch."""

    away = False

    def get(self, record, kind):
        if self.away and record == WATCH:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "away"}}, "GetItem")
        return super().get(record, kind)


class Moved:
    """Some shards of a generation, each with a process when `start` made one."""

    def __init__(self, *shards):
        self.clock, self.control = Time(), AwayControl()
        self.processes, self.leases, self.number = {}, {}, 0
        for shard in shards:
            self.control.put(shards_of(1) + shard, ShardState(anchor=0), 0)
        self.watch = Watch(self.control, 1, self.clock)
        self.clock.idle = self.idle

    def start(self, shard):
        lease = self.leases.setdefault(shard, Lease())
        made = ShardProcessor(
            claim=self._claim,
            open_sink=lambda: None,
            read=record_reader(KEYS),
            apply=MemorySink().apply,
            keep=no_letters,
            checkpoint_seconds=1,
            clock=self.clock,
            watch=ShardWatch(self.control, self.clock),
        )
        made.initialize(SimpleNamespace(shard_id=shard, sequence_number=lease.checkpoint))
        self.processes[shard] = made
        return made

    def _claim(self, shard, after):
        where = shards_of(1) + shard
        found = self.control.get(where, ShardState) or (ShardState(anchor=0), 0)
        put = lambda state, revision: self.control.put(where, state, revision)  # noqa: E731
        claimed = Claimed(*found, put, resumed(shard, found[0], after), self.clock)
        claimed.claim(f"process {self.clock.now}")
        return claimed

    def idle(self):
        """Every process gets an empty page, as the KCL gives one to an idle shard."""
        for shard in self.processes:
            self.deliver(shard)

    def deliver(self, shard, *keys):
        records = []
        for key in keys:
            self.number += 1
            records.append(record(self.number, "INSERT", key, {"n": {"N": "1"}}))
        self.processes[shard].process_records(page(records, Checkpointer(self.leases[shard])))

    def state(self, shard):
        return self.control.get(shards_of(1) + shard, ShardState)[0]


def test_a_watch_begins_when_every_shard_says_so_and_idle_ones_say_it_soon():
    moved = Moved("one", "two")
    moved.start("one")
    moved.start("two")
    moved.idle()  # the first page is saved in any case
    began = moved.clock.now
    made = moved.watch.begin([A, B])
    assert {moved.state("one").watch, moved.state("two").watch} == {made}
    assert moved.clock.now - began < 5


def test_a_key_that_has_an_event_is_touched_when_its_position_is_durable_and_others_are_not():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A, B])
    moved.deliver("one", "a", "c")
    moved.clock.sleep(2)
    assert moved.watch.untouched([A, B]) == {B}


def test_what_came_before_the_watch_touches_nothing():
    moved = Moved("one")
    moved.start("one")
    moved.deliver("one", "a")
    moved.watch.begin([A])
    moved.clock.sleep(2)
    assert moved.watch.untouched([A]) == {A}


def test_a_shard_that_nobody_reads_keeps_the_watch_from_beginning():
    moved = Moved("one", "two")
    moved.start("one")
    with pytest.raises(NotWatched, match=r"1 of 2 shard\(s\) have not begun to watch, the first being two"):
        moved.watch.begin([A])


def test_what_a_process_has_seen_is_known_to_the_one_after_it():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.deliver("one", "a")
    moved.clock.sleep(2)
    moved.start("one")
    moved.clock.sleep(2)
    assert moved.watch.untouched([A]) == set()


def test_the_next_process_watches_before_its_first_record_also_when_it_applies_at_once():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.start("one")
    moved.deliver("one", "a")
    moved.clock.sleep(2)
    assert moved.watch.untouched([A]) == set()


def test_a_process_that_cannot_learn_what_is_watched_does_not_start():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.control.away = True
    with pytest.raises(ClientError):
        moved.start("one")


def test_while_the_control_table_is_away_a_running_process_goes_on_watching():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.control.away = True
    moved.clock.sleep(2)
    moved.deliver("one", "a")
    moved.clock.sleep(2)
    moved.control.away = False
    assert moved.watch.untouched([A]) == set()


def test_a_zombie_cannot_say_that_it_watches():
    moved = Moved("one")
    zombie = moved.start("one")
    moved.start("one")
    moved.watch.begin([A])
    with pytest.raises(ShardLost):
        zombie.process_records(page([], Checkpointer(moved.leases["one"])))


def test_a_child_that_begins_later_watches_from_its_first_record():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A, B])
    moved.start("child")
    assert moved.watch.untouched([A, B]) == {A, B}
    moved.deliver("child", "b")
    moved.clock.sleep(2)
    assert moved.watch.untouched([A, B]) == {A}


def test_another_watch_waits_for_the_one_that_is_under_way_and_takes_over_from_one_that_died():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    other = Watch(moved.control, 1, moved.clock)
    began = moved.clock.now
    other.begin([B])
    assert moved.clock.now - began >= HELD_SECONDS
    assert moved.watch.untouched([A]) == set()
    assert other.untouched([B]) == {B}


def test_a_watch_that_has_ended_lets_another_begin_at_once_and_nothing_is_watched():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.watch.end()
    moved.clock.sleep(2)
    assert moved.state("one").watch == ""
    began = moved.clock.now
    Watch(moved.control, 1, moved.clock).begin([B])
    assert moved.clock.now - began < 5


def test_the_watch_of_another_that_took_its_place_leaves_nothing_known():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.control.update(WATCH, Head, lambda _: Head("someone else's", moved.clock.now + 60))
    moved.clock.sleep(3)
    assert moved.watch.untouched([A]) == set()


def test_a_shard_whose_record_is_gone_leaves_nothing_known():
    moved = Moved("one", "two")
    moved.start("one")
    moved.start("two")
    moved.watch.begin([A])
    states = moved.watch.states()
    del states["two"]
    assert moved.watch.untouched([A], states) == set()


def test_a_watch_is_answered_for_no_longer_than_it_is_held():
    moved = Moved("one")
    moved.start("one")
    moved.watch.begin([A])
    moved.clock.now += HELD_SECONDS
    assert moved.watch.untouched([A]) == set()


def test_no_event_in_a_window_stays_unseen_in_a_world_in_which_processes_die():
    unseen = windows = 0
    for seed in range(20):
        world = World(seed, keys=6, writes=0.1)
        for _ in range(4):
            watch = Watch(world.control, 1, world)
            keys = [Key(key) for key in world.keys]
            watch.begin(keys)
            before = {key: world.source.get(key.partition) for key in keys}
            world.sleep(5)
            written = {key for key in keys if world.source.get(key.partition) != before[key]}
            world.settle()
            world.sleep(3)
            unseen += len(written & watch.untouched(keys))
            windows += 1
            watch.end()
    assert (unseen, windows) == (0, 80)


def test_a_verification_that_is_not_watched_yet_knows_of_no_key_and_asks_again():
    moved = Moved("one")
    patient = Patient(moved.watch)
    assert (patient.begin([A]), patient.untouched([A])) == ("", set())
    patient.end()
    moved.clock.now += HELD_SECONDS
    moved.start("one")
    assert patient.begin([A])
    assert patient.untouched([A]) == {A}
    patient.end()
    assert patient.untouched([A]) == set()

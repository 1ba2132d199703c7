"""Events are told at least once, in order, with the same id, whatever fails or crashes between two of the steps."""

import random
import threading

import documents
import msgspec
import pytest
from receiver import Receiver, Reply

from daemon.control import Conflict
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.sections import Hook
from daemon.signal import events
from daemon.signal.document import iso
from daemon.signal.hooks import deliver
from daemon.signal.outbox import PENDING_BYTES_MAX, PENDING_MAX, Delivery, Outbox, _bounded
from daemon.switching import Entry, Step, Switch

ALL = ("phase", "ready", "route", "switch")


class Records:
    """The control table's records, by compare-and-set; `refuse` makes the next write a refusal."""

    def __init__(self):
        self.held, self.refuse = {}, 0

    def get(self, record, kind):
        del kind
        return self.held.get(record)

    def put(self, record, value, revision):
        if self.refuse:
            self.refuse -= 1
            raise Conflict("somebody was quicker")
        assert self.held.get(record, (None, 0))[1] == revision
        self.held[record] = (value, revision + 1)
        return revision + 1

    def update(self, record, kind, change):
        value, revision = self.get(record, kind) or (None, 0)
        self.put(record, change(value), revision)
        return self.held[record][0]


class Clock:
    """Moves when told to; whoever sleeps is not kept."""

    def __init__(self):
        self.now = 1000.0

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds


class Told:
    """Notes what a hook is told; `answers` are the reasons of its refusals, None where it takes."""

    def __init__(self, *answers):
        self.answers, self.events = list(answers), []

    def __call__(self, hook, event):
        assert hook is not None
        self.events.append(event)
        return self.answers.pop(0) if self.answers else None

    @property
    def ids(self):
        return [event.id for event in self.events]


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service(records, clock):
    """A replica; another call is one that starts after it."""

    def started(tell, *hooks):
        asked = hooks or (Hook(on=ALL, exec=["/x"]),)
        return Delivery(asked, records, clock, random.Random(1), tell)

    return started


def turn(delivery, document):
    """One turn of the loop, and what it has started beside it, to its end."""
    delivery.offer(document)
    settle()


def settle():
    for thread in threading.enumerate():
        if thread.name.startswith("hook#"):
            thread.join(30)
            assert not thread.is_alive()


def box(records, number=0):
    return records.held[f"hook#{number}"][0]


def test_every_change_is_told_once_in_order_and_what_has_not_changed_is_not_told(service):
    told = Told()
    replica = service(told)
    turn(replica, documents.published(1.0, phase=Phase.BACKFILLING))
    turn(replica, documents.published(2.0, phase=Phase.BACKFILLING))
    turn(replica, documents.published(3.0))
    turn(replica, documents.published(4.0, ready=True))
    turn(replica, documents.published(5.0, ready=True, epoch=1, routes=Routes(10)))
    turn(replica, documents.published(6.0, epoch=2, routes=Routes(10, writes_fenced=True)))
    assert [(event.type, event.subject) for event in told.events] == [
        ("moveout.phase", "backfilling"),
        ("moveout.phase", "replicating"),
        ("moveout.ready.readers", "true"),
        ("moveout.route.readers", "10"),
        ("moveout.route.writers", "fenced"),
        ("moveout.ready.readers", "false"),
    ]


def test_a_hook_is_told_only_of_what_it_asked_for_and_a_pre_hook_of_nothing_that_has_happened(service):
    told = Told()
    turn(
        service(told, Hook(on=["ready"], exec=["/x"]), Hook(on=["route"], pre=True, exec=["/y"])),
        documents.published(1.0, ready=True, epoch=1, routes=Routes(10)),
    )
    assert [event.type for event in told.events] == ["moveout.ready.readers"]


def test_a_crash_after_it_was_told_and_before_that_is_noted_tells_it_again_with_the_same_id(service, records):
    told = Told()

    def crashing(hook, event):
        records.refuse = 1  # told, and gone before that is written
        return told(hook, event)

    turn(service(crashing), documents.published(1.0, phase=Phase.BACKFILLING))
    assert box(records).delivered == ""
    again = Told()
    turn(service(again), documents.published(60.0, phase=Phase.BACKFILLING))
    assert again.ids == told.ids == ["orders/0/moveout.phase/backfilling/" + iso(1.0)]
    assert again.events == told.events
    assert box(records).delivered == told.ids[0]


def test_what_happened_while_nobody_could_be_told_is_told_after_a_restart(service):
    away = Told(*["away"] * 50)
    replica = service(away)
    turn(replica, documents.published(1.0, phase=Phase.BACKFILLING))
    turn(replica, documents.published(2.0))
    turn(replica, documents.published(3.0, ready=True))
    told = Told()
    turn(service(told), documents.published(9.0, ready=True))
    assert [event.subject for event in told.events] == ["backfilling", "replicating", "true"]
    assert told.ids[0] == away.ids[0]


def test_a_refusal_is_tried_again_later_and_later_and_never_sooner(service, clock):
    told = Told(*["no"] * 6)
    replica = service(told)
    document = documents.published(1.0)
    waited = []
    for _ in range(6):
        begun = clock.now
        while len(told.events) <= len(waited):
            turn(replica, document)
            clock.now += 0.25
        waited.append(clock.now - begun)
    assert waited[0] <= 0.25
    for number, seconds in enumerate(waited[1:]):
        assert 2**number / 2 <= seconds <= 2**number + 0.5
    assert len(set(told.ids)) == 1


def test_how_often_it_was_tried_outlives_a_restart_and_after_the_last_attempt_the_next_event_has_its_turn(
    service, records
):
    hook = Hook(on=ALL, exec=["/x"], attempts=2)
    told = Told("no", "no")
    turn(service(told, hook), documents.published(1.0, ready=True))
    assert box(records).tries == 1
    turn(service(told, hook), documents.published(1.0, ready=True))
    assert [event.type for event in told.events] == ["moveout.phase", "moveout.phase", "moveout.ready.readers"]
    assert (box(records).given_up, box(records).pending) == (1, ())


def test_a_web_server_that_fails_and_recovers_gets_one_event_several_times_and_then_the_next(service, clock):
    with Receiver(Reply(500), Reply(drop=True), Reply(200)) as receiver:
        hook = Hook(on=ALL, webhook={"url": receiver.url})
        replica = service(deliver, hook)
        for _ in range(3):
            turn(replica, documents.published(1.0, ready=True))
            clock.now += 100
        ids = [request.event["id"] for request in receiver.requests]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert len(ids) == 4
    assert receiver.requests[0].body == receiver.requests[2].body


def test_no_step_of_the_switch_is_missed_though_several_pass_between_two_looks(service):
    told = Told()
    replica = service(told, Hook(on=["switch"], exec=["/x"]))
    steps = [Entry(float(at), step, "") for at, step in enumerate(Step)]
    for known in (1, 4, len(Step)):
        turn(
            replica,
            documents.published(float(known), switch=Switch("cut-1", steps[known - 1].step, 1, 2, steps[:known])),
        )
    turn(replica, documents.published(20.0, switch=Switch("cut-2", Step.FENCE, 1, 2, steps[:1])))
    assert [event.type for event in told.events] == [f"moveout.switch.{step.value}" for step in [*Step, Step.FENCE]]
    assert len(set(told.ids)) == len(Step) + 1
    assert told.events[3].time == "1970-01-01T00:00:03.000Z"


def test_a_phase_that_comes_again_is_an_event_of_its_own(service):
    told = Told()
    replica = service(told)
    for at, phase in enumerate((Phase.REPLICATING, Phase.NEEDS_RESYNC, Phase.REPLICATING)):
        turn(replica, documents.published(float(at), phase=phase))
    assert len(set(told.ids)) == 3


def test_a_leader_of_before_neither_tells_of_the_past_nor_takes_back_what_is_noted(service, records):
    new, old = Told(), Told()
    former, leader = service(old), service(new)
    turn(former, documents.published(1.0, epoch=1))
    turn(leader, documents.published(5.0, epoch=2, routes=Routes(10)))
    before = box(records)
    turn(former, documents.published(9.0, epoch=1, ready=True))
    assert box(records) == before
    assert [event.type for event in old.events] == ["moveout.phase"]


def test_what_is_not_noted_is_not_told_and_is_noted_at_the_next_turn(service, records):
    told = Told()
    replica = service(told)
    records.refuse = 1
    turn(replica, documents.published(1.0))
    assert told.events == []
    turn(replica, documents.published(2.0))
    assert [event.subject for event in told.events] == ["replicating"]


def test_told_but_not_noted_is_told_again_after_a_pause_and_not_at_every_turn(service, records, clock):
    told = Told()

    def tell(hook, event):
        records.refuse = 1
        return told(hook, event)

    replica = service(tell)
    turn(replica, documents.published(1.0))
    turn(replica, documents.published(1.0))
    assert len(told.events) == 1
    clock.now += 60
    turn(replica, documents.published(1.0))
    assert len(told.events) == 2
    assert told.ids[0] == told.ids[1]


def test_another_hook_in_its_place_begins_with_what_is_and_not_with_what_waits(service):
    turn(service(Told("away"), Hook(on=ALL, exec=["/x"])), documents.published(1.0, phase=Phase.BACKFILLING))
    told = Told()
    turn(service(told, Hook(on=ALL, exec=["/another"])), documents.published(5.0))
    assert [event.subject for event in told.events] == ["replicating"]


def test_one_hook_that_is_away_keeps_no_other_waiting(service):
    told = []

    def tell(hook, event):
        told.append((hook.exec, event.type))
        return "away" if hook.exec == ("/away",) else None

    turn(
        service(tell, Hook(on=ALL, exec=["/away"]), Hook(on=ALL, exec=["/there"])), documents.published(1.0, ready=True)
    )
    assert (("/there",), "moveout.ready.readers") in told


def test_of_several_tables_each_has_events_of_its_own_beside_those_of_all(service):
    told = Told()
    tables = tuple(documents.published(1.0, name=f"shop.{name}", table=name) for name in ("orders", "customers"))
    turn(service(told), msgspec.structs.replace(documents.published(1.0, name="shop"), tables=tables))
    assert [event.source for event in told.events] == [
        "/moveout/shop",
        "/moveout/shop.orders",
        "/moveout/shop.customers",
    ]
    assert b'"tables":[]' in bytes(told.events[0].data)


def test_what_waits_fits_into_a_record_and_the_oldest_goes_first():
    def event(number, size=10):
        return events.Event(str(number), "moveout.phase", "", "", "", msgspec.Raw(b"0" * size))

    many = [event(number) for number in range(PENDING_MAX + 7)]
    assert _bounded(many) == (tuple(many[7:]), tuple(many[:7]))
    large = [event(number, PENDING_BYTES_MAX // 4) for number in range(6)]
    assert _bounded(large) == (tuple(large[2:]), tuple(large[:2]))
    assert _bounded([event(1, PENDING_BYTES_MAX * 2)])[1] == ()
    assert _bounded([]) == ((), ())


def test_a_record_comes_back_from_json_as_it_was():
    kept = Outbox(
        pending=tuple(events.since({}, documents.published(1.0, ready=True))), seen=events.seen(documents.published())
    )
    again = msgspec.json.decode(msgspec.json.encode(kept), type=Outbox)
    assert msgspec.json.encode(again) == msgspec.json.encode(kept)
    assert [events.encoded(one) for one in again.pending] == [events.encoded(one) for one in kept.pending]

"""What the switch of the writers asks of a shard's process, and what a process makes of it."""

import json
from types import SimpleNamespace

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError
from fakes import Checkpointer, FlakySink, Lease, MemoryControl, no_letters, page, record
from scanned_table import SimulatedTime

from daemon import stray
from daemon.control import Migration, Position, ShardState
from daemon.freeze import DETECT, GO_ON, WAIT, Freeze, Orders, orders
from daemon.kcl.processor import Claimed, ShardProcessor
from daemon.phase import Phase
from daemon.retry import Abandoned
from daemon.source.stream import VersionClock, record_reader
from daemon.stray import STRAYS, Stray
from daemon.switching import Step, Switch
from sinks.change import Key, KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))


def migration(phase, step=Step.FREEZE, epoch=9):
    return Migration(phase=phase, generation=1, switch=Switch("x", step, 0.0, 9.0, frozen_epoch=epoch))


def test_only_the_step_freeze_of_a_switch_under_way_holds_a_shard():
    assert orders(migration(Phase.SWITCHING), 1) == Orders(hold=True, acknowledge=9)
    for step in (Step.FENCE, Step.DRAIN, Step.VERIFY, Step.CLOCK, Step.UNFENCE):
        assert orders(migration(Phase.SWITCHING, step), 1) is GO_ON
    assert orders(migration(Phase.REPLICATING), 1) is GO_ON
    assert orders(migration(Phase.SWITCHED), 1) is DETECT
    assert orders(migration(Phase.REPLICATING), 2) is GO_ON  # of a generation that the service ends
    for phase in (Phase.SWITCHING, Phase.SWITCHED):  # its service may hang, and nobody asks it for an acknowledgement
        assert orders(migration(phase), 2) is WAIT
    with pytest.raises(Abandoned, match="aborted"):
        orders(migration(Phase.ABORTED), 1)
    with pytest.raises(Abandoned, match="aborted"):
        orders(migration(Phase.ABORTED), 2)


class Away(MemoryControl):
    away = False

    def get(self, record, kind):
        if self.away:
            raise EndpointConnectionError(endpoint_url="nowhere")
        return super().get(record, kind)


def test_a_process_that_is_cut_off_from_the_control_table_stands_still():
    clock, control = SimulatedTime(), Away()
    control.put("migration", migration(Phase.REPLICATING), 0)
    freeze = Freeze(SimpleNamespace(clock=clock, control=control), 1)
    assert freeze() is GO_ON
    control.away = True
    clock.now += 3
    assert freeze() is WAIT
    assert not freeze().stands_still  # and it does not say that anybody has asked for it


class Shard:
    """A processor over a memory sink, whose orders are the test's."""

    def __init__(self, state=None):
        self.clock, self.sink, self.lease = SimulatedTime(), FlakySink(), Lease()
        self.checkpointer, self.saved, self.orders = Checkpointer(self.lease), [], GO_ON
        self.strays, self.opened, self.state = [], 0, state or ShardState(anchor=0, frozen_epoch=5)

    def begin(self):
        claimed = Claimed(self.state, 0, self._put, version=0, clock=self.clock)
        claimed.claim("me")
        self.inner = ShardProcessor(
            claim=lambda *_: claimed,
            open_sink=self._open,
            read=record_reader(KEYS),
            apply=self.sink.apply,
            keep=no_letters,
            checkpoint_seconds=0,
            clock=self.clock,
            orders=lambda: self.orders,
            keep_stray=lambda _, event, json: self.strays.append((event.sequence, json)),
        )
        self.inner.initialize(SimpleNamespace(shard_id="s", sequence_number="TRIM_HORIZON"))
        return self

    def _open(self):
        self.opened += 1

    def _put(self, state, revision):
        self.saved.append(state)
        return revision + 1

    def deliver(self, *records):
        self.inner.process_records(page(records, self.checkpointer))


def put(number, key="a"):
    return record(number, "INSERT", key, {"n": {"N": "1"}})


def beat(number, proof_round):
    return record(number, "MODIFY", "moveout#heartbeat#1", {"moveout:round": {"N": str(proof_round)}})


def expiry(number):
    return record(number, "REMOVE", "x", userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"})


def test_a_claim_takes_back_what_the_owner_before_has_acknowledged():
    shard = Shard().begin()
    assert (shard.saved[0].frozen_epoch, shard.saved[0].claimed_at) == (0, shard.clock.now)


def test_what_was_applied_is_durable_with_the_acknowledgement():
    shard = Shard().begin()
    shard.inner._checkpoint_seconds = 3600
    shard.inner._saved_at = shard.clock.now
    shard.deliver(put(1))
    shard.orders = Orders(hold=True, acknowledge=9)
    shard.deliver()
    assert (shard.saved[-1].frozen_epoch, shard.saved[-1].positions[-1].sequence) == (9, f"{1:021d}")
    assert shard.lease.checkpoint == f"{1:021d}"


def test_after_it_has_acknowledged_nothing_is_applied_until_the_orders_change():
    shard = Shard().begin()
    shard.orders = Orders(hold=True, acknowledge=9)
    seen = []

    def asleep():
        seen.append((shard.saved[-1].frozen_epoch, dict(shard.sink.changes)))
        if len(seen) == 3:
            shard.orders = GO_ON

    shard.clock.asleep = asleep
    shard.deliver(put(1))
    assert seen == [(9, {})] * 3
    assert set(shard.sink.changes) == {Key("a")}


def test_a_replay_after_the_switch_is_no_stray_and_a_write_behind_it_is_one():
    applied = ShardState(anchor=0, positions=[Position(f"{2:021d}", 5)])
    shard = Shard(applied)
    shard.orders = DETECT
    shard.begin()
    shard.deliver(put(1), put(2), put(3), expiry(4), beat(5, 8))
    assert [sequence for sequence, _ in shard.strays] == [f"{3:021d}"]
    assert (shard.saved[-1].strays, shard.saved[-1].heartbeat_round, shard.saved[-1].expired) == (1, 8, 1)
    assert not shard.sink.changes
    assert shard.lease.checkpoint == f"{5:021d}"


def test_a_process_that_only_detects_does_not_open_the_target_which_is_the_applications_by_now():
    shard = Shard()
    shard.orders = DETECT
    shard.begin().deliver(put(1))
    assert shard.opened == 0
    other = Shard().begin()
    other.deliver(put(1))
    other.deliver(put(2))
    assert other.opened == 1


def rounds(*records, state=None):
    shard = Shard(state).begin()
    shard.deliver(*records)
    return shard.saved[-1].quiet_since_round


def test_quiet_begins_with_the_first_round_after_the_last_write_of_the_application():
    assert rounds(beat(1, 4), beat(2, 5)) == 4
    assert rounds(beat(1, 4), put(2), beat(3, 5), beat(4, 6)) == 5
    assert rounds(beat(1, 4), put(2)) == 0
    assert rounds(beat(1, 4), expiry(2), beat(3, 5)) == 4  # DynamoDB's own deletion


def test_a_second_heartbeat_of_a_round_that_was_seen_before_the_write_proves_nothing():
    assert rounds(beat(1, 4), put(2), beat(3, 4)) == 0
    # Nor does a replay of rounds that are known.
    assert rounds(put(2), beat(3, 7), state=ShardState(anchor=0, heartbeat_round=7, quiet_since_round=6)) == 0


def test_a_stray_is_kept_once_with_both_images_and_a_large_one_lies_where_dead_letters_do():
    control, box = MemoryControl(), {}

    def to_box(name, body):
        box[name] = body
        return f"box/{name}"

    known = SimpleNamespace(control=control, letter_box=SimpleNamespace(put=to_box))
    images = {"NewImage": {"id": {"S": "a"}, "n": {"N": "2"}}, "OldImage": {"id": {"S": "a"}, "n": {"N": "1"}}}
    large = {**images, "NewImage": {"id": {"S": "a"}, "n": {"S": "x" * stray.INLINE_BYTES_MAX}}}
    for number, of in ((1, images), (1, images), (2, large)):
        body = json.loads(put(number).binary_data)
        body["dynamodb"].update(of)
        raw = json.dumps(body).encode()
        event = record_reader(KEYS)(raw, f"{number:021d}", VersionClock(0))
        stray.keep(known, "shard-1", event, raw)
    small, big = (kept for kept, _ in control.all(STRAYS, Stray).values())
    assert (msgspec.json.decode(small.old)["n"], msgspec.json.decode(small.new)["n"]) == ({"N": "1"}, {"N": "2"})
    assert (big.body, bytes(big.new), len(box)) == (f"box/stray-shard-1-{2:021d}", b"null", 1)

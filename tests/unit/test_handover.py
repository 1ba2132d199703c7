"""The leader's hands in the switch: what is late or hangs must never keep a fence up, nor take one down."""

from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest
from fakes import MemoryControl
from unit.managed_export import Clock, configured

from daemon import resync
from daemon.control import Migration, Proof, ShardState, Sweep
from daemon.handover import Handover
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.prove import Seen
from daemon.routes import Routes
from daemon.source.shards import Shard, Stream
from daemon.switching import Entry, Step, Switch

STREAM = Stream("arn/stream/1", "NEW_IMAGE", "ENABLED", 0.0, {"s": Shard("s", None, closed=False)})
NOTHING_SEEN = Seen(Proof(), {})


class Source:
    """The table, and its stream that nobody has closed yet."""

    def describe_table(self, **_):
        about = {"LatestStreamArn": STREAM.arn, "StreamSpecification": {"StreamEnabled": True}}
        keys = {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }
        return {"Table": {**about, **keys, "TableArn": "arn"}}

    def describe_stream(self, **_):
        told = {"StreamViewType": "NEW_IMAGE", "StreamStatus": "ENABLED", "Shards": []}
        return {"StreamDescription": {**told, "CreationRequestDateTime": datetime.now(UTC)}}


def switching(step, phase=Phase.SWITCHING, **about):
    made = Switch("one", step, 0.0, 1e12, (Entry(1.0, step, step.value),), **about)
    return Migration(
        phase=phase, routes=Routes(100, writes_fenced=True), epoch=5, generation=1, stream_arn=STREAM.arn, switch=made
    )


class Beside:
    """Runs at once what is begun; the work named in `hangs` begins and does not end."""

    def __init__(self, act, hangs):
        self.act, self.hangs, self.busy = act, hangs, False

    def start(self):
        if self.busy:
            return
        self.busy = self.hangs()
        if not self.busy:
            self.act()


class Leader:
    def __init__(self, migration, fence=None):
        self.control, self.clock, self.hangs = MemoryControl(), Clock(), False
        self.control.put("migration", migration, 0)
        self.clock.monotonic = self.clock.time
        known = SimpleNamespace(
            control=self.control,
            config=configured(),
            clock=self.clock,
            dynamodb=Source(),
            streams=Source(),
            fences=lambda: [fence] if fence else [],
            sink=self._sink,
        )
        made = SimpleNamespace(beside=lambda _name, act, _every: Beside(act, lambda: self.hangs))
        self.handover = Handover(known, made)

    def _sink(self, **_):
        raise CheckFailed("the table cannot be described")

    def turn(self, migration, seen=NOTHING_SEEN):
        return self.handover.turn(migration, seen)


def test_a_final_check_that_hangs_does_not_keep_the_stream_closed_and_the_fence_up():
    # The target was away: the thread that waited for it was the one that was to open the stream again.
    leader = Leader(switching(Step.VERIFY, sealing=True))
    leader.hangs = True
    leader.turn(switching(Step.VERIFY, sealing=True))
    leader.hangs = False
    back = switching(Step.REOPEN, sealing=True, failed="they differ")
    assert leader.turn(back).switch.step is Step.UNFENCE


class LateFence:
    """Its answer to `hold` comes when the switch is somewhere else already."""

    def __init__(self, then):
        self.then, self.leader, self.held = then, None, False

    def hold(self, _attempt):
        self.held = True
        revision = self.leader.control.get("migration", Migration)[1]
        self.leader.control.put("migration", self.then, revision)

    def lift(self, _attempt, _writes):
        self.held = False


@pytest.mark.parametrize(
    ("then", "held"),
    [
        (switching(Step.DRAIN), True),
        (switching(Step.REOPEN, sealing=True), True),  # what is written now is in no stream
        (msgspec.structs.replace(switching(Step.DRAIN), switch=Switch("two", Step.DRAIN, 0.0, 9.0)), True),
        (switching(Step.UNFENCE), False),
        (switching(Step.DONE, Phase.REPLICATING), False),
        (switching(Step.UNFENCE, Phase.ABORTED), False),
    ],
    ids=["held in time", "the stream is closed yet", "another switch relies on it", "undone", "over", "aborted"],
)
def test_a_fence_that_was_held_late_is_lifted_exactly_where_nobody_relies_on_it(then, held):
    fence = LateFence(then)
    leader = fence.leader = Leader(switching(Step.FENCE), fence)
    leader.turn(switching(Step.FENCE))
    assert fence.held is held


def test_what_the_work_of_a_step_is_refused_is_told():
    # The thread died of it, was begun again, and the operator read "waiting for: the final check" to the deadline.
    leader = Leader(switching(Step.VERIFY))
    told = leader.turn(switching(Step.VERIFY), NOTHING_SEEN)
    assert told.switch.waits_for == "the table cannot be described"


def look(number, since, heartbeat):
    state = ShardState(anchor=0, quiet_since_round=since, heartbeat_round=heartbeat)
    return Seen(Proof(round=number, proven_round=heartbeat, applied_through=1.0), {"s": state}, STREAM)


def test_the_window_is_between_the_heartbeats_however_long_the_leader_takes_to_look():
    draining = switching(Step.DRAIN)
    leader = Leader(draining)
    window = configured().cutover.window_seconds
    leader.turn(draining, look(4, 4, 4))
    leader.clock.now += 1
    leader.turn(draining, look(5, 5, 5))
    leader.clock.now += window + 5  # round 6 is written a second after 5, and listing the stream takes for ever
    assert leader.turn(draining, look(6, 5, 6)).switch.step is Step.DRAIN
    leader.clock.now += 1
    assert leader.turn(draining, look(7, 5, 7)).switch.step is Step.VERIFY


def test_a_resync_does_not_take_back_that_readers_were_sent_to_the_source_while_it_began():
    # It read the manifests meanwhile, and wrote the routes of before: at the same epoch, to a target with a gap.
    control = MemoryControl()
    gapped = Migration(phase=Phase.NEEDS_RESYNC, generation=1, routes=Routes(100), epoch=5)
    back = msgspec.structs.replace(gapped, routes=Routes(0), epoch=6)
    control.put("migration", back, 0)
    known = SimpleNamespace(control=control, clock=Clock())
    begun = resync._begin(known, gapped, SimpleNamespace(stream=STREAM), resync.Load([], 0.0, 9, Sweep(9, 8)))
    assert (begun.phase, begun.routes, begun.epoch) == (Phase.ANCHORED, Routes(0), 6)

"""What may be said of a stream that nobody writes heartbeats to: that it is quiet, and never that this is a proof."""

from types import SimpleNamespace

import msgspec
import pytest
from fakes import Checkpointer, Lease, MemoryControl, page, record

from daemon import gap
from daemon.control import Migration, Position, Proof, ShardState
from daemon.cutover import Limits, Observation, conditions, lag_seconds
from daemon.empties import Empties
from daemon.kcl.processor import Claimed, ShardProcessor
from daemon.phase import Phase
from daemon.quiet import Watcher, concluded, quiet
from daemon.resync import complete_until
from daemon.signal.document import Document, Progress, Tail, document
from daemon.source.shards import Shard, Stream
from daemon.source.stream import record_reader
from sinks.change import KeyAttribute, KeySchema

NOW = 1_700_000_000.0
KEYS = KeySchema(KeyAttribute("id", "S"))
ROOT, LEFT, RIGHT = (
    Shard("root", None, closed=True),
    Shard("left", "root", closed=False),
    Shard("right", "root", closed=False),
)
LISTED = Stream("arn", "NEW_IMAGE", "ENABLED", 0.0, {s.id: s for s in (ROOT, LEFT, RIGHT)}, NOW)


def empty(polls, since, until):
    return ShardState(anchor=0, empty_polls=polls, empty_since=NOW - since, empty_until=NOW - until)


STATES = {
    "root": ShardState(anchor=0, ended=True),
    "left": empty(200, since=90, until=2),
    "right": empty(10, since=70, until=1),
}


def test_every_open_shard_empty_ten_times_over_a_minute_is_quiet_until_the_last_poll_of_all():
    seen = quiet(LISTED, STATES)
    assert (seen.since, seen.through) == (NOW - 70, NOW - 2)
    assert "not proven" in seen.reason


@pytest.mark.parametrize(
    ("shard", "state"),
    [
        ("right", empty(9, since=70, until=1)),
        ("right", empty(500, since=60, until=1)),
        ("right", ShardState(anchor=0)),
        ("root", ShardState(anchor=0)),
    ],
    ids=["too few polls", "too short", "records came", "a closed shard is not read to its end"],
)
def test_less_than_that_is_not_quiet(shard, state):
    assert quiet(LISTED, {**STATES, shard: state}).through is None


def test_a_shard_without_an_owner_is_not_quiet():
    assert quiet(LISTED, {name: STATES[name] for name in ("root", "left")}).through is None


def test_nothing_is_said_of_what_came_after_the_listing():
    assert quiet(msgspec.structs.replace(LISTED, listed_at=NOW - 30), STATES).through == NOW - 30


def test_what_is_likely_is_never_kept_as_proven():
    proof = concluded(Proof(), LISTED, quiet(LISTED, STATES), NOW)
    assert (proof.applied_through, proof.probably_through, proof.proven_at) == (None, NOW - 2, NOW)
    control = MemoryControl()
    control.update("proof", Proof, lambda _: msgspec.structs.replace(proof, generation=1))
    assert complete_until(control, Migration(generation=1, exported_at=5.0)) == 5.0, "a resync must not rest on it"


def test_a_record_that_comes_takes_nothing_back_and_the_lag_grows():
    before = concluded(Proof(), LISTED, quiet(LISTED, STATES), NOW)
    busy = {**STATES, "left": ShardState(anchor=0)}
    assert concluded(before, LISTED, quiet(LISTED, busy), NOW + 60).probably_through == NOW - 2


def test_a_page_with_records_begins_the_count_anew():
    empties = Empties()
    for second in range(3):
        empties.polled(empty=True, now=NOW + second)
    state = empties.noted(ShardState(anchor=0))
    assert (state.empty_polls, state.empty_since, state.empty_until) == (3, NOW, NOW + 2)
    empties.polled(empty=False, now=NOW + 3)
    assert empties.noted(state).empty_polls == 0


class Clock:
    def __init__(self):
        self.now = NOW

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def shard():
    clock, saved = Clock(), []

    def put(state, revision):
        saved.append(state)
        return revision + 1

    known = empty(99, since=900, until=800)
    claimed = Claimed(msgspec.structs.replace(known, positions=[Position("0", 1)]), 1, put, 1, clock)
    claimed.claim("me")
    made = ShardProcessor(
        claim=lambda *_: claimed,
        open_sink=lambda: None,
        read=record_reader(KEYS),
        apply=lambda _: (),
        keep=lambda _: None,
        checkpoint_seconds=1,
        clock=clock,
        touch_seconds=2,
    )
    made.initialize(SimpleNamespace(shard_id="left", sequence_number="TRIM_HORIZON"))
    return SimpleNamespace(process=made, clock=clock, saved=saved, checkpointer=Checkpointer(Lease()))


def test_a_shards_process_saves_its_empty_polls_every_other_second(shard):
    for _ in range(8):
        shard.clock.sleep(0.5)
        shard.process.process_records(page([], shard.checkpointer))
    assert [state.empty_polls for state in shard.saved] == [0, 1, 5]
    shard.clock.sleep(2)
    shard.process.process_records(page([record(1, "INSERT", "a", {"n": {"N": "1"}})], shard.checkpointer))
    assert (shard.saved[-1].empty_polls, shard.saved[-1].records) == (0, 1)


def test_another_process_begins_the_count_anew(shard):
    assert shard.saved[0].empty_polls == 0


class Streams:
    """A stream whose listing is ours."""

    def describe_stream(self, *, StreamArn):  # noqa: ARG002, N803  boto3's names
        from datetime import UTC, datetime

        listed = [
            {"ShardId": s.id, "SequenceNumberRange": {}, **({"ParentShardId": s.parent} if s.parent else {})}
            for s in (ROOT, LEFT, RIGHT)
        ]
        created = datetime.fromtimestamp(NOW, UTC)
        described = {"Shards": listed, "CreationRequestDateTime": created}
        return {"StreamDescription": {**described, "StreamViewType": "NEW_IMAGE", "StreamStatus": "ENABLED"}}


def test_the_watcher_looks_as_the_prover_does_and_has_nothing_to_write_with():
    control, clock = MemoryControl(), Clock()
    for name, state in STATES.items():
        control.put(f"g1/shard#{name}", state, 0)
    watcher = Watcher(control, Streams(), LISTED, 1, clock=clock)
    watcher.beat()
    seen = watcher.look()
    assert (seen.proof.probably_through, seen.proof.shards_open, seen.proof.shards_unowned) == (NOW - 2, 2, 0)
    assert control.get("proof", Proof)[0].probably_through == NOW - 2


def observed(**more):
    known = {"proof": "quiet", "proven_at": NOW - 1, **more}
    return Observation(NOW, 1, 1, 5, 5, None, NOW - 2, "not proven: every shard was empty", None, **known)


MOVED = Migration(phase=Phase.REPLICATING, settled=True)
LIMITS = Limits(10, 60)


def lag_proven(seen):
    return next(one for one in conditions(MOVED, seen, LIMITS) if one.type == "LagProven")


def test_readers_may_not_switch_on_what_is_only_likely_unless_a_person_said_so():
    refused = lag_proven(observed(unproven="tail.proof is quiet: set ready.allow_unproven: true"))
    assert (refused.status, refused.reason) == (False, "Unproven")
    assert "ready.allow_unproven" in refused.message
    allowed = lag_proven(observed())
    assert (allowed.status, allowed.reason) == (True, "Unproven")
    assert "not proven" in allowed.message


def test_the_document_calls_it_quiet_and_tells_how_old_it_is():
    letters = {"open": 0, "settled": 0, "retried": 0, "waived": 0}
    told = document("orders", MOVED, observed(), LIMITS, Progress(0, 0.0, Tail(*[0] * 7), letters))
    assert (told.lag.proof, told.lag.seconds, told.lag.proof_age_seconds) == ("quiet", 2.0, 1.0)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Document) == told
    assert lag_seconds(MOVED, observed()) == 2.0


def test_an_idle_shard_is_not_taken_for_a_gap():
    long_ago = Migration(exported_at=NOW - 90 * 3600)
    assert gap.of_time(long_ago, LISTED, STATES, None, NOW) is not None
    assert gap.of_time(long_ago, LISTED, STATES, NOW - 2, NOW) is None

"""Heartbeats in, proof out: the acting half of daemon/lag.py. And their removal, when the move is over."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog
from botocore.exceptions import ClientError

from daemon import lag, reserved
from daemon.app import Parts
from daemon.clock import SYSTEM, Clock
from daemon.control import Control, Migration, Proof, ShardState, shards_of
from daemon.preflight import CheckFailed
from daemon.reserved import Dealer
from daemon.source import heartbeat, shards
from daemon.source.heartbeat import Form
from daemon.source.shards import Stream
from sinks.change import KeyValue

log = structlog.get_logger()

# Random keys per shard without one: enough to hit each of 1,000 shards within a few rounds.
FRESH_PER_SHARD = 8
FRESH_MAX = 64
# As many shards as can leave the stream between two looks, and more.
COUNTED_KEPT = 1000
SLOWEST_TOLD = 10
REMOVED_AT_ONCE = 100
TTL_ON = ("ENABLED", "ENABLING")
DENIED = ("AccessDeniedException", "AccessDenied")


class HeartbeatsRefused(CheckFailed):
    """The source table lets us write or delete no heartbeat item. The message has the IAM statement that does."""


class Seen(NamedTuple):
    """The state of the tail at one look."""

    proof: Proof
    states: Mapping[str, ShardState]
    stream: Stream | None = None  # the listing that the proof rests on
    slowest: Sequence[tuple[str, float | None]] = ()  # shards that are furthest behind, and what is proven of each


class Prover:
    """Writes rounds of heartbeats and finds the newest one that came through everywhere. Leader only."""

    def __init__(
        self,
        control: Control,
        dynamodb: Any,
        streams: Any,
        table: str,
        form: Form,
        stream: Stream,
        generation: int,
        *,
        clock: Clock = SYSTEM,
        chance: random.Random | None = None,
    ) -> None:
        self._control = control
        self._dynamodb = dynamodb
        self._streams = streams
        self._table = table
        self._form = form
        self._dealer = Dealer(control, form.keys.partition.type, chance or random.Random())
        self._stream = stream
        self._generation = generation
        self._shards = shards_of(generation)
        self._clock = clock
        self._listed_after = 0
        self._started: dict[int, float] = {}  # round -> epoch seconds before its first heartbeat
        self._states: Mapping[str, ShardState] = {}

    def beat(self) -> None:
        """One round: number it durably, write the heartbeats, then list the stream.

        Nothing once they are being removed. Raises HeartbeatsRefused, ClientError, …
        """
        if self._dealer.closed():
            return
        proof = self._control.update("proof", Proof, partial(_next_round, self._generation))
        started = self._clock.time()
        self._write(proof.round, started)
        # Listed after the last acknowledgement: a shard that opened meanwhile is in the listing, or a
        # descendant of a leaf that gets no heartbeat of this round.
        self._stream = shards.describe(self._streams, self._stream.arn, self._clock)
        self._listed_after = proof.round
        self._started[proof.round] = started
        self._archive()

    def _write(self, proof_round: int, now: float) -> None:
        partitions = self._partitions()
        with_arn = partial(_refused, self._stream.arn.partition("/stream/")[0])
        _allowed(
            lambda: heartbeat.write(self._dynamodb, self._table, self._form, partitions, proof_round, now), with_arn
        )

    def look(self) -> Seen:
        """Read the shards' records and conclude. Raises ClientError, BotoCoreError."""
        self._states = {name: state for name, (state, _) in self._control.all(self._shards, ShardState).items()}
        seen = lag.coverage(self._stream, self._states, self._listed_after)
        proof, revision = self._control.get("proof", Proof) or (Proof(), 0)
        known = msgspec.structs.replace(
            proof.of(self._generation),
            reason=seen.reason,
            shards_open=seen.shards_open,
            shards_unowned=seen.shards_unowned,
        )
        if seen.proven_round > known.proven_round and seen.proven_round in self._started:
            through = self._started[seen.proven_round]
            known = msgspec.structs.replace(
                known, proven_round=seen.proven_round, applied_through=through, proven_at=self._clock.time()
            )
            self._started = {n: at for n, at in self._started.items() if n > seen.proven_round}
        if known != proof:
            self._control.put("proof", known, revision)
        slowest = lag.slowest(self._stream, self._states, self._started, known.applied_through, SLOWEST_TOLD)
        return Seen(known, self._states, self._stream, slowest)

    def _archive(self) -> None:
        """Drop the records of shards that have left the stream: a month has thousands, and each look reads them all."""
        archive(self._control, self._shards, self._stream, self._states)

    def _partitions(self) -> list[KeyValue]:
        """One key known to reach each open shard, and chances for those without."""
        kind = self._form.keys.partition.type
        beaten = lag.uncovered(self._stream, self._states)
        known = [heartbeat.from_text(kind, text) for text in (*beaten.known, *beaten.inherited)]
        fresh = min(beaten.missing * FRESH_PER_SHARD, FRESH_MAX)
        return list(dict.fromkeys([*known, *self._dealer.deal(fresh, len(self._stream.leaves))]))


def form(known: Parts, migration: Migration) -> Form:
    """What the heartbeats of this anchoring look like. Raises CheckFailed, BotoCoreError."""
    return Form(known.keys, migration.mark, expiry_attribute(known))


def expiry_attribute(known: Parts) -> str | None:
    """The table's TTL attribute; None without one, or where a heartbeat must not have it. Raises BotoCoreError.

    An attribute that is a key of the table or of an index is left out: it would change the key, or bring heartbeats
    into the index.
    """
    try:
        attribute = ttl_attribute(known)
        if attribute is None:
            return None
        described = known.dynamodb.describe_table(TableName=known.config.source.table)["Table"]
    except ClientError as error:
        log.warning("heartbeats_without_ttl", error=str(error), next="they are removed by complete or abort only")
        return None
    in_keys = {one["AttributeName"] for one in described["AttributeDefinitions"]}
    return None if attribute in in_keys else attribute


def ttl_attribute(known: Parts) -> str | None:
    """What the source's TTL goes by; None while it is off. Raises ClientError, BotoCoreError."""
    told = known.dynamodb.describe_time_to_live(TableName=known.config.source.table)["TimeToLiveDescription"]
    return str(told["AttributeName"]) if told["TimeToLiveStatus"] in TTL_ON else None


def archive(control: Control, prefix: str, stream: Stream, states: Mapping[str, ShardState]) -> None:
    """Count, once, and drop the records of shards that have left the stream. Raises ClientError, BotoCoreError."""
    for shard, state in lag.forgotten(stream, states):
        control.update("proof", Proof, partial(_with_archived, shard, state))
        control.delete(prefix + shard)


def _with_archived(shard: str, state: ShardState, proof: Proof | None) -> Proof:
    """Once only: the record may outlive a crash, and an answer may be lost."""
    proof = proof or Proof()
    if shard in proof.counted:
        return proof
    counted = [*proof.counted, shard][-COUNTED_KEPT:]
    return msgspec.structs.replace(proof, archived=proof.archived.plus(state), counted=counted)


def _next_round(generation: int, proof: Proof | None) -> Proof:
    proof = (proof or Proof()).of(generation)
    return msgspec.structs.replace(proof, round=proof.round + 1)


def remove_heartbeats(known: Parts, told: Callable[[str], None] = lambda _: None) -> int:
    """Delete every heartbeat item that this move may have written; how many keys were gone through.

    From its first step on no leader writes any. Resumable: a rerun goes on where it was. Of several tables, call it for
    each. Raises HeartbeatsRefused, CheckFailed, ClientError, BotoCoreError, Conflict.
    """
    found = known.control.get("migration", Migration)
    if found is None or not found[0].stream_arn:
        return 0  # never anchored with a tail: none was written
    kind, written = known.keys.partition.type, reserved.close(known.control)
    _remove(known, _of_shards(known, found[0].generation, kind))
    for begin in range(written.removed, written.used, REMOVED_AT_ONCE):
        end = min(begin + REMOVED_AT_ONCE, written.used)
        _remove(known, list(written.keys(kind, range(begin, end))))
        reserved.note_removed(known.control, written, end)
        told(f"{end:,} of {written.used:,} heartbeat keys removed from {known.config.source.table}")
    return written.used


def _of_shards(known: Parts, generation: int, kind: str) -> list[KeyValue]:
    """Keys that shards have shown: those of before keys were numbered are nowhere else."""
    states = known.control.all(shards_of(generation), ShardState).values()
    return [heartbeat.from_text(kind, state.heartbeat_key) for state, _ in states if state.heartbeat_key]


def _remove(known: Parts, partitions: Sequence[KeyValue]) -> None:
    table = known.config.source.table
    _allowed(
        lambda: heartbeat.remove(known.dynamodb, table, known.keys, partitions), lambda e: _refused(known.table.arn, e)
    )


def _allowed(act: Callable[[], None], refused: Callable[[ClientError], HeartbeatsRefused]) -> None:
    try:
        act()
    except ClientError as error:
        if error.response["Error"]["Code"] in DENIED:
            raise refused(error) from error
        raise


def _refused(table_arn: str, error: ClientError) -> HeartbeatsRefused:
    statement = json.dumps(heartbeat.policy(table_arn))
    return HeartbeatsRefused(
        f"heartbeat items may not be written or deleted ({error.operation_name}: {error.response['Error']['Code']}), "
        f"so lag cannot be proven. Allow it with this statement, which is limited to our own keys: {statement}; or set "
        "tail.proof: quiet, which writes nothing and proves nothing"
    )

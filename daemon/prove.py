"""Heartbeats in, proof out: the acting half of daemon/lag.py."""

import random
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from daemon import lag
from daemon.clock import SYSTEM, Clock
from daemon.control import Control, Proof, ShardState, shards_of
from daemon.source import heartbeat, shards
from daemon.source.shards import Stream
from sinks.change import KeySchema

# Random keys per shard without one: enough to hit each of 1,000 shards within a few rounds.
FRESH_PER_SHARD = 8
FRESH_MAX = 64
# As many shards as can leave the stream between two looks, and more.
COUNTED_KEPT = 1000


class Seen(NamedTuple):
    """The state of the tail at one look."""

    proof: Proof
    states: Mapping[str, ShardState]
    stream: Stream | None = None  # the listing that the proof rests on


class Prover:
    """Writes rounds of heartbeats and finds the newest one that came through everywhere. Leader only."""

    def __init__(
        self,
        control: Control,
        dynamodb: Any,
        streams: Any,
        table: str,
        keys: KeySchema,
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
        self._keys = keys
        self._stream = stream
        self._generation = generation
        self._shards = shards_of(generation)
        self._clock = clock
        self._chance = chance or random.Random()
        self._listed_after = 0
        self._started: dict[int, float] = {}  # round -> epoch seconds before its first heartbeat
        self._states: Mapping[str, ShardState] = {}

    def beat(self) -> None:
        """One round: number it durably, write the heartbeats, then list the stream. Raises ClientError, …"""
        proof = self._control.update("proof", Proof, partial(_next_round, self._generation))
        started = self._clock.time()
        heartbeat.write(self._dynamodb, self._table, self._keys, self._partitions(), proof.round)
        # Listed after the last acknowledgement: a shard that opened meanwhile is in the listing, or a
        # descendant of a leaf that gets no heartbeat of this round.
        self._stream = shards.describe(self._streams, self._stream.arn, self._clock)
        self._listed_after = proof.round
        self._started[proof.round] = started
        self._archive()

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
            known = msgspec.structs.replace(known, proven_round=seen.proven_round, applied_through=through)
            self._started = {n: at for n, at in self._started.items() if n > seen.proven_round}
        if known != proof:
            self._control.put("proof", known, revision)
        return Seen(known, self._states, self._stream)

    def _archive(self) -> None:
        """Drop the records of shards that have left the stream: a month has thousands, and each look reads them all."""
        for shard, state in lag.forgotten(self._stream, self._states):
            self._control.update("proof", Proof, partial(_with_archived, shard, state))
            self._control.delete(self._shards + shard)

    def _partitions(self) -> list[Any]:
        """One key known to reach each open shard, and chances for those without."""
        kind = self._keys.partition.type
        known, missing = lag.uncovered(self._stream, self._states)
        fresh = min(missing * FRESH_PER_SHARD, FRESH_MAX)
        return [heartbeat.from_text(kind, text) for text in known] + [
            heartbeat.fresh_key(kind, self._chance) for _ in range(fresh)
        ]


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

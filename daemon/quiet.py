"""The source is quiet: an observation, not a proof. Pure but for `Watcher`, which takes the place of heartbeats.

Nothing is written to the source. When no shard has shown a record for a minute, in ten polls and more, then everything
was *probably* applied: an empty page means nothing by itself ("it might take multiple calls to get to a portion of the
shard that contains stream records", API reference, GetRecords). In a simulation with sparse pages ten empty polls were
wrong in 0.7 % of the runs (facts/cutover.md §3b). So what follows from it is called unproven everywhere.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from daemon import lag, prove
from daemon.clock import SYSTEM, Clock
from daemon.control import Control, Proof, ShardState, shards_of
from daemon.prove import Seen
from daemon.source import shards
from daemon.source.shards import Shard, Stream

POLLS_MIN = 10
SPAN_SECONDS = 60.0


class Quiet(NamedTuple):
    """What the shards' empty polls say about a listing of the stream."""

    since: float | None  # epoch seconds: no record came in any shard from here on
    through: float | None  # probably every write before this is applied
    reason: str


def quiet(stream: Stream, states: Mapping[str, ShardState], sibling_seconds: float = lag.SIBLING_SECONDS) -> Quiet:
    """Whether every open shard has long been empty, all others are read to their end, and each has an owner."""
    why = lag.obstacle(stream, states, sibling_seconds)
    if why is not None:
        return Quiet(None, None, why)
    busy = next((leaf for leaf in stream.leaves if not _is_quiet(states[leaf.id])), None)
    if busy is not None:
        return Quiet(None, None, _busy(busy, states[busy.id]))
    runs = [states[leaf.id] for leaf in stream.leaves]
    since, until = max(run.empty_since for run in runs), min(run.empty_until for run in runs)
    polls = min(run.empty_polls for run in runs)
    reason = (
        f"not proven: every shard was empty in {polls:,} polls or more, over {until - since:.0f} s or more. That is "
        "probably all"
    )
    return Quiet(since, min(until, stream.listed_at), reason)


def _is_quiet(state: ShardState) -> bool:
    return state.empty_polls >= POLLS_MIN and state.empty_until - state.empty_since >= SPAN_SECONDS


def _busy(leaf: Shard, state: ShardState) -> str:
    seconds = max(0.0, state.empty_until - state.empty_since)
    return (
        f"{leaf.id} is not quiet: {state.empty_polls} empty poll(s) in a row over {seconds:.0f} s, wanted are "
        f"{POLLS_MIN} over {SPAN_SECONDS:.0f} s. While the application writes nothing can be said (tail.proof: quiet)"
    )


def concluded(proof: Proof, stream: Stream, seen: Quiet, now: float) -> Proof:
    """The proof's record after this look. What was probable of an older instant stays so."""
    known = msgspec.structs.replace(
        proof,
        reason=seen.reason,
        shards_open=len(stream.leaves),
    )
    if seen.through is None or seen.through <= (known.probably_through or 0.0):
        return known
    return msgspec.structs.replace(known, probably_through=seen.through, proven_at=now)


class Watcher:
    """Looks as the Prover does, and writes nothing to the source. Leader only."""

    def __init__(
        self, control: Control, streams: Any, stream: Stream, generation: int, *, clock: Clock = SYSTEM
    ) -> None:
        self._control = control
        self._streams = streams
        self._stream = stream
        self._generation = generation
        self._shards = shards_of(generation)
        self._clock = clock
        self._states: Mapping[str, ShardState] = {}

    def beat(self) -> None:
        """List the stream anew. Raises ClientError, BotoCoreError."""
        self._stream = shards.describe(self._streams, self._stream.arn, self._clock)
        prove.archive(self._control, self._shards, self._stream, self._states)

    def look(self) -> Seen:
        """Read the shards' records and conclude. Raises ClientError, BotoCoreError."""
        self._states = {name: state for name, (state, _) in self._control.all(self._shards, ShardState).items()}
        proof, revision = self._control.get("proof", Proof) or (Proof(), 0)
        found = quiet(self._stream, self._states)
        known = concluded(proof.of(self._generation), self._stream, found, self._clock.time())
        unowned = len([shard for shard in self._stream.shards if shard not in self._states])
        known = msgspec.structs.replace(known, shards_unowned=unowned)
        if known != proof:
            self._control.put("proof", known, revision)
        return Seen(known, self._states, self._stream)

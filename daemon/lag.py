"""What heartbeats prove. Pure: what do these observations mean?

DynamoDB Streams has no end offset and an empty page means nothing, so lag cannot be read off anywhere.
`Zero(F)` holds when every write acknowledged before instant F is durable in the target. Heartbeats written
at F, seen come out of every open shard and applied, prove it (daemon/README.md, "Proof of zero lag").
A stale listing costs time, never truth: a shard that is not listed descends from a listed leaf, and that leaf
gets no more heartbeats. But that takes all children of a shard to be listed together. AWS does not promise it,
so an only child is not trusted before its sibling has had time to show.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from daemon.control import ShardState
from daemon.source.shards import Shard, Stream

# Twice what a listing has been seen to lag behind. Costs that much extra lag at a rollover, every four hours.
SIBLING_SECONDS = 10.0


class Coverage(NamedTuple):
    """What the shards' records say about a listing of the stream."""

    proven_round: int  # every write before the start of this round is applied; 0: nothing is proven
    reason: str
    shards_open: int
    shards_unowned: int


def coverage(
    stream: Stream, states: Mapping[str, ShardState], listed_after: int, sibling_seconds: float = SIBLING_SECONDS
) -> Coverage:
    """The newest round of heartbeats that has come through every shard.

    `stream` must have been listed after the heartbeats of round `listed_after` were acknowledged.
    """
    leaves = stream.leaves
    unowned = [shard.id for shard in stream.shards.values() if shard.id not in states]
    why = obstacle(stream, states, sibling_seconds)
    if why is not None:
        return Coverage(0, why, len(leaves), len(unowned))
    rounds = {leaf.id: _round(leaf, stream.shards, states) for leaf in leaves}
    slowest_leaf = min(rounds, key=lambda shard: rounds[shard])
    proven = min(rounds[slowest_leaf], listed_after)
    return Coverage(proven, _progress(proven, slowest_leaf), len(leaves), len(unowned))


def obstacle(stream: Stream, states: Mapping[str, ShardState], sibling_seconds: float = SIBLING_SECONDS) -> str | None:
    """Why nothing can be said of this listing, whatever its leaves have applied; None when something can."""
    unowned = [shard.id for shard in stream.shards.values() if shard.id not in states]
    if unowned:
        return f"{len(unowned)} shard(s) have no owner yet, the first being {unowned[0]}"
    leaves = {leaf.id for leaf in stream.leaves}
    unread = [shard for shard in stream.shards if shard not in leaves and not states[shard].ended]
    if unread:
        return f"{len(unread)} closed shard(s) are not read to their end, the first being {unread[0]}"
    alone = next(_only_children(stream, sibling_seconds), None)
    if alone is not None:
        return f"{alone} has just opened: it is not known yet whether it has a sibling"
    return None if leaves else "the stream lists no shard yet"


def _progress(proven: int, slowest: str) -> str:
    if proven:
        return f"round {proven} of heartbeats has come through every shard"
    return f"no heartbeat has come through {slowest} yet: it is read from further back, or the KCL still starts"


def _only_children(stream: Stream, sibling_seconds: float) -> Iterator[str]:
    """Shards so young that the other half of their parent's split may not be listed yet."""
    families = Counter(shard.parent for shard in stream.shards.values() if shard.parent in stream.shards)
    for shard in stream.shards.values():
        if families[shard.parent] == 1 and stream.listed_at - shard.created_at < sibling_seconds:
            yield shard.id


def _lineage(shard: Shard, shards: Mapping[str, Shard]) -> Iterator[Shard]:
    yield shard
    while shard.parent is not None and shard.parent in shards:
        shard = shards[shard.parent]
        yield shard


def _round(leaf: Shard, shards: Mapping[str, Shard], states: Mapping[str, ShardState]) -> int:
    """The newest heartbeat applied in the leaf, or in an ancestor: a leaf may have opened after it."""
    return max((states[s.id].heartbeat_round for s in _lineage(leaf, shards) if s.id in states), default=0)


def forgotten(stream: Stream, states: Mapping[str, ShardState]) -> list[tuple[str, ShardState]]:
    """Shards whose records nobody needs any more.

    Read to their end, gone from the stream, and with no listed child that has yet to inherit their version.
    """
    waiting = {shard.parent for shard in stream.shards.values() if shard.id not in states}
    return [(s, state) for s, state in states.items() if state.ended and s not in stream.shards and s not in waiting]


class Beaten(NamedTuple):
    """Which reserved keys to write in a round."""

    known: Sequence[str]  # one for each leaf that has shown which one reaches it
    inherited: Sequence[str]  # keys of parents, which reach one of their children
    missing: int  # leaves that neither of them may reach


def uncovered(stream: Stream, states: Mapping[str, ShardState]) -> Beaten:
    """The reserved keys known to reach a leaf, one per leaf, and how many leaves need others to be tried.

    A shard that rolls over has one child, which its key falls into as well; of two children it falls into one.
    """
    keys = {leaf.id: states[leaf.id].heartbeat_key if leaf.id in states else "" for leaf in stream.leaves}
    known = list(dict.fromkeys(key for key in keys.values() if key))
    orphans = [leaf for leaf in stream.leaves if not keys[leaf.id]]
    hopes = {_of_ancestor(leaf, stream.shards, states) for leaf in orphans} - {"", *known}
    return Beaten(known, sorted(hopes), len(orphans) - len(hopes))


def _of_ancestor(leaf: Shard, shards: Mapping[str, Shard], states: Mapping[str, ShardState]) -> str:
    keys = (states[shard.id].heartbeat_key for shard in _lineage(leaf, shards) if shard.id in states)
    return next((key for key in keys if key), "")


def slowest(
    stream: Stream, states: Mapping[str, ShardState], begun: Mapping[int, float], proven: float | None, most: int
) -> list[tuple[str, float | None]]:
    """The shards that are furthest behind, at most so many: (shard, every write to it before then is applied).

    `begun`: when each round began that is not proven yet; `proven`: what is proven of all. Epoch seconds, or None.
    """
    through = {leaf.id: begun.get(_round(leaf, stream.shards, states), proven) for leaf in stream.leaves}
    return sorted(through.items(), key=lambda one: (one[1] is not None, one[1] or 0.0, one[0]))[:most]

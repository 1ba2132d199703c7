"""Repair: a row that differs gets the source's item, with a version from the window in which that item was read.

Never a blind copy: stamped with the time of the copy, it would lose a newer write to an older one, and a copy without a
stamp brings deleted rows back (facts: cutover, 3e). For a batch of keys:

1. The keys are watched (`daemon/verify/watching.py`), and FLOOR is the greatest version clock of any shard.
2. S: a consistent read of the source.
3. A round of heartbeats that began after S is proven, by a listing and by states of the shards that we read ourselves.
   T is the least version clock of any leaf among these states. While T is not above FLOOR: another round.
4. A key that an event came of since 1 is dropped, and tried again. The others are written through the sink's own
   `apply`, at version T: the item that S found, or a deletion where S found none. Then the target is read again.

**Claim.** Let e1 … em be all events of such a key, ever, and let S have seen e1 … ej. Then T(ej) < T < T(ej+1): so the
sink, which keeps the highest version, ends with the source's state in any order, however late the repair arrives.

*T < T(ej+1).* ej+1 was acknowledged after S. Let s be its shard, or the listed leaf that s descends from. If it is at
or before the position saved in the state that we read of s, it came after the watch began and is told by that state:
the key was touched, and is dropped. Else its version is dealt after the clock that this state shows, by the same shard
or by a child that goes on from it, and is above it; T is not above that clock. That s or an ancestor of it is among the
leaves is what `lag.coverage` asks for: all is listed, each listed shard has a state, an only child is not taken for the
whole family. A version is strictly above the clock before it, so no two are equal.

*T(ej) < T.* The proof says that ej, acknowledged before S, is applied. If that was after the watch began, the key was
touched. Else it was before, at a version not above its shard's clock then; clocks do not go back, and a child goes on
from its parent's: not above FLOOR, which is below T. (Were it not so, the repair would only lose to what is there.)

Shard clocks may differ by any amount: they are of AWS's machines, and only the number of rounds depends on it. A repair
that is killed leaves what it wrote, which is right for ever, and begins anew with another window. It stops where the
target is not ours alone any more: the phase is looked at again right before each write.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from daemon import lag
from daemon.clock import SYSTEM, Clock
from daemon.control import Control, Proof, ShardState
from daemon.source.shards import Stream
from daemon.verify.canonical import canonical_item
from daemon.verify.watching import Watch
from sinks.change import Change, Item, Key
from sinks.sink import Rejection, Stored

BATCH_KEYS = 100
ATTEMPTS = 5
PROVEN_SECONDS_MAX = 120.0
LOOK_SECONDS = 0.5
# A version this far above a window is nobody's who follows the stream.
AHEAD_MICROS = 60 * 1_000_000

_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class NotProven(Exception):
    """No round of heartbeats came through in time, so no version can be given. Nothing was written."""


class Outcome(StrEnum):
    """What became of a key."""

    REPAIRED = "repaired"
    EQUAL = "equal already"
    BUSY = "written by the application in every window: run it again"
    AHEAD = "the target's row has a version from the future: something else writes to the target"
    REFUSED = "the target refuses the item"
    DIFFERS = "differs still, although it was written: the target does not keep what it confirms"


DONE = (Outcome.REPAIRED, Outcome.EQUAL)


class Target(Protocol):
    """A sink that can be read."""

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """As Sink."""

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """As Readable."""


class Window(NamedTuple):
    """What the source held in it, the version that a repair gets, and the keys for which that holds."""

    source: Mapping[Key, Item]
    version: int
    untouched: set[Key]


class Repairer:
    """Repairs the rows of one generation. Its methods raise ClientError, BotoCoreError, SinkError as well."""

    def __init__(
        self,
        *,
        control: Control,
        generation: int,
        watch: Watch,
        source: Callable[[Sequence[Key]], Mapping[Key, Item]],
        target: Target,
        listing: Callable[[], Stream],
        allowed: Callable[[], object] = lambda: None,
        told: Callable[[str], None] = lambda _: None,
        clock: Clock = SYSTEM,
    ) -> None:
        """`source` reads consistently. `listing` lists the stream now. `allowed` raises where no one may write now."""
        self._control = control
        self._generation = generation
        self._watch = watch
        self._source = source
        self._target = target
        self._listing = listing
        self._allowed = allowed
        self._told = told
        self._clock = clock

    def repair(self, keys: Sequence[Key]) -> dict[Key, Outcome]:
        """What became of each key, a batch. Raises NotWatched, NotProven, and what `allowed` raises."""
        outcomes = dict.fromkeys(keys, Outcome.BUSY)
        try:
            for attempt in range(ATTEMPTS):
                left = [key for key, outcome in outcomes.items() if outcome is Outcome.BUSY]
                if not left:
                    break
                if attempt:
                    self._told(f"{len(left)} key(s) were written meanwhile: another window")
                outcomes.update(self._attempt(left))
        finally:
            self._watch.end()
        return outcomes

    def _attempt(self, keys: Sequence[Key]) -> dict[Key, Outcome]:
        window = self.window(keys)
        before = self._target.read(keys)
        outcomes = {key: _looked(window, key, before.get(key)) for key in keys}
        changes = [Change(key, window.version, window.source.get(key)) for key in keys if outcomes[key] is None]
        if changes:
            self._allowed()
            refused = {rejection.change.key for rejection in self._target.apply(changes)}
            after = self._target.read([change.key for change in changes])
            for change in changes:
                now = after.get(change.key)
                outcomes[change.key] = Outcome.REFUSED if change.key in refused else _written(change, now)
        return {key: outcome for key, outcome in outcomes.items() if outcome is not None}

    def window(self, keys: Sequence[Key]) -> Window:
        """Steps 1 to 3. Raises NotWatched, NotProven."""
        self._told(f"{len(keys)} key(s): waiting until every shard's process watches them")
        self._watch.begin(keys)
        floor = max((state.version for state in self._watch.states().values()), default=0)
        read = self._source(keys)
        begun = self._proof().round
        self._told("read from the source; waiting for a round of heartbeats that began after it")
        deadline = self._clock.monotonic() + PROVEN_SECONDS_MAX
        while True:
            seen, states = self._proven(begun, deadline)
            version = min(states[leaf.id].version for leaf in seen.leaves)
            if version > floor:
                return Window(read, version, self._watch.untouched(keys, states))
            begun = self._proof().round

    def _proof(self) -> Proof:
        found = self._control.get("proof", Proof)
        return (found[0] if found else Proof()).of(self._generation)

    def _proven(self, begun: int, deadline: float) -> tuple[Stream, Mapping[str, ShardState]]:
        """A listing, and states read after it, that prove a round above `begun`."""
        while True:
            proof = self._proof()
            if proof.generation == self._generation and proof.proven_round > begun:
                # The leader has proven this round, so its heartbeats were acknowledged before this listing.
                stream, states = self._listing(), self._watch.states()
                if lag.coverage(stream, states, proof.proven_round).proven_round > begun:
                    return stream, states
            if self._clock.monotonic() >= deadline:
                raise NotProven(
                    f"no round of heartbeats above {begun} has come through every shard in {PROVEN_SECONDS_MAX:g} s "
                    f"({proof.reason}). Nothing was written. Is `moveout run` up? `moveout status` tells more"
                )
            self._clock.sleep(LOOK_SECONDS)


def _looked(window: Window, key: Key, stored: Stored | None) -> Outcome | None:
    """What follows from the look before the write; None: to be written."""
    if key not in window.untouched:
        return Outcome.BUSY
    if same(window.source.get(key), stored):
        return Outcome.EQUAL
    if stored is None or stored.version < window.version:
        return None
    return Outcome.AHEAD if stored.version > window.version + AHEAD_MICROS else Outcome.BUSY


def _written(change: Change, stored: Stored | None) -> Outcome:
    """What the look after the write says. A row that is gone, or has a higher version, may have been written since."""
    if same(change.item, stored):
        return Outcome.REPAIRED
    stays = stored is not None and stored.version <= change.version
    return Outcome.DIFFERS if stays else Outcome.BUSY


def same(item: Item | None, stored: Stored | None) -> bool:
    """True when the target holds this item, or neither is there. Raises NotAnItem."""
    if item is None or stored is None:
        return item is None and stored is None
    return item.json == stored.item.json or _spelled(item) == _spelled(stored.item)


def _spelled(item: Item) -> bytes:
    return canonical_item(_decode(item.json))

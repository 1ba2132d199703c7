"""Exactness under live writes: which of some keys no shard has had an event of, since every shard began to look.

A version says that a row is as it was read; a row that is absent says nothing, and a repair must know that nothing came
between its read of the source and its stamp. So the processes that apply the stream are asked to watch keys:

1. `Watch.begin(keys)` writes the keys' hashes, then the id of the watch. Each shard's process looks at that id at most
   every second before it applies, and from then on every state that it saves says `watch: id` and which of the hashes
   it has applied an event of (`touched`). `begin` returns when every shard that had a state and was not at its end has
   saved one that says so.
2. Whoever asked does its reads, and waits for what it needs to be proven.
3. `Watch.untouched(keys, states)` answers from the shards' states, as they were read after that proof.

**Claim.** Let `begin` have returned before instant S, and let `states` be read later. For a key that `untouched`
returns, no event of the key that was applied after S lies at or before the position that is saved in its shard's state.

*Proof.* `touched` and the position are written in one item by one conditional write (`Claimed.save`), and `touched` is
extended before a batch is applied, the position moved after it (`ShardProcessor.process_records`): so a state that
says `watch: id` names every watched key with an event between the save that first said so and its position. What was
applied after S lies behind that first save, because it came before S. A process that dies leaves its last state, and
the next one goes on from it: it looks at the watch before it applies anything (`ShardWatch.resumed` raises when it
cannot), and keeps `touched` where the id is the same. What it replays is named again at worst: a false alarm, which
costs another window. A process that lost its shard cannot save, and what it applied is applied again by its successor,
who names it.

A shard that had no state when `begin` looked is claimed later, and its process looks after the claim: the watch was
there already. So it watches from its first record, and a state of it without the id has no position yet. A shard that
was at its end had applied everything before S. Any other state without the id means that another watch has taken the
place of this one, or a shard's record is gone: then the answer is that nothing is known, hence the empty set. So it is
after HELD_SECONDS: the record of a shard that was opened, read to its end and trimmed meanwhile would be missed. ∎

*With a proof of lag.* `heartbeat_round` is in the same item as well. So when a round that began after S is proven by
these very states (`lag.coverage`), every event that was acknowledged before that round is at or before those positions:
an untouched key had none between S and the begin of the round, and it had none before S that was still to be applied.

A key's hash has 64 bits. Two keys of one hash cost a needless window, never an answer that is wrong.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from daemon.clock import SYSTEM, Clock
from daemon.control import Conflict, Control, ShardState, shards_of
from daemon.source.stream import Event
from daemon.verify.rules import hash_of
from sinks.change import Key

WATCH = "verify#watch"
WATCHED = "verify#watched"
KEYS_MAX = 10_000
LOOK_SECONDS = 1.0
# For so long a watch is answered for, and nobody else may take it from one who has begun it and died.
HELD_SECONDS = 180.0
ACKNOWLEDGED_SECONDS_MAX = 60.0
NONE = ""
NOTHING: frozenset[int] = frozenset()


class NotWatched(Exception):
    """The shards' processes have not all begun to watch in time. The message names one, and what to do."""


class Head(msgspec.Struct, frozen=True):
    """The watch that is in force: its id, and until when nobody else may take its place (epoch seconds)."""

    id: str = NONE
    until: float = 0.0


class Watched(msgspec.Struct, frozen=True):
    """What a watch looks for. Apart from its id, which is read every second."""

    id: str = NONE
    hashes: Sequence[int] = ()


class Watches(Protocol):
    """Which keys are watched, told in each state that is saved; ShardWatch does it."""

    def resumed(self, state: ShardState) -> ShardState:
        """The state to go on from."""

    def looked(self, state: ShardState) -> ShardState:
        """With the watch that is in force."""

    def touched(self, state: ShardState, events: Sequence[Event]) -> ShardState:
        """With those of its keys that these events have touched."""


class Unwatched:
    """Nothing is watched."""

    def resumed(self, state: ShardState) -> ShardState:
        """As it is."""
        return state

    looked = resumed

    def touched(self, state: ShardState, events: Sequence[Event]) -> ShardState:
        """As it is."""
        del events
        return state


NOT_WATCHED = Unwatched()


class ShardWatch:
    """The shard's half: which watch is in force, and which of its keys have passed."""

    def __init__(self, control: Control, clock: Clock = SYSTEM) -> None:
        self._control = control
        self._clock = clock
        self._looked_at = float("-inf")
        self._id = NONE
        self._hashes = NOTHING

    def resumed(self, state: ShardState) -> ShardState:
        """The state to go on from. Raises ClientError, BotoCoreError: unknown must not be taken for none."""
        self._look()
        return self._said(state)

    def looked(self, state: ShardState) -> ShardState:
        """The state with the watch that is in force, at most LOOK_SECONDS old; to be asked before a slice is applied.

        While the control table is away, the watch goes on that was seen last: a new one is not acknowledged.
        """
        if self._clock.monotonic() - self._looked_at >= LOOK_SECONDS:
            try:
                self._look()
            except (ClientError, BotoCoreError):
                return state
        return self._said(state)

    def touched(self, state: ShardState, events: Iterable[Event]) -> ShardState:
        """The state when these events are applied."""
        if not self._hashes:
            return state
        passed = {hash_of(event.change.key) for event in events if event.change is not None} & self._hashes
        if passed <= set(state.touched):
            return state
        return msgspec.structs.replace(state, touched=sorted(passed.union(state.touched)))

    def _look(self) -> None:
        self._looked_at = self._clock.monotonic()
        found = self._control.get(WATCH, Head)
        wanted = found[0].id if found else NONE
        if wanted == self._id:
            return
        keys = self._control.get(WATCHED, Watched) if wanted else None
        # Of another id: the watch was replaced between the two reads, and is not acknowledged.
        self._id, self._hashes = (
            (wanted, frozenset(keys[0].hashes)) if keys and keys[0].id == wanted else (NONE, NOTHING)
        )

    def _said(self, state: ShardState) -> ShardState:
        return state if state.watch == self._id else msgspec.structs.replace(state, watch=self._id, touched=())


class Watch:
    """The half of whoever asks. One watch at a time: another one's is waited for. Methods raise ClientError, …"""

    def __init__(
        self,
        control: Control,
        generation: int,
        clock: Clock = SYSTEM,
        seconds_max: float = ACKNOWLEDGED_SECONDS_MAX,
    ) -> None:
        self._control = control
        self._shards = shards_of(generation)
        self._clock = clock
        self._seconds_max = seconds_max
        self._id = NONE
        self._until = 0.0
        self._watching: frozenset[str] = frozenset()
        self._done: frozenset[str] = frozenset()

    def begin(self, keys: Iterable[Key]) -> str:
        """Watch these keys, at most KEYS_MAX; the id. Returns when every open shard's process does.

        Raises NotWatched.
        """
        hashes = sorted(set(map(hash_of, keys)))
        if len(hashes) > KEYS_MAX:
            raise ValueError(f"{len(hashes)} keys are to be watched, at most {KEYS_MAX} can be")
        deadline = self._clock.monotonic() + self._seconds_max + HELD_SECONDS
        while not self._written(hashes):
            self._wait(deadline, "another watch is under way: a verification, or a `moveout repair`")
        self._acknowledged()
        return self._id

    def untouched(self, keys: Iterable[Key], states: Mapping[str, ShardState] | None = None) -> set[Key]:
        """Those keys of which no event was applied since `begin`, as far as these states go; none if that is unknown.

        `states` are the generation's, by shard; they are read now where they are not given.
        """
        states = self.states() if states is None else states
        if not self.knows(states):
            return set()
        passed = {hashed for state in states.values() if state.watch == self._id for hashed in state.touched}
        return {key for key in keys if hash_of(key) not in passed}

    def knows(self, states: Mapping[str, ShardState] | None = None) -> bool:
        """False where these states cannot tell what was applied since `begin`; once false it stays so."""
        if self._clock.time() >= self._until:
            return False
        states = self.states() if states is None else states
        found = {shard: states.get(shard) for shard in (*states, *self._watching)}
        return all(state is not None and self._known(shard, state) for shard, state in found.items())

    def end(self) -> None:
        """Nothing is watched any more; another may begin."""
        found = self._control.get(WATCH, Head)
        if found is not None and found[0].id == self._id != NONE:
            self._put(WATCH, Head(), found[1])

    def states(self) -> dict[str, ShardState]:
        """The states of the generation's shards."""
        return {name: state for name, (state, _) in self._control.all(self._shards, ShardState).items()}

    def _known(self, shard: str, state: ShardState) -> bool:
        if state.watch == self._id or shard in self._done:
            return True
        return shard not in self._watching and not state.positions

    def _written(self, hashes: Sequence[int]) -> bool:
        found, revision = self._control.get(WATCH, Head) or (Head(), 0)
        now = self._clock.time()
        if found.id not in (NONE, self._id) and found.until > now:
            return False
        fresh = secrets.token_hex(8)
        # First what is looked for, then that it is. Two who do this at once: the id that is lost is never acknowledged.
        self._control.update(WATCHED, Watched, lambda _: Watched(fresh, hashes))
        if not self._put(WATCH, Head(fresh, now + HELD_SECONDS), revision):
            return False
        self._id, self._until = fresh, now + HELD_SECONDS
        return True

    def _put(self, record: str, value: Any, revision: int) -> bool:
        try:
            self._control.put(record, value, revision)
        except Conflict:
            return False
        return True

    def _acknowledged(self) -> None:
        """Wait for all that have a state now, and are not at their end: others look at the watch when they begin."""
        deadline = self._clock.monotonic() + self._seconds_max
        while True:
            states = self.states()
            waiting = [shard for shard, state in states.items() if not state.ended and state.watch != self._id]
            if not waiting:
                self._watching = frozenset(shard for shard, state in states.items() if state.watch == self._id)
                self._done = frozenset(states) - self._watching
                return
            self._wait(
                deadline,
                f"{len(waiting)} of {len(states)} shard(s) have not begun to watch, the first being {waiting[0]}: is "
                "`moveout run` up, the tail not paused, and the target there? `moveout status` tells",
            )

    def _wait(self, deadline: float, why: str) -> None:
        if self._clock.monotonic() >= deadline:
            raise NotWatched(why)
        self._clock.sleep(LOOK_SECONDS / 2)

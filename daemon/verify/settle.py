"""The window rule, acting: doubts are settled while the application writes, without a false alarm.

One round, for a batch of keys:

    watch the keys that the target does not hold   (helper of the absent; acknowledged by every shard's process)
    T1 = read the target     S = read the source, consistently     L = the last round of heartbeats begun
    wait until a round > L is proven     T2 = read the target     judge (rules.judge_window)

*Rounds, not clocks.* A round is numbered durably before its heartbeats are written (`prove.Prover.beat`), and L is read
after S. So the heartbeats of each round > L were written after S was read, and when it is proven, every write that the
source acknowledged until S is durable in the target: the events of a key up to and including e, the last one that S
shows. (A dead letter is proven past as well, and not in the target: its keys are excused, and asked for again at the
end.) A resync sets the proven round forward without a proof; then `applied_through` is none, and it does not count.

*T2 equals S*: the target held what the source held. No difference. (So a first glance needs no proof.)

*Both present, T1.version = T2.version = v, T2 differs from S.* T1 was read before S, so what it shows came from an
event up to e, or from the backfill: v <= T(e). T2 was read behind the proof, e is applied, and a target never goes
back: v >= T(e). So v = T(e), the row is e's, and e's image is S: that T2 differs is damage, whoever wrote in between.
(Without any event in the stream: v is the backfill's, whose row the source still shows.) The versions of one key rise
along its history, also where a value comes back (A, B, A).

*The source holds nothing, T1 and T2 are one version*: as above, e being the deletion: it was lost.

*Both absent, S is there.* No version tells that nothing happened: it may have been put (S), and deleted before T2,
again and again. So the key must be untouched besides: the watch was acknowledged before T1; behind T2 one more proof is
waited for, and then no shard's process may have seen an event of the key. Had e come to its shard before the watch
began, T1 would show it, or a later deletion d was applied before T1; then d is younger than e and older than T1, so S
would not show e. Had e come afterwards, or a deletion between S and T2, the watch has seen it: all that was
acknowledged before T2 is covered by the second proof, whose states carry what was touched. So e is lost. The same for
a target that keeps no versions, where two equal reads prove nothing.

*Anything else* is looked at again, ROUNDS_MAX times; what is hotter than that stays a candidate for the fence. What no
watch answered for (another one was under way, a shard was late, a proof took longer than a watch holds) is not hot, and
may be lost: nothing is known of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from daemon.control import Control, Proof
from daemon.verify import rules
from daemon.verify.rules import Doubt, Expiry, Named, Verdict
from sinks.change import Item, Key
from sinks.sink import Stored

ROUNDS_MAX = 5
POLL_SECONDS = 0.25


class Watch(Protocol):
    """Tells which keys no event has touched: `daemon/verify/watching.py`."""

    def begin(self, keys: Sequence[Key]) -> str:
        """Watch these instead of what was watched before; returns when every open shard's process knows."""

    def end(self) -> None:
        """Nothing is watched any more; somebody else may."""

    def untouched(self, keys: Sequence[Key]) -> set[Key]:
        """Those of the watched keys that no shard's process has seen an event of, as of its saved state."""

    def knows(self) -> bool:
        """False where `untouched` names no key because nothing is known; to be asked behind it."""


class Sides(Protocol):
    """The two tables."""

    def target(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What the target holds of these. Waits for a target that is away."""

    def source(self, keys: Sequence[Key]) -> Mapping[Key, Item]:
        """What the source holds, read consistently. Raises ClientError, BotoCoreError."""


class Proofs(Protocol):
    """The rounds of heartbeats."""

    def begun(self) -> int:
        """The last round begun."""

    def wait_beyond(self, begun: int) -> None:
        """Returns when a later round is proven. Raises when nobody wants the result any more."""


class Found(NamedTuple):
    """A difference that was settled; `version` is the target's, 0 where it holds nothing."""

    doubt: Doubt
    named: Named
    version: int


class Settled(NamedTuple):
    """What became of a batch of doubts. `hot` ones were written each time that they were looked at.

    `unwatched` ones look lost, and no watch could tell whether they were written.
    """

    same: list[Doubt]
    differences: list[Found]
    hot: list[Found]
    unwatched: list[Found]


class _Looks(NamedTuple):
    first: Mapping[Key, Stored]
    source: Mapping[Key, Item]
    second: Mapping[Key, Stored]
    expiry: Expiry

    def verdict(self, key: Key) -> Verdict:
        return rules.judge_window(self.first.get(key), self.source.get(key), self.second.get(key), self.expiry)

    def found(self, doubt: Doubt) -> Found:
        stored = self.second.get(doubt.key)
        made = rules.named(self.source.get(doubt.key), stored, doubt, self.expiry)
        return Found(doubt, made, stored.version if stored else 0)


class Settler:
    """Settles doubts. `expiry` is asked for each round: it carries the time."""

    def __init__(self, sides: Sides, proofs: Proofs, watch: Watch, expiry: Callable[[], Expiry]) -> None:
        self._sides = sides
        self._proofs = proofs
        self._watch = watch
        self._expiry = expiry

    def settle(self, doubts: Iterable[Doubt]) -> Settled:
        """All of them. Raises what the sides and the proofs raise."""
        settled = Settled([], [], [], [])
        left = self._glance(_once(doubts), settled)
        for _ in range(ROUNDS_MAX):
            if not left:
                break
            self._round(left, settled)
            left = [found.doubt for found in (*settled.hot, *settled.unwatched)]
        return settled

    def _glance(self, doubts: list[Doubt], settled: Settled) -> list[Doubt]:
        """Most are equal at once, and no proof need be waited for; those that are not."""
        keys = [doubt.key for doubt in doubts]
        source, expiry = self._sides.source(keys), self._expiry()
        stored = self._sides.target(keys)
        left: list[Doubt] = []
        for doubt in doubts:
            same = rules.judge_now(source.get(doubt.key), stored.get(doubt.key), expiry) is Verdict.SAME
            (settled.same if same else left).append(doubt)
        return left

    def _round(self, doubts: list[Doubt], settled: Settled) -> None:
        """Look once; what is hot or unwatched then has to be looked at again."""
        keys = [doubt.key for doubt in doubts]
        watched = self._watched(keys)
        looks = self._look(keys)
        again: list[Found] = []
        unproven: list[Found] = []
        for doubt in doubts:
            verdict = looks.verdict(doubt.key)
            if verdict is Verdict.SAME:
                settled.same.append(doubt)
            elif verdict is Verdict.AGAIN:
                again.append(looks.found(doubt))
            elif rules.needs_watch(looks.first.get(doubt.key)):
                unproven.append(looks.found(doubt))
            else:
                settled.differences.append(looks.found(doubt))
        untouched = self._untouched([found.doubt.key for found in unproven if found.doubt.key in watched])
        unanswered = watched - untouched if watched and not self._watch.knows() else set()
        if watched:
            self._watch.end()
        settled.differences.extend(found for found in unproven if found.doubt.key in untouched)
        rest = [found for found in unproven if found.doubt.key not in untouched]
        settled.hot[:] = again + [found for found in rest if found.doubt.key not in unanswered]
        settled.unwatched[:] = [found for found in rest if found.doubt.key in unanswered]

    def _watched(self, keys: list[Key]) -> set[Key]:
        """Watch, before the first look that counts, what no version can speak for."""
        found = self._sides.target(keys)
        absent = [key for key in keys if rules.needs_watch(found.get(key))]
        if absent:
            self._watch.begin(absent)
        return set(absent)

    def _look(self, keys: list[Key]) -> _Looks:
        first = self._sides.target(keys)
        source = self._sides.source(keys)
        self._proofs.wait_beyond(self._proofs.begun())
        return _Looks(first, source, self._sides.target(keys), self._expiry())

    def _untouched(self, keys: list[Key]) -> set[Key]:
        if not keys:
            return set()
        # What was touched until the second look is in the shards' records only when a later round is.
        self._proofs.wait_beyond(self._proofs.begun())
        return self._watch.untouched(keys)


def _once(doubts: Iterable[Doubt]) -> list[Doubt]:
    """Each key once, as the doubt that knows most of it."""
    of_key: dict[Key, Doubt] = {}
    for doubt in doubts:
        known = of_key.get(doubt.key)
        if known is None or (doubt.digest and not known.digest):
            of_key[doubt.key] = doubt
    return list(of_key.values())


class ControlProofs:
    """The proof as the leader writes it into the control table."""

    def __init__(
        self, control: Control, generation: int, wanted: Callable[[], None], sleep: Callable[[float], None]
    ) -> None:
        """`wanted` raises when nobody wants the result any more."""
        self._control = control
        self._generation = generation
        self._wanted = wanted
        self._sleep = sleep

    def begun(self) -> int:
        """As Proofs. Raises ClientError, BotoCoreError."""
        return self._proof().round

    def wait_beyond(self, begun: int) -> None:
        """As Proofs. While the lag is not proven it waits: nothing can be said then."""
        while not self._covers(begun):
            self._wanted()
            self._sleep(POLL_SECONDS)

    def _covers(self, begun: int) -> bool:
        proof = self._proof()
        return proof.applied_through is not None and proof.proven_round > begun

    def _proof(self) -> Proof:
        found = self._control.get("proof", Proof)
        return (found[0] if found else Proof()).of(self._generation)

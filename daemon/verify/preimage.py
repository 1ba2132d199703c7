"""V1, the assertion on live events: before an event is applied, the target's row must be the event's old image.

Whoever applies an event stands in its key's own order: everything of the key before it is applied, nothing of it after.
So a row below the event's version must be what the event says was there (facts: cutover, 3e). It costs one read of the
target per sampled key, none of the source, and it checks the backfill and every apply before it.

What must not be taken for a difference, each with its reason:

- *a replay*: the row's version is not below the event's. Where a later deletion was applied already there is no row to
  tell; so a row that is missing is a doubt until a heartbeat passes that was written after the row was read. Whatever
  was applied by then was in the stream before that heartbeat: with no deletion of the key up to it there was none.
- *a row that is still to be loaded, or that was loaded with this very event in it*: the export is younger than the
  stream's begin. A row of the load, or none, is compared only where the event is of later than the load's end. So is
  a row where there should be none: a sink with a cheap load (`BulkLoad`) may show ghosts until it is settled, and a
  replay may even give such a ghost a version of the stream.
- *a change that the target refused*: it is a dead letter, known and told. A key that ever was one is left out: a letter
  may be settled between two of our looks.
- *an item that has expired*: a target with a TTL of its own removes it before the source does.

The event then replaces the whole row, so what was found is healed: its record says `gone`, and that it was there.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon.clock import SYSTEM, Clock
from daemon.control import Control, Migration, Proof, ShardState
from daemon.dead_letter import LETTERS, DeadLetter
from daemon.phase import Phase
from daemon.source.stream import ABSENT, NOT_TOLD, Event
from daemon.verify.canonical import NotAnItem, differing, spelled
from daemon.verify.record import Records, State, key_text
from daemon.verify.rules import Expiry, Kind, Named, expired
from sinks.change import Key, KeySchema
from sinks.sink import Stored

log = structlog.get_logger()

BY = "preimage"
LOAD_LOOK_SECONDS = 5.0
# Doubts are rare; so many at once are no doubts, and each costs memory.
DOUBTS_MAX = 1000
_VERSION_KNOWN = (Phase.BACKFILLING, Phase.REPLICATING, Phase.SWITCHING, Phase.SWITCHED)
_item = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def sampler(percent: float) -> Callable[[Key], bool] | None:
    """Which keys are looked at: the same on a replay. None for 0 %."""
    if percent <= 0:
        return None
    if percent >= 100:  # noqa: PLR2004  all
        return lambda _: True
    below = int(percent / 100 * 2**32)

    def sampled(key: Key) -> bool:
        seen = zlib.crc32(_bytes(key.partition))
        return (seen if key.sort is None else zlib.crc32(_bytes(key.sort), seen)) < below

    return sampled


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


class Load(NamedTuple):
    """What is known of the load: the highest version of its rows; since when it is over (epoch seconds), if it is."""

    version: int
    over_since: float | None
    brings_all: bool = True  # false where nothing was loaded: a key may be missing because it never came

    def settles(self, event: Event) -> bool:
        """True when a row of the load, or none, says something about this event."""
        return self.over_since is not None and event.created_at > self.over_since


class Doubt(NamedTuple):
    """A row that was not there, and the last round of heartbeats that had begun when that was seen."""

    event: Event
    round: int


class Facts(Protocol):
    """What the assertion asks of the control table. Its methods raise ClientError, BotoCoreError."""

    def load(self) -> Load | None:
        """Of the generation in force; None before its version is decided. Rows of it come only after that."""

    def round(self) -> int:
        """The last round of heartbeats that has begun."""

    def refused(self) -> set[str]:
        """The keys, as typed JSON, of which a change is or was a dead letter."""

    def text(self, key: Key) -> str:
        """The key as `refused` spells it."""

    def keep(self, key: Key, named: Named, version: int) -> None:
        """Write down what was found."""


class Preimages:
    """The assertion of one shard's process. It is handed each batch before that is applied."""

    def __init__(
        self,
        read: Callable[[Sequence[Key]], Mapping[Key, Stored]],
        facts: Facts,
        ttl: str | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        """`read` waits for the target as long as it takes. `ttl`: the attribute by which the target expires rows."""
        self._read = read
        self._facts = facts
        self._ttl = ttl
        self._clock = clock
        self._doubts: dict[Key, Doubt] = {}
        self._off = False

    def __call__(self, state: ShardState, events: Sequence[Event]) -> ShardState:
        """The state with what was counted. Raises Abandoned; what the control table cannot tell is not asserted."""
        firsts = {} if self._off else dict(_firsts(events))
        if any(event.before == NOT_TOLD for event in firsts.values()):
            self._off = True
            log.warning("preimages_off", why="the stream's view type has no old images: NEW_AND_OLD_IMAGES has")
            return state
        if not (firsts or self._doubts):
            return state
        try:
            wrong = sum(map(self._settled, events)) if self._doubts else 0
            compared, found = self._compare(firsts, events) if firsts else (0, 0)
        except (ClientError, BotoCoreError) as error:
            log.warning("preimages_not_compared", error=str(error))
            return state
        return msgspec.structs.replace(
            state, preimages=state.preimages + compared, preimages_wrong=state.preimages_wrong + wrong + found
        )

    def _compare(self, firsts: Mapping[Key, Event], events: Sequence[Event]) -> tuple[int, int]:
        load = self._facts.load()
        if load is None:
            return 0, 0
        stored = self._read(list(firsts))
        judgements = {key: judged(event, stored.get(key), load) for key, event in firsts.items()}
        compared = {key: found for key, found in judgements.items() if found is not None}
        suspects = {key: found for key, found in compared.items() if found is not SAME}
        refused = self._facts.refused() if suspects else set()
        wrong = 0
        for key, found in suspects.items():
            if self._facts.text(key) in refused:
                continue
            if found is MISSING:
                self._doubt(key, firsts[key], events)
            else:
                wrong += self._told(key, found, stored[key].version)
        return len(compared), wrong

    def _doubt(self, key: Key, event: Event, events: Sequence[Event]) -> None:
        """What follows in the batch was in the stream before the row was read."""
        deleted = any(
            one.change is not None
            and one.change.key == key
            and one.change.item is None
            and one.version >= event.version
            for one in events
        )
        if not deleted and not self._expired(event) and len(self._doubts) < DOUBTS_MAX:
            self._doubts[key] = Doubt(event, self._facts.round())

    def _expired(self, event: Event) -> bool:
        return expired(_item(event.before or b"{}"), Expiry(self._ttl, self._clock.time()))

    def _settled(self, event: Event) -> int:
        """Doubts that this event ends; how many of them were differences."""
        if event.change is not None:
            if event.change.item is None:
                self._doubts.pop(event.change.key, None)
            return 0
        if event.heartbeat is None:
            return 0
        sure = [key for key, doubt in self._doubts.items() if doubt.round < event.heartbeat.round]
        return sum(self._told(key, MISSING, 0) for key in sure if self._doubts.pop(key))

    def _told(self, key: Key, named: Named, version: int) -> int:
        self._facts.keep(key, named, version)
        log.error("preimage_differs", kind=named.kind.value, attributes=named.attributes, version=version)
        return 1


SAME = Named(Kind.CHANGED, [])
MISSING = Named(Kind.MISSING, [])
EXTRA = Named(Kind.EXTRA, [])


def _firsts(events: Sequence[Event]) -> Iterator[tuple[Key, Event]]:
    """The first event of each sampled key: the row that is read is what it was before that one."""
    seen = set()
    for event in events:
        if event.before is not None and event.change is not None and event.change.key not in seen:
            seen.add(event.change.key)
            yield event.change.key, event


def judged(event: Event, stored: Stored | None, load: Load) -> Named | None:
    """Pure: SAME, how the row differs from the old image, or None where the row says nothing about this event.

    MISSING is a doubt yet: a later deletion may have been applied already.
    """
    assert event.before is not None  # noqa: S101  a sampled one
    if event.version <= load.version or (stored is not None and stored.version >= event.version):
        return None
    loaded_or_ghost = stored is None or stored.version <= load.version or event.before == ABSENT
    if loaded_or_ghost and not load.settles(event):
        return None
    if stored is None:
        return SAME if event.before == ABSENT else (MISSING if load.brings_all else None)
    if event.before == ABSENT:
        return EXTRA
    if event.before == stored.item.json:
        return SAME
    try:
        names = differing(spelled(_item(event.before)), spelled(_item(stored.item.json)))
    except (NotAnItem, msgspec.MsgspecError):
        return Named(Kind.CHANGED, ["(the target's row is no item)"])
    if not names:
        return SAME
    return Named(Kind.STALE if stored.version <= load.version else Kind.CHANGED, names)


class ControlFacts:
    """Facts out of the control table."""

    def __init__(
        self, control: Control, keys: KeySchema, generation: int, margin_seconds: float, clock: Clock = SYSTEM
    ) -> None:
        """`margin_seconds`: how far the stream's clock may be behind ours."""
        self._control = control
        self._keys = keys
        self._records = Records(control, keys)
        self._generation = generation
        self._margin_seconds = margin_seconds
        self._clock = clock
        self._looked_at = float("-inf")
        self._load: Load | None = None

    def load(self) -> Load | None:
        """Looked up every few seconds until it is over."""
        now = self._clock.monotonic()
        if (self._load is None or self._load.over_since is None) and now - self._looked_at >= LOAD_LOOK_SECONDS:
            self._looked_at = now
            found = self._control.get("migration", Migration)
            if found is not None and found[0].generation == self._generation and found[0].phase in _VERSION_KNOWN:
                self._load = self._of(found[0])
        return self._load

    def _of(self, migration: Migration) -> Load:
        over = migration.phase is not Phase.BACKFILLING
        since = self._clock.time() + self._margin_seconds if over else None
        return Load(migration.backfill_version, since, bool(migration.parts))

    def round(self) -> int:
        """By the record of the proof."""
        found = self._control.get("proof", Proof)
        return found[0].round if found else 0

    def refused(self) -> set[str]:
        """By the letters; read only when something was found."""
        return {letter.key for letter, _ in self._control.all(LETTERS, DeadLetter).values()}

    def text(self, key: Key) -> str:
        """As the letters and the differences spell it."""
        return key_text(self._keys, key)

    def keep(self, key: Key, named: Named, version: int) -> None:
        """Healed by the event that met it; see above."""
        self._records.keep(key, named, version, BY, self._clock.time(), 0, State.GONE)

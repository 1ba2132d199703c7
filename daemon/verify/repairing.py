"""The parts of a repair: what may be repaired, with what, and what is written down of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from daemon import completion, ordered
from daemon.app import Parts
from daemon.control import Migration
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.source import shards
from daemon.source.heartbeat import is_heartbeat
from daemon.source.keys import key_reader
from daemon.verify.canonical import differing, spelled
from daemon.verify.record import Records, State
from daemon.verify.repair import BATCH_KEYS, DONE, Outcome, Repairer
from daemon.verify.watching import Watch
from sinks.attributes import UnreadableItem
from sinks.change import Item, Key
from sinks.dynamodb.call import Calls
from sinks.dynamodb.wire import key_json
from sinks.sink import Readable, Stored

Told = Callable[[str], None]
_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class Difference(NamedTuple):
    """How a key differs at one look, in a few words; None: it does not."""

    key: Key
    how: str | None


def allowed(known: Parts, generation: int | None = None) -> Migration:
    """The migration, if its rows may be repaired now. Raises CheckFailed with what stands in the way."""
    completion.refuse_if_begun(known.control)
    if ordered.is_ordered(known.config):
        raise CheckFailed(
            "target.mode is ordered: its items have no version, so a repair could overwrite a newer write. Write the "
            "item once more in the source table: that comes by the stream"
        )
    if known.config.tail.proof != "heartbeat":
        raise CheckFailed("a repair gets its version from rounds of heartbeats, and tail.proof is another")
    found = known.control.get("migration", Migration)
    if found is None or found[0].phase is not Phase.REPLICATING:
        phase = found[0].phase.value if found else "not begun"
        raise CheckFailed(
            f"rows are repaired in phase {Phase.REPLICATING.value}, and the migration is in phase {phase}: before it "
            "the backfill may still bring them, after it the target is the application's"
        )
    if generation not in (None, found[0].generation):
        raise CheckFailed("a resync has begun meanwhile, which loads all rows anew: nothing was written")
    return found[0]


def chosen(known: Parts, given: Sequence[str]) -> list[Key]:
    """The keys given as typed JSON; without any, those of all differences that stand. Raises CheckFailed, …"""
    if given:
        read = key_reader(known.keys)
        try:
            keys = [read(text.encode()) for text in given]
        except UnreadableItem as error:
            raise CheckFailed(f'--key is the key in typed JSON, such as {{"id":{{"S":"x"}}}}: {error}') from error
        if any(map(is_heartbeat, keys)):
            raise CheckFailed("that is the key of a heartbeat, which is never in the target")
        return keys
    return Records(known.control, known.keys).standing()


def source_reader(known: Parts, calls: Calls) -> Callable[[Sequence[Key]], dict[Key, Item]]:
    """A function that reads items of the source consistently, as their bytes. It raises ClientError, BotoCoreError."""
    table = known.config.source.table

    def read(keys: Sequence[Key]) -> dict[Key, Item]:
        found = {}
        for key in keys:
            request = {"TableName": table, "Key": key_json(known.keys, key), "ConsistentRead": True}
            answer = calls.call("GetItem", request)
            if "Item" in answer:
                found[key] = Item(msgspec.json.encode(answer["Item"]))
        return found

    return read


def looked(source: Mapping[Key, Item], target: Mapping[Key, Stored], keys: Sequence[Key]) -> list[Difference]:
    """One look at both sides, which says nothing certain about a key that is being written. Raises NotAnItem."""
    return [Difference(key, _how(source.get(key), target.get(key))) for key in keys]


def _how(item: Item | None, stored: Stored | None) -> str | None:
    if item is None or stored is None:
        if item is None and stored is None:
            return None
        return "extra: in the target only" if item is None else "missing: in the source only"
    names = differing(spelled(_decode(item.json)), spelled(_decode(stored.item.json)))
    return f"changed: {', '.join(names)}" if names else None


class Repairing:
    """One run of `moveout repair` over an open sink."""

    def __init__(self, known: Parts, sink: Any, calls: Calls, told: Told) -> None:
        """Raises CheckFailed where nothing can be repaired."""
        if not isinstance(sink, Readable):
            raise CheckFailed("this sink cannot be read, so nobody can tell whether a row is right")
        self._known = known
        self._sink: Any = sink
        self._generation = allowed(known).generation
        self._records = Records(known.control, known.keys)
        self._source = source_reader(known, calls)
        self._told = told

    def looked(self, keys: Sequence[Key]) -> list[Difference]:
        """For `--dry-run`: one look."""
        return looked(self._source(keys), self._sink.read(keys), keys)

    def repaired(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Outcome]]:
        """Each key with what became of it, a batch after the other; a batch that is told is durably done.

        Raises NotWatched, NotProven, CheckFailed, SinkError, ClientError, BotoCoreError.
        """
        for batch in _batches(keys):
            outcomes = self._repairer().repair(batch)
            for key, outcome in outcomes.items():
                if outcome in DONE:
                    state = State.REPAIRED if outcome is Outcome.REPAIRED else State.GONE
                    self._records.settle(key, state, outcome.value)
                yield key, outcome

    def _repairer(self) -> Repairer:
        known, generation = self._known, self._generation
        arn = allowed(known, generation).stream_arn
        return Repairer(
            control=known.control,
            generation=generation,
            watch=Watch(known.control, generation, known.clock),
            source=self._source,
            target=self._sink,
            listing=lambda: shards.describe(known.streams, arn, known.clock),
            allowed=lambda: allowed(known, generation),
            told=self._told,
            clock=known.clock,
        )


def _batches(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    return (keys[at : at + BATCH_KEYS] for at in range(0, len(keys), BATCH_KEYS))

"""What the target can never store: written down durably, so that everything else may flow, and told until resolved.

A dead letter has two halves. The body (the change as it was, with the reason) is one line of JSON in an object
or file of its own; the record in the control table says where it is and what became of it. Body first, then
record, then, by the caller, the position: a crash in between writes the same letter again, under the same name.

Versions make a retry safe at any time and in any order (daemon/README.md, "One rule of order").
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec

from daemon.control import Control
from daemon.letter_box import BoxUnavailable, LetterBox
from daemon.source.keys import key_reader
from sinks.change import Change, Item, Key, KeySchema
from sinks.dynamodb.wire import key_json
from sinks.sink import Readable, Rejection, Sink

LETTERS = "dead#"
ID_LENGTH = 16


class LetterState(StrEnum):
    """What became of a letter."""

    OPEN = "open"  # readers must not switch
    SETTLED = "settled"  # the key has moved on: a newer change is in the target, or the item is gone
    RETRIED = "retried"  # stored after all
    WAIVED = "waived"  # a person has decided to go without it


class TooManyDeadLetters(Exception):
    """So many changes are refused that they are no exceptions: stop rather than put the table aside."""


class NoSuchLetter(Exception):
    """The id is not that of a dead letter."""


class DeadLetter(msgspec.Struct, frozen=True):
    """The record of a letter. `key` is typed JSON, `at` epoch seconds, `body` where the change itself lies."""

    key: str
    version: int
    reason: str
    origin: str
    sink: str
    at: float
    body: str
    gone_at: float | None = None  # epoch seconds: since then the source is known not to hold the item
    state: LetterState = LetterState.OPEN
    note: str = ""


class Body(msgspec.Struct, frozen=True):
    """The line that is written: all that is needed to apply the change again, or to look at it."""

    id: str
    migration: str
    key: msgspec.Raw
    version: int
    item: msgspec.Raw  # `null` for a deletion
    reason: str
    sink: str
    origin: str
    at: float


def letter_id(keys: KeySchema, change: Change) -> str:
    """The same change has the same id, whoever meets it and how often."""
    return sha256(_key(keys, change.key) + b"@%d" % change.version).hexdigest()[:ID_LENGTH]


class DeadLetters:
    """The dead letters of one migration."""

    def __init__(
        self,
        control: Control,
        box: LetterBox,
        keys: KeySchema,
        *,
        migration: str,
        sink: str,
        limit: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._control = control
        self._box = box
        self._keys = keys
        self._migration = migration
        self._sink = sink
        self._limit = limit
        self._now = now
        self._room: int | None = None  # counted when the first letter comes

    def keep(self, rejections: Sequence[Rejection], origin: str) -> None:
        """Make the rejected changes durable. `origin` names the shard or file they came from.

        Raises TooManyDeadLetters, BoxUnavailable, ClientError, BotoCoreError: then nothing may pass them.
        """
        for rejection in rejections:
            self._keep(rejection, origin)

    def _keep(self, rejection: Rejection, origin: str) -> None:
        change = rejection.change
        name = letter_id(self._keys, change)
        if self._control.get(LETTERS + name, DeadLetter) is not None:
            return  # a replay; what became of it stays
        self._take_room(rejection)
        key = _key(self._keys, change.key)
        item = msgspec.Raw(change.item.json if change.item is not None else b"null")
        at, reason, raw = self._now(), rejection.reason, msgspec.Raw(key)
        body = Body(name, self._migration, raw, change.version, item, reason, self._sink, origin, at)
        where = self._box.put(name, msgspec.json.encode(body) + b"\n")
        letter = DeadLetter(key.decode(), change.version, reason, origin, self._sink, at, where)
        self._control.update(LETTERS + name, DeadLetter, lambda known: known or letter)

    def _take_room(self, rejection: Rejection) -> None:
        if self._room is None:
            self._room = self._limit - len(self.all())
        if self._room <= 0:
            raise TooManyDeadLetters(
                f"there are {self._limit} dead letters already (dead_letters.limit), and the target refuses more, the "
                f"last being {rejection.change.key}: {rejection.reason}. That is no exception but a rule: look at "
                "`moveout dead-letter list`, then change the target, or raise the limit"
            )
        self._room -= 1

    def all(self) -> dict[str, DeadLetter]:
        """Every letter by id, whatever became of it. Raises ClientError, BotoCoreError."""
        return {name: letter for name, (letter, _) in self._control.all(LETTERS, DeadLetter).items()}

    def get(self, name: str) -> DeadLetter:
        """One letter's record. Raises NoSuchLetter."""
        found = self._control.get(LETTERS + name, DeadLetter)
        if found is None:
            raise NoSuchLetter(f"there is no dead letter {name!r}: `moveout dead-letter list --all` shows them")
        return found[0]

    def read(self, name: str) -> Body:
        """What was written down. Raises NoSuchLetter, BoxUnavailable."""
        where = self.get(name).body
        try:
            return msgspec.json.decode(self._box.get(where), type=Body)
        except msgspec.MsgspecError as error:
            raise BoxUnavailable(f"the dead letter {where} is not as it was written ({error}): try again") from error

    def change(self, name: str) -> Change:
        """The change itself. Raises NoSuchLetter, BoxUnavailable."""
        body = self.read(name)
        key = key_reader(self._keys)(bytes(body.key))
        item = bytes(body.item)
        return Change(key, body.version, Item(item) if item != b"null" else None)

    def mark(self, name: str, state: LetterState, note: str) -> None:
        """Say what became of it; a letter that is open no more stays as it is. Raises NoSuchLetter."""
        self.get(name)

        def marked(known: DeadLetter | None) -> DeadLetter:
            assert known is not None  # noqa: S101  looked up above, and letters are never deleted
            changed = msgspec.structs.replace(known, state=state, note=note)
            return changed if known.state is LetterState.OPEN else known

        self._control.update(LETTERS + name, DeadLetter, marked)

    def retry(self, name: str, sink: Sink) -> str | None:
        """Apply it again: None when it is in the target now (or something newer is), else the sink's reason.

        A letter that is open no more is left alone.
        """
        if self.get(name).state is not LetterState.OPEN:
            return None
        refused = sink.apply([self.change(name)])
        if refused:
            return refused[0].reason
        self.mark(name, LetterState.RETRIED, "stored when it was tried again")
        return None

    def settle(self, sink: Readable, in_source: Callable[[Key], bool], applied_through: float | None) -> list[str]:
        """Recognise the open letters whose key has moved on; which. Raises what the two raise.

        `applied_through`, in epoch seconds, is the proven instant: a deletion leaves nothing to read in the target,
        so it is believed when everything that was written until the item was seen to be gone has been applied.
        """
        letters = {name: letter for name, letter in self.all().items() if letter.state is LetterState.OPEN}
        read_key = key_reader(self._keys)
        newest = _newest(letters)
        settled = []
        for name, letter in letters.items():
            key = read_key(letter.key.encode())
            why = _superseded(letter, newest[letter.key]) or _overtaken(letter, key, sink)
            if why is None and self._gone(name, letter, in_source(key), applied_through):
                why = "superseded: the item was deleted"
            if why is not None:
                self.mark(name, LetterState.SETTLED, why)
                settled.append(name)
        return settled

    def resynced(self, is_ghost: Callable[[Key, int], bool]) -> list[str]:
        """After a gap: recognise the open letters that a resync has made void; which.

        Their key was loaded anew, or its deletion was lost in the gap: then nothing in the target would stop a retry.
        """
        read_key = key_reader(self._keys)
        void = []
        for name, letter in self.all().items():
            if letter.state is LetterState.OPEN and is_ghost(read_key(letter.key.encode()), letter.version):
                self.mark(name, LetterState.SETTLED, "a resync has brought this key up to date")
                void.append(name)
        return void

    def _gone(self, name: str, letter: DeadLetter, there: bool, applied_through: float | None) -> bool:  # noqa: FBT001
        """True once a deletion is surely applied; notes when the item was first seen to be gone."""
        gone_at = None if there else (letter.gone_at or self._now())
        if gone_at != letter.gone_at:
            noted = msgspec.structs.replace(letter, gone_at=gone_at)
            self._control.update(
                LETTERS + name, DeadLetter, lambda known: noted if known == letter else known or letter
            )
        return letter.gone_at is not None and not there and (applied_through or 0.0) > letter.gone_at


def counts(letters: Mapping[str, DeadLetter]) -> dict[str, int]:
    """How many letters are in each state."""
    found = Counter(letter.state for letter in letters.values())
    return {state.value: found[state] for state in LetterState}


def first_open(letters: Mapping[str, DeadLetter]) -> str | None:
    """The oldest open letter in a sentence; None when nothing is open."""
    waiting = sorted((letter.at, name, letter) for name, letter in letters.items() if letter.state is LetterState.OPEN)
    if not waiting:
        return None
    _, name, letter = waiting[0]
    return (
        f"{len(waiting)} change(s) that the target refuses wait for a decision, the oldest being {name} "
        f"({letter.key}: {letter.reason}). See `moveout dead-letter list`; then retry or waive"
    )


def _newest(letters: Mapping[str, DeadLetter]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for letter in letters.values():
        newest[letter.key] = max(letter.version, newest.get(letter.key, 0))
    return newest


def _superseded(letter: DeadLetter, newest: int) -> str | None:
    return f"a newer change of this key, {newest}, is a dead letter as well" if newest > letter.version else None


def _overtaken(letter: DeadLetter, key: Key, sink: Readable) -> str | None:
    stored = sink.read([key]).get(key)
    if stored is None or stored.version < letter.version:
        return None
    return f"superseded: the target holds version {stored.version}"


def _key(keys: KeySchema, key: Key) -> bytes:
    return msgspec.json.encode(key_json(keys, key))


def in_source(client: Any, table: str, keys: KeySchema) -> Callable[[Key], bool]:
    """A function that asks the source table, consistently. It raises ClientError, BotoCoreError."""

    def there(key: Key) -> bool:
        wanted = {name: _plain(value) for name, value in key_json(keys, key).items()}
        answer = client.get_item(
            TableName=table,
            Key=wanted,
            ConsistentRead=True,
            ProjectionExpression="#k",
            ExpressionAttributeNames={"#k": keys.partition.name},
        )
        return "Item" in answer

    return there


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """As boto3 wants it: binary as bytes."""
    from base64 import b64decode

    return {"B": b64decode(value["B"])} if "B" in value else value

"""The reserved keys that heartbeats use. Numbered, so that one small record says for ever which were written.

Which shard a key falls into cannot be computed, so keys are tried until each shard has one; then that one is kept.
"""

import math
import random
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from daemon.control import Control
from daemon.source.heartbeat import numbered_key
from sinks.change import KeyValue

RECORD = "heartbeats"
# 1,000 shards took 7,400 random keys, 10,500 at most (facts/cutover.md §3b).
KEYS_MAX = 100_000


class Reserved(msgspec.Struct, frozen=True):
    """The keys numbered 0 … used - 1 may have been written; the first `removed` of them are deleted again.

    `closed`: no more are written, the move is over.
    """

    salt: str
    used: int = 0
    closed: bool = False
    removed: int = 0

    def keys(self, kind: str, numbers: Sequence[int]) -> Iterator[KeyValue]:
        """The keys of these numbers; `kind` is the partition key's type."""
        return (numbered_key(kind, self.salt, number) for number in numbers)


def quota(leaves: int) -> int:
    """So many random keys reach every one of so many shards of equal size, but for one case in 20,000."""
    return math.ceil(leaves * (math.log(max(leaves, 1)) + 10))


class Dealt(msgspec.Struct, frozen=True):
    """The numbers to try now, and where the next round goes on."""

    numbers: Sequence[int]
    used: int
    cursor: int


def deal(used: int, cursor: int, wanted: int, leaves: int) -> Dealt:
    """Numbers to try: those that were used before, in turn; new ones while they are few, then one lot for each pass.

    So their number is bounded by the shards, and while nothing is read (a paused tail) it grows by its square root
    only: over a day some 12,000, at 64 a round and a round in five seconds.
    """
    numbers = list(range(cursor, min(used, cursor + wanted)))
    cursor += len(numbers)
    left = wanted - len(numbers)
    if left and cursor == used:
        room = quota(leaves) - used
        new = min(left, room if room > 0 else left, KEYS_MAX - used)
        numbers += range(used, used + new)
        used += new
        # A pass is over when the quota is used up: then all are tried again.
        cursor = used if room > 0 else 0
    return Dealt(numbers, used, cursor)


def _used(used: int, salt: str, found: Reserved | None) -> Reserved:
    """Another leader may have been quicker: then its salt counts."""
    found = found or Reserved(salt)
    return msgspec.structs.replace(found, used=max(found.used, used))


class Dealer:
    """Deals keys to one leader. What it deals is durable first: a crash leaves no item that nobody knows of."""

    def __init__(self, control: Control, kind: str, chance: random.Random) -> None:
        self._control = control
        self._chance = chance
        self._kind = kind
        self._cursor = 0

    def closed(self) -> bool:
        """The move is over, and the items are being removed. Raises ClientError, BotoCoreError."""
        found = self._control.get(RECORD, Reserved)
        return found is not None and found[0].closed

    def deal(self, wanted: int, leaves: int) -> list[KeyValue]:
        """At most so many keys. Raises ClientError, BotoCoreError, Conflict."""
        if not wanted:
            return []
        found = self._control.get(RECORD, Reserved)
        reserved = found[0] if found else Reserved(f"{self._chance.getrandbits(64):016x}")
        dealt = deal(reserved.used, min(self._cursor, reserved.used), wanted, leaves)
        if found is None or dealt.used > reserved.used:
            reserved = self._control.update(RECORD, Reserved, partial(_used, dealt.used, reserved.salt))
        self._cursor = dealt.cursor
        return list(reserved.keys(self._kind, dealt.numbers))


def close(control: Control) -> Reserved:
    """From here on no leader writes any. Raises ClientError, BotoCoreError, Conflict."""
    return control.update(RECORD, Reserved, lambda found: msgspec.structs.replace(found or Reserved(""), closed=True))


def note_removed(control: Control, reserved: Reserved, count: int) -> None:
    """So many are gone: a rerun goes on behind them. Raises ClientError, BotoCoreError, Conflict."""
    control.update(RECORD, Reserved, lambda found: msgspec.structs.replace(found or reserved, removed=count))

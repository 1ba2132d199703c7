"""DynamoDB's time to live as CQL's: rows that expire by themselves.

The rules of the two, and what follows:

| DynamoDB's attribute                            | CQL                                                              |
|-------------------------------------------------|------------------------------------------------------------------|
| N of whole seconds since 1970, ahead            | INSERT … AND TTL (that time less now)                            |
| … reached, not deleted there yet                | DELETE at the same version                                       |
| … more than 5 years ago                         | no TTL: DynamoDB takes it for a mistake and keeps the item       |
| no N, or a fraction                             | no TTL: DynamoDB keeps the item                                  |
| … beyond 20 years, or 2038-01-18                | no TTL: CQL would refuse the row. It is kept, attribute and all  |

Sources: DynamoDB developer guide, "Using time to live (TTL)"; CQL, "Time to live"; Cassandra, `cassandra.yaml`
("storage_compatibility_mode": 2038 until it is NONE, which a client cannot see).

**Again changes nothing.** A TTL counts from the coordinator's now and not from the write timestamp, so a row that is
written again would live again (seen on a node). So what is left is counted anew at each write, and there is a DELETE
when nothing is: at one timestamp a deletion wins over any cell, in either order. Written again earlier, the row gets
the same time of expiry.

**Under which condition.** A row that has expired is purged gc_grace_seconds after it was *written*, as if it had been a
tombstone since then: the same time that must outlast the move for deletions guards against an older row here.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sinks.attributes import Value, reader
from sinks.cassandra.cells import Cell
from sinks.cassandra.key_columns import KeyColumns
from sinks.cassandra.layout import Layout, Mutation, Step, step
from sinks.change import Change, Key
from sinks.sink import Stored

SECONDS_MAX = 630_720_000  # 20 years (Cassandra, Attributes.MAX_TTL)
# 2038-01-19T03:14:06Z (Cassandra, Cell.MAX_DELETION_TIME), and a day less: a coordinator's clock may be ahead of ours.
EXPIRES_MAX = 2**31 - 2 - 86_400
FORGOTTEN_SECONDS = 5 * 365 * 86400
_int = struct.Struct(">i").pack


class ExpiringLayout:
    """A layout whose INSERTs carry a TTL. `clock` tells the seconds since 1970, which should be the nodes' own."""

    def __init__(self, layout: Layout, attribute: str, clock: Callable[[], float]) -> None:
        self._layout, self._expires, self._clock = layout, reader(attribute), clock
        self._inserts = {place for place, text in enumerate(layout.statements) if text.startswith("INSERT ")}
        self.statements: Sequence[str] = [
            f"{text} AND TTL ?" if place in self._inserts else text for place, text in enumerate(layout.statements)
        ]
        self.columns: Mapping[str, str] = layout.columns
        self.select: str = layout.select
        self.keys: KeyColumns = layout.keys

    def mutation(self, change: Change) -> Mutation:
        """The layout's own, with the seconds that are left; a deletion where none are."""
        if change.item is None:
            return self._layout.mutation(change)
        expires = self._expires(change.item.json)
        left = seconds_left(expires, int(self._clock()))
        if left < 0:
            self._layout.mutation(change)  # raises where it could never be stored: a rejection is no matter of time
            return self._layout.mutation(Change(change.key, change.version, None))
        cell = _int(left)
        made = self._layout.mutation(change)
        return Mutation(made.partition, tuple([self._expiring(one, cell) for one in made.steps]))

    def stored(self, key: Key, row: Sequence[Any]) -> Stored:
        """The layout's own: the attribute is data as any other."""
        return self._layout.stored(key, row)

    def _expiring(self, one: Step, cell: Cell) -> Step:
        return step(one.statement, (*one.cells, cell)) if one.statement in self._inserts else one


def seconds_left(expires: Value, now: int) -> int:
    """What to bind as TTL for an item that expires then: 0 is for ever, below 0 is expired already."""
    if not isinstance(expires, Decimal) or expires.as_tuple().exponent != 0:
        return 0
    left = int(expires) - now
    if left < -FORGOTTEN_SECONDS or left > SECONDS_MAX or expires > EXPIRES_MAX:
        return 0
    return left or -1

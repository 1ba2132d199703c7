"""The contract of a sink, in prose. The engine owns batching, retry, metrics and checkpoints; a sink owns its protocol.

Errors, by what the engine does about them:

    SinkError
    ├── SinkUnavailable     retry the same batch, for ever, with jitter: nothing is skipped
    └── SinkMisconfigured   stop: a person is needed, the message says what for
        └── TargetMissing   the table is not there; with create_table, `open` makes it

What the target can never store is no error but a Rejection: that one change; the rest flows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from sinks.change import Change, Item, Key


class SinkError(Exception):
    """Base of what a sink raises on purpose."""


class SinkUnavailable(SinkError):
    """The target did not confirm; nothing is known to be lost. The engine applies the same batch again.

    `left`, where the sink knows it, is what of the batch is not confirmed, refused changes included: only that is
    applied again.
    """

    def __init__(self, message: str, left: Sequence[Change] | None = None) -> None:
        super().__init__(message)
        self.left = left


class SinkMisconfigured(SinkError):
    """No retry can help: a missing table, a wrong key, a refused password. The message names the next step."""


class TargetMissing(SinkMisconfigured):
    """The target table does not exist, and `open` may not create it."""


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A change that this target can never store, and why."""

    change: Change
    reason: str


class Stored(msgspec.Struct, frozen=True, gc=False):
    """What the target holds for a key."""

    version: int
    item: Item


class Sink(Protocol):
    """Keeps, per key, the change with the highest version, deletions included."""

    def open(self) -> None:
        """Connect, and check that the target can take the changes.

        Raises SinkMisconfigured or SinkUnavailable.
        """

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Store the changes; any order, any number of times, several of one key.

        When it returns, every change is durable in the target *or* is in the returned rejections.
        Applying a batch again changes nothing. A change older than what the target holds for its key
        (a deletion included, also a deletion of a row never seen) changes nothing.

        Raises SinkUnavailable when nothing is known to be lost, SinkMisconfigured when a person is needed.
        """

    def close(self) -> None:
        """Release connections. Safe to call twice, and before open."""


@runtime_checkable
class Readable(Protocol):
    """Optional: reads back what is stored. Verification needs it."""

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What the target holds for these keys; a key that it does not hold is absent from the answer.

        Raises SinkUnavailable.
        """


@runtime_checkable
class Scannable(Protocol):
    """Optional: lists what is stored. Removing what a gap in the stream has left behind needs it."""

    def versions(self) -> Iterator[Sequence[tuple[Key, int]]]:
        """Key and version of every row, a page at a time; rows that are written meanwhile may be missing.

        Raises SinkUnavailable: then the listing starts anew.
        """


@runtime_checkable
class BulkLoad(Protocol):
    """Optional: a cheaper way in for backfill rows, at the price of one sweep at the end.

    A backfill row's version lies below the version of every change that its export may have missed.
    So a target without timestamps of its own may store it without asking its memory of deletions,
    and clean up afterwards.
    """

    def load(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """As apply, but a row that a newer deletion has removed may come back until `settle`. Puts only."""

    def settle(self) -> int:
        """Remove the rows that `load` brought back; how many. Nothing may be called ready before it.

        Raises SinkUnavailable; safe to repeat.
        """


@runtime_checkable
class Clocked(Protocol):
    """Optional: its nodes order writes by their clocks, so the application's must lie above all that was applied."""

    def clocks(self) -> Sequence[int]:
        """What each node's clock says, microseconds since 1970. Needs `open`. Raises SinkUnavailable."""


@runtime_checkable
class Followable(Protocol):
    """Optional: the target has a stream of its own, where a way back would begin."""

    def stream(self) -> str:
        """Its name, "" where it is not enabled. Needs `open`. Raises SinkUnavailable."""


@runtime_checkable
class Droppable(Protocol):
    """Optional: the target can be removed, with all that was made beside it, when the move is given up."""

    def drop(self, told: Callable[[str], None]) -> None:
        """Remove it; `told` hears of each table. Safe to repeat. Needs no `open`.

        Raises SinkMisconfigured, SinkUnavailable.
        """

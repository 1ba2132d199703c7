"""What a target needs before a move, must keep during it, and gives back after it: optional protocols of a sink.

`moveout schema` asks Described and Provisioned, `moveout complete` Guarded and Completable, and the service asks
Guarded now and then. None is on the way of a change.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec


class SourceTable(msgspec.Struct, frozen=True):
    """The source as its service describes it.

    `table` is DescribeTable's `Table`, `ttl_attribute` the enabled one of DescribeTimeToLive, `tags` of
    ListTagsOfResource, `notes` what could not be asked and why (a right that is missing).
    """

    table: Mapping[str, Any]
    ttl_attribute: str | None = None
    tags: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


class SchemaStep(msgspec.Struct, frozen=True):
    """One thing that the target still lacks.

    `statement` is what a person could run instead: CQL, or a command line of `aws`. With `by_hand` it is only shown:
    moveout cannot, or must not, do it (`why` says so). Nothing is lacking when there are no steps.
    `before` are the settings that it changes for the time of the move only, each as it was: they are kept, and given to
    `Guarded.restore` after the move.
    """

    statement: str
    why: str
    by_hand: bool = False
    before: Mapping[str, str] = {}


@runtime_checkable
class Provisioned(Protocol):
    """Optional: knows what the target table has to look like. Neither method needs `open`."""

    def schema_steps(self, source: SourceTable) -> Sequence[SchemaStep]:
        """What is missing or different in the target, in the order in which it is to be done.

        Raises SinkMisconfigured where no step can mend it (another key), SinkUnavailable.
        """

    def apply_schema(self, steps: Sequence[SchemaStep], told: Callable[[str], None] = lambda _: None) -> None:
        """Do the steps that are not by hand, wait until they are in force; `told` hears of the waiting. Safe to repeat.

        Raises SinkMisconfigured, SinkUnavailable.
        """


@runtime_checkable
class Described(Protocol):
    """Optional: can say all that the target has to be without asking it, for whoever makes targets by other means."""

    def ddl(self, source: SourceTable) -> Sequence[SchemaStep]:
        """Every step, as if nothing were there. Raises SinkMisconfigured."""


@runtime_checkable
class Guarded(Protocol):
    """Optional: the target has settings that undo a move when somebody alters them. No method needs `open`."""

    def hazards(self) -> Sequence[SchemaStep]:
        """The settings that are not as the move needs them, now, each with what mends it.

        Raises SinkMisconfigured, SinkUnavailable.
        """

    def restore(self, before: Mapping[str, str], told: Callable[[str], None]) -> None:
        """Give back the settings of before the move: what the steps' `before` said. `told` hears of each.

        What only a move needs is taken back even where nothing was noted. Safe to repeat and to interrupt.
        Raises SinkMisconfigured, SinkUnavailable.
        """


@runtime_checkable
class Completable(Protocol):
    """Optional: takes back what only the move needed. After the switch, when no replay can come any more."""

    def complete(self, told: Callable[[str], None]) -> None:
        """Remove hidden attributes, tables of tombstones, settings of the move; `told` hears of each and of progress.

        Safe to repeat and to interrupt. Raises SinkMisconfigured, SinkUnavailable.
        """

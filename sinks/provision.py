"""What a target needs before a move and gives back after it: two optional protocols of a sink.

`moveout schema` asks the first, `moveout complete` the second. Neither is on the way of a change.
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
    """

    statement: str
    why: str
    by_hand: bool = False


@runtime_checkable
class Provisioned(Protocol):
    """Optional: knows what the target table has to look like. Neither method needs `open`."""

    def schema_steps(self, source: SourceTable) -> Sequence[SchemaStep]:
        """What is missing or different in the target, in the order in which it is to be done.

        Raises SinkMisconfigured where no step can mend it (another key), SinkUnavailable.
        """

    def apply_schema(self, steps: Sequence[SchemaStep]) -> None:
        """Do the steps that are not by hand, wait until they are in force. Safe to repeat.

        Raises SinkMisconfigured, SinkUnavailable.
        """


@runtime_checkable
class Completable(Protocol):
    """Optional: takes back what only the move needed. After the switch, when no replay can come any more."""

    def complete(self, told: Callable[[str], None]) -> None:
        """Remove hidden attributes, tables of tombstones, settings of the move; `told` hears of each and of progress.

        Safe to repeat and to interrupt. Raises SinkMisconfigured, SinkUnavailable.
        """

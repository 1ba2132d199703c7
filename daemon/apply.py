"""The path that every change takes: into the sink, or durably among the dead letters, or loudly nowhere."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sinks.change import Change
from sinks.sink import BulkLoad, Rejection, Sink

Deliver = Callable[[Sequence[Change]], Sequence[Rejection]]
# Makes rejected changes durable elsewhere; raises when it cannot, and then nothing may pass them.
Keep = Callable[[Sequence[Rejection]], None]


class Ways(NamedTuple):
    """The ways of a change: `load` may be the cheaper one and takes puts only, `apply` takes every change.

    What either refuses goes to `keep`.
    """

    load: Deliver
    apply: Deliver
    keep: Keep


def cheapest(sink: Sink) -> Deliver:
    """The way in for rows of a backfill: the cheaper one, where the sink has it."""
    return sink.load if isinstance(sink, BulkLoad) else sink.apply


def deliver(into: Deliver, changes: Sequence[Change], keep: Keep) -> int:
    """Hand a batch to the sink's `apply` or `load`; how many changes the sink took.

    When it returns, every change is durable: in the target, or as a dead letter. Raises what the two raise.
    """
    if not changes:
        return 0
    rejections = into(changes)
    if rejections:
        keep(rejections)
    return len(changes) - len(rejections)

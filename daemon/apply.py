"""The path that every change takes: into the sink, or loudly nowhere."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sinks.change import Change
from sinks.sink import Rejection

Deliver = Callable[[Sequence[Change]], Sequence[Rejection]]


class Ways(NamedTuple):
    """The two ways into a sink: `load` may be the cheaper one and takes puts only, `apply` takes every change."""

    load: Deliver
    apply: Deliver


class ChangeRejected(Exception):
    """The target can never store a change. Nothing is skipped: the process ends and says which and why."""


def deliver(into: Deliver, changes: Sequence[Change]) -> int:
    """Hand a batch to the sink's `apply` or `load`; how many changes are durable now. Raises ChangeRejected."""
    if not changes:
        return 0
    rejections = into(changes)
    if rejections:
        first = rejections[0]
        raise ChangeRejected(
            f"the target can never store {len(rejections)} change(s), the first being {first.change.key} "
            f"as of version {first.change.version}: {first.reason}. Change or delete that item in the source "
            "(the stream then brings its newer state), or widen the target; the move goes on by itself"
        )
    return len(changes)

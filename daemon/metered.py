"""How much went into the target and how long it took: a sink around a sink, for figures of the target alone.

What operators watch (rows of a part, records of a shard) is counted in the control table, once for each row; this
counts what was sent, replays and failures as well, and lives as long as its process.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from daemon.apply import Deliver
from sinks.change import Change
from sinks.sink import Rejection, Sink, SinkError
from sinks.wrapping import lend


class Meter(msgspec.Struct):
    """What was sent: in batches that the target took, and in those that it did not."""

    batches: int = 0
    changes: int = 0
    rejections: int = 0
    failures: int = 0
    seconds: float = 0.0  # inside the sink, failures included


class Metered:
    """A sink around a sink that counts into `meter`. Inside of Retrying: each attempt counts, no pause does."""

    def __init__(self, inner: Sink, meter: Meter, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.inner = inner
        self._meter = meter
        self._monotonic = monotonic
        self.open, self.close = inner.open, inner.close
        lend(self, inner, load=lambda load: partial(self._measured, load))

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """As the inner sink's."""
        return self._measured(self.inner.apply, changes)

    def _measured(self, send: Deliver, changes: Sequence[Change]) -> Sequence[Rejection]:
        began, meter = self._monotonic(), self._meter
        try:
            rejections = send(changes)
        except SinkError:
            meter.failures += 1
            raise
        finally:
            meter.seconds += self._monotonic() - began
        meter.batches += 1
        meter.changes += len(changes)
        meter.rejections += len(rejections)
        return rejections

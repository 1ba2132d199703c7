"""The last quarter of an hour of lag and backfill, in memory: what a page that is opened now has not seen itself."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from daemon.signal.document import Document, epoch_seconds

EVERY_SECONDS = 3.0
SAMPLES_MAX = 300  # 15 minutes; about 30 KB


class Sample(NamedTuple):
    """Within EVERY_SECONDS from `at` on (epoch seconds): the longest lag (None: without a bound), and items loaded."""

    at: float
    lag_seconds: float | None
    items_done: int


class History:
    """Bounded; lost with the process, which is no loss: metrics are what is kept. Written by one thread."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    def saw(self, document: Document) -> None:
        """Once per turn. The worst of an interval is kept, so that no peak falls between two samples.

        Its time is the document's own: one that is shown again and again, because the loop stands still or the
        source is away, makes no samples, for nobody knows how long the lag is then.
        """
        at = epoch_seconds(document.published_at)
        seen = Sample(at, document.lag.seconds, document.backfill.items_done)
        last = self._samples[-1] if self._samples else None
        if last is None or not last.at <= at < last.at + EVERY_SECONDS:
            self._samples.append(seen)
        else:
            self._samples[-1] = Sample(last.at, _longer(last.lag_seconds, seen.lag_seconds), seen.items_done)

    def samples(self) -> Sequence[Sample]:
        """Oldest first; the last one may still change."""
        # `copy` is one step for other threads, where going through a deque that grows meanwhile would raise.
        return tuple(self._samples.copy())


def _longer(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)

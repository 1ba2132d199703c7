"""How fast a target is written: what a person allows, and what the table itself lets through.

Two bounds of different kinds. `Throughput` keeps write units per second below a limit, corrected by what the service
says that each request took. `Window` is what throttling teaches: fewer requests in flight at once when the table
refuses, one more after each round that it took whole (additive increase, multiplicative decrease).
"""

import threading
import time
from collections.abc import Callable, Sequence

from sinks.dynamodb.capacity import Capacity

UNIT_BYTES = 1024
BURST_SECONDS = 1.0
WAIT_SECONDS_MAX = 1.0  # between two looks at the limit: a person may have raised it

Limit = Callable[[], float | None]
LimitOf = Callable[[Capacity], float | None]


def no_limit(_: Capacity) -> float | None:
    """Only what the table itself throttles."""
    return None


def expected_units(size: int) -> float:
    """Write units of so many bytes of typed JSON, which is a little longer than what DynamoDB counts."""
    return float(-(-size // UNIT_BYTES))


class Throughput:
    """A bucket of write units that fills at the limit and holds one second of it; it may go into debt.

    `limit` is asked each time, None is no limit. Safe to share between threads.
    """

    def __init__(
        self, limit: Limit, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._sleep, self._now = limit, sleep, now
        self._lock = threading.Lock()
        self._units = 0.0
        self._filled_at = now()

    @property
    def limited(self) -> bool:
        """Whether there is a limit now."""
        return self._limit() is not None

    def admitted(self, expected: Sequence[float]) -> int:
        """How many of these may be sent now, in their order, at least one; waits until there is room for one.

        Their units are taken out of the bucket: `corrected` gives back what they did not take.
        """
        while True:
            limit = self._limit()
            if limit is None:
                return len(expected)
            with self._lock:
                self._fill(limit)
                count = self._fitting(expected, limit)
                if count:
                    self._units -= sum(expected[:count])
                    return count
                missing = -self._units / limit
            self._sleep(min(WAIT_SECONDS_MAX, max(missing, 1 / limit, 0.001)))

    def corrected(self, expected: float, measured: float) -> None:
        """Requests that were taken for `expected` units took `measured`."""
        with self._lock:
            self._units += expected - measured

    def _fill(self, limit: float) -> None:
        now = self._now()
        self._units = min(self._units + (now - self._filled_at) * limit, limit * BURST_SECONDS)
        self._filled_at = now

    def _fitting(self, expected: Sequence[float], limit: float) -> int:
        """A request that is larger than the bucket goes when it is full, and leaves a debt."""
        left, count = self._units, 0
        for units in expected:
            if left < min(units, limit * BURST_SECONDS):
                break
            left -= units
            count += 1
        return count


class Window:
    """How many requests may be in flight: from 1 to `highest`."""

    def __init__(self, highest: int) -> None:
        self.size = self._highest = highest

    def throttled(self) -> None:
        """The table refused some."""
        self.size = max(1, self.size // 2)

    def passed(self) -> None:
        """It took all."""
        self.size = min(self._highest, self.size + 1)

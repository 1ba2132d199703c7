"""Holds work to a rate that may change while it runs, and to a halt while it is paused."""

from collections.abc import Callable

from daemon.clock import Clock

# A limit that was not used is not saved up: nobody wants a burst after a quiet minute.
SAVED_SECONDS_MAX = 1.0
LOOK_SECONDS = 1.0


class Pace:
    """Units per second: rows of a backfill, read units of a scan.

    `limit` is asked before each spending, and None is no limit; `paused` too. `wanted` raises when nobody
    waits for the result any more, which a pause must not hide.
    """

    def __init__(
        self,
        limit: Callable[[], float | None],
        paused: Callable[[], bool],
        wanted: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._limit = limit
        self._paused = paused
        self._wanted = wanted
        self._clock = clock
        self._free_at = clock.monotonic()

    def spend(self, units: float) -> None:
        """Wait until so many units may be spent. They may also be told afterwards: then the next one waits."""
        while self._paused():
            self._wanted()
            self._clock.sleep(LOOK_SECONDS)
            self._free_at = self._clock.monotonic()
        self._wait()
        limit = self._limit()
        if limit is not None:
            self._free_at = max(self._free_at, self._clock.monotonic() - SAVED_SECONDS_MAX) + units / limit

    def _wait(self) -> None:
        """Until what was spent before is paid; the limit may have been lifted meanwhile."""
        while (left := self._free_at - self._clock.monotonic()) > 0:
            if self._limit() is None or self._paused():
                return
            self._wanted()
            self._clock.sleep(min(left, LOOK_SECONDS))

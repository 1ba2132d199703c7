"""Holds work to a rate that may change while it runs, and to a halt while it is paused."""

from collections.abc import Callable

from daemon.clock import Clock

# Of a limit that was not used so much is saved up and no more: nobody wants a burst after a quiet minute.
SAVED_SECONDS_MAX = 1.0
LOOK_SECONDS = 1.0
# Shorter sleeps would be lost in the clock's own steps.
SLEEP_SECONDS_MIN = 0.001


class Pace:
    """Units per second: rows of a backfill, read units of a scan.

    What is spent is a debt, paid off at the limit that is in force; while it is open, nobody may go on. So what is
    spent in any stretch of time stays within the limit over that stretch, plus what was saved up (`saved_seconds` of
    it at most), plus the last spending, whose size need not be known before. `limit` is asked again all the time,
    None is no limit; between two looks the lower of both counts, and what it was in between is not known. `paused` is
    asked too. `wanted` raises when nobody waits for the result any more, which a pause must not hide.
    """

    def __init__(
        self,
        limit: Callable[[], float | None],
        paused: Callable[[], bool],
        wanted: Callable[[], None],
        clock: Clock,
        saved_seconds: float = SAVED_SECONDS_MAX,
    ) -> None:
        self._limit = limit
        self._paused = paused
        self._wanted = wanted
        self._clock = clock
        self._saved_seconds = saved_seconds
        self._owed = 0.0  # units; below zero: saved up
        self._paid_at = clock.monotonic()
        self._limit_then = limit()

    @property
    def limit(self) -> float | None:
        """Units per second, as of now."""
        return self._limit()

    def spend(self, units: float) -> None:
        """Wait until what was spent before is paid, then spend so many."""
        self.ready()
        self.owe(units)

    def ready(self) -> None:
        """Wait until nothing is owed and nothing is paused."""
        while True:
            self._pay()
            if self._paused():
                self._sleep(LOOK_SECONDS)
            elif self._owed > 0:
                limit = self._limit_then
                self._sleep(LOOK_SECONDS if limit is None else min(self._owed / limit, LOOK_SECONDS))
            else:
                return

    def owe(self, units: float) -> None:
        """So many were spent since `ready`: the next one waits for them."""
        self._owed += units

    def _pay(self) -> None:
        """Take off what the time since the last look was worth."""
        now, limit = self._clock.monotonic(), self._limit()
        if limit is None:
            self._owed = 0.0
        else:
            rate = limit if self._limit_then is None else min(limit, self._limit_then)
            paid = rate * (now - self._paid_at)
            self._owed = max(self._owed - paid, -self._saved_seconds * limit)
        self._paid_at, self._limit_then = now, limit

    def _sleep(self, seconds: float) -> None:
        self._wanted()
        self._clock.sleep(max(seconds, SLEEP_SECONDS_MIN))

"""How many requests may be in flight: additive increase, multiplicative decrease (RFC 5681's rule, in requests)."""

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.05, 1.0
ROUNDS_TO_CEILING = 64


class Window:
    """A number between `floor` and `ceiling` that follows what the node can take. Pure: no clock, no connection."""

    def __init__(self, ceiling: int, floor: int = 4) -> None:
        """It begins at the ceiling: a node that is well is not made to wait for proof of it."""
        self._ceiling, self._floor = ceiling, min(floor, ceiling)
        self._step = max(1.0, ceiling / ROUNDS_TO_CEILING)
        self._size = float(ceiling)
        self._unheard = 0

    @property
    def allowed(self) -> int:
        """Requests that may be in flight now."""
        return int(self._size)

    @property
    def share(self) -> float:
        """Of the ceiling, above 0 and at most 1."""
        return self._size / self._ceiling

    def answered(self, count: int = 1) -> None:
        """So many requests were done: a whole window of them makes it one step wider."""
        self._unheard = max(0, self._unheard - count)
        self._size = min(self._ceiling, self._size + self._step * count / self._size)

    def overloaded(self, in_flight: int) -> None:
        """A request was refused or timed out, with so many others in flight: half of it.

        Those others were sent before anybody could know: what they meet says nothing of the narrower window.
        """
        if self._unheard:
            self._unheard -= 1
            return
        self._size = max(float(self._floor), self._size / 2)
        self._unheard = in_flight


def pause_seconds(attempts: int, chance: float) -> float:
    """Before the next attempt; `chance` in [0, 1) spreads those who were refused together."""
    return min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** min(attempts, 10)) * (0.5 + chance)

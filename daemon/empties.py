"""Empty polls of one shard in a row: what daemon/quiet.py is told by, without heartbeats."""

import msgspec

from daemon.control import ShardState

# The leader sees them no later than that: a person may ask for ten seconds of lag.
TOUCH_SECONDS = 2.0


class Empties:
    """The empty polls of one shard in a row, counted in its process. They cost nothing until they are saved."""

    def __init__(self) -> None:
        self._polls = 0
        self._since = self._until = 0.0

    def polled(self, *, empty: bool, now: float) -> None:
        """A page came, at this instant (epoch seconds)."""
        if not empty:
            self._polls, self._since, self._until = 0, 0.0, 0.0
            return
        self._since = self._since or now
        self._polls += 1
        self._until = now

    def noted(self, state: ShardState) -> ShardState:
        """The state with them."""
        return msgspec.structs.replace(state, empty_polls=self._polls, empty_since=self._since, empty_until=self._until)

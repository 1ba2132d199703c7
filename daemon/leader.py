"""One replica decides; the others read shards and wait. A lease in the control table, renewed in time.

The lease only saves work: every decision is a compare-and-set, so a leader that was asleep too long loses
its next write, not the data.
"""

import time
from collections.abc import Callable

from daemon.control import Control, Leader

LEASE_SECONDS = 15.0
RENEW_SECONDS = 5.0


class Leadership:
    """Whether this replica leads. Clocks of the replicas may differ by a few seconds."""

    def __init__(self, control: Control, owner: str, now: Callable[[], float] = time.time) -> None:
        self._control = control
        self._owner = owner
        self._now = now
        self._until = 0.0

    def held(self) -> bool:
        """Take or renew the lease when that is due; True while it is ours. Raises ClientError, BotoCoreError."""
        if self._until - self._now() < LEASE_SECONDS - RENEW_SECONDS:
            leader = self._control.update("leader", Leader, self._claim)
            self._until = leader.until if leader.owner == self._owner else 0.0
        return self._until > self._now()

    def _claim(self, leader: Leader | None) -> Leader:
        now = self._now()
        if leader is not None and leader.owner != self._owner and leader.until > now:
            return leader
        return Leader(self._owner, now + LEASE_SECONDS)

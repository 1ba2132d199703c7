"""The clock, as a part: the simulator has one of its own."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the module `time` offers, all in seconds."""

    def time(self) -> float:
        """Since the epoch."""

    def monotonic(self) -> float:
        """Since some moment; never goes back."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


SYSTEM: Clock = time

"""Waiting for a target that is away: for ever, visibly, with jitter, and never longer than we are wanted."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import tenacity

from sinks.change import Change
from sinks.sink import Rejection, Sink, SinkUnavailable
from sinks.wrapping import lend

T = TypeVar("T")
WAIT_SECONDS_MAX = 15.0


class Abandoned(Exception):
    """The wait was given up because nobody wants the result any more."""


class Retrying:
    """A sink around a sink: what writes and raises SinkUnavailable is done again until it does not.

    What reads (`read`, `versions`) is passed on: whoever reads starts anew with a whole look.

    `on_trouble` hears of each failure, and None once it is over. `wanted` is asked before each attempt;
    when it says no, Abandoned is raised.
    """

    def __init__(
        self,
        inner: Sink,
        *,
        on_trouble: Callable[[str | None], None],
        wanted: Callable[[], bool],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.inner = inner
        self._on_trouble = on_trouble
        self._wanted = wanted
        self._sleep = sleep
        lend(
            self,
            inner,
            load=lambda load: partial(self._batch, load),
            settle=lambda settle: partial(self._until_done, settle),
        )

    def open(self) -> None:
        """Connect, waiting for the target as long as it takes."""
        self._until_done(self.inner.open)

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Apply, waiting for the target as long as it takes."""
        return self._batch(self.inner.apply, changes)

    def insist(self, act: Callable[[], T]) -> T:
        """What `act` gives once the target answers: for a read that must be made now. Raises Abandoned."""
        return self._until_done(act)

    def close(self) -> None:
        """Close the inner sink."""
        self.inner.close()

    def _batch(
        self, send: Callable[[Sequence[Change]], Sequence[Rejection]], changes: Sequence[Change]
    ) -> Sequence[Rejection]:
        """Send a batch, and then what of it was not confirmed."""
        left = changes

        def send_left() -> Sequence[Rejection]:
            nonlocal left
            try:
                return send(left)
            except SinkUnavailable as error:
                left = left if error.left is None else error.left
                raise

        return self._until_done(send_left)

    def _until_done(self, act: Callable[[], T]) -> T:
        troubled = False

        def before_sleep(state: tenacity.RetryCallState) -> None:
            nonlocal troubled
            troubled = True
            self._on_trouble(str(state.outcome.exception()) if state.outcome else "unknown")

        def sleep(seconds: float) -> None:
            if not self._wanted():
                raise Abandoned("given up waiting for the target")
            self._sleep(seconds)

        result = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(SinkUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=WAIT_SECONDS_MAX),
            before_sleep=before_sleep,
            sleep=sleep,
        )(act)
        if troubled:
            self._on_trouble(None)
        return result

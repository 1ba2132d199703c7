"""Requests in rounds: all that are left, then what of them was not taken, after a pause, until nothing is left.

A round ends when each of its requests has been answered or given up. So no request is ever in flight twice, and none
beside a later one with the same key.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from sinks.change import Change
from sinks.dynamodb.errors import THROTTLED, as_sink_error, code_of
from sinks.dynamodb.exchange import Exchange, Outcome
from sinks.dynamodb.throughput import Throughput, Window, expected_units
from sinks.sink import SinkMisconfigured, SinkUnavailable

# Pauses in front of fruitless rounds, each drawn from all that lies below ("Exponential backoff and jitter", AWS
# architecture blog: full jitter). Together 6 s on average: then the engine is told, which waits and tells a person.
PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.0)


class Write(NamedTuple):
    """One change as its request names it."""

    change: Change
    json: bytes


Parcel = Sequence[Write]  # of one request; no two of one key


class Verdict(NamedTuple):
    """What an answer leaves to be sent again, and, where that needs a pause, why."""

    again: Sequence[Parcel] = ()
    trouble: ClientError | BotoCoreError | str | None = None
    throttled: bool = False
    units: float = 0.0  # that the service says it took


Judge = Callable[[Parcel, Outcome], Verdict]
TAKEN = Verdict()


class GivenUp(SinkUnavailable):
    """No round brings anything any more. `left` is what is not confirmed."""


class Rounds:
    """Sends parcels over an exchange, as fast as throughput and throttling let it."""

    def __init__(
        self,
        exchange: Exchange,
        concurrency: int,
        throughput: Throughput,
        sleep: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self._exchange = exchange
        self._throughput = throughput
        self._sleep = sleep
        self._chance = chance or random.Random()
        self.window = Window(concurrency)

    def run(self, operation: str, parcels: Sequence[Parcel], body: Callable[[Parcel], bytes], judge: Judge) -> None:
        """Send until `judge` leaves nothing.

        Raises GivenUp after as many fruitless rounds as there are pauses, SinkMisconfigured at once.
        """
        left, fruitless = parcels, 0
        while left:
            before = _changes(left)
            left, trouble = self._round(operation, left, body, judge)
            if trouble is None:
                continue
            after = _changes(left)
            fruitless = fruitless + 1 if len(after) == len(before) else 0
            if fruitless == len(PAUSES_SECONDS):
                raise GivenUp(f"{operation}: {trouble}", after)
            self._sleep(self._chance.random() * PAUSES_SECONDS[fruitless])

    def _round(
        self, operation: str, parcels: Sequence[Parcel], body: Callable[[Parcel], bytes], judge: Judge
    ) -> tuple[Sequence[Parcel], str | None]:
        """What is left, and the last trouble, if any."""
        left: list[Parcel] = []
        trouble = None
        begin = 0
        while begin < len(parcels):
            part = self._admitted(parcels, begin)
            begin += len(part)
            verdicts = self._sent(operation, part, body, judge)
            left.extend(parcel for verdict in verdicts for parcel in verdict.again)
            trouble = next((_told(verdict.trouble) for verdict in verdicts if verdict.trouble), trouble)
        return left, trouble

    def _admitted(self, parcels: Sequence[Parcel], begin: int) -> Sequence[Parcel]:
        if not self._throughput.limited:
            return parcels[begin:]
        expected = [_expected(parcel) for parcel in parcels[begin:]]
        return parcels[begin : begin + self._throughput.admitted(expected)]

    def _sent(
        self, operation: str, parcels: Sequence[Parcel], body: Callable[[Parcel], bytes], judge: Judge
    ) -> Sequence[Verdict]:
        outcomes = self._exchange.send(operation, map(body, parcels), self.window.size)
        verdicts = [judge(parcel, outcome) for parcel, outcome in zip(parcels, outcomes, strict=True)]
        if any(verdict.throttled for verdict in verdicts):
            self.window.throttled()
        else:
            self.window.passed()
        if self._throughput.limited:
            expected = sum(_expected(parcel) for parcel in parcels)
            self._throughput.corrected(expected, sum(verdict.units for verdict in verdicts))
        return verdicts


def again(parcel: Parcel, error: ClientError | BotoCoreError) -> Verdict:
    """The verdict on an error that another try may cure. Raises SinkMisconfigured for one that it cannot."""
    meant = as_sink_error(error)
    if isinstance(meant, SinkMisconfigured):
        raise meant from error
    return Verdict((parcel,), error, isinstance(error, ClientError) and code_of(error) in THROTTLED)


def _told(trouble: ClientError | BotoCoreError | str | None) -> str:
    return trouble if isinstance(trouble, str) else str(as_sink_error(trouble))


def _changes(parcels: Sequence[Parcel]) -> list[Change]:
    return [write.change for parcel in parcels for write in parcel]


def _expected(parcel: Parcel) -> float:
    return sum(expected_units(len(write.json)) for write in parcel)

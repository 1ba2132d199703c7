"""Holds the proof of lag to its word: when it says that all before an instant has arrived, we look."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple, Self

from cassandra import DriverException, OperationTimedOut
from cassandra.cluster import NoHostAvailable

from daemon.demo.compare import Side
from daemon.demo.configuration import SOURCE_TABLE
from daemon.demo.dataset import PARTITION, SORT
from daemon.demo.service import Status
from daemon.demo.wire import Wire

PAUSE_SECONDS = 0.5
KEYS = 20
# The target is frozen or gone now and then; nothing is learned from it then.
AWAY = (NoHostAvailable, OperationTimedOut, DriverException, OSError)


class _Written(NamedTuple):
    number: int
    acknowledged_at: float


def applied_through(status: Status) -> float | None:
    """Epoch seconds before which, as the service says, every write is in the target; None while it says nothing."""
    instant = status["lag"]["applied_through"]
    return datetime.fromisoformat(instant).timestamp() if instant else None


class Witness:
    """Writes a number to the source twice a second; looks it up in the target once it is said to have arrived."""

    def __init__(self, wire: Wire, target: Callable[[], Side], statuses: Callable[[], Sequence[Status]]) -> None:
        self._wire = wire
        self._target = target
        self._statuses = statuses
        self._open: deque[_Written] = deque()
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, "witness")
        self._number = 0
        self.checked = 0
        self.false_proofs: list[str] = []

    def __enter__(self) -> Self:
        self._ran = self._thread.submit(self._run)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopped.set()
        self._thread.shutdown()
        if kind is None:
            self._ran.result()  # raises what ended it: a witness that says nothing is none

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE_SECONDS):
            self._write()
            for status in self._statuses():
                self._check(status)

    def _write(self) -> None:
        self._number += 1
        item = {**_key(self._number), "number": {"N": str(self._number)}}
        try:
            self._wire.call("PutItem", {"TableName": SOURCE_TABLE, "Item": item})
        except OSError:  # not acknowledged: nothing may be expected of it
            return
        self._open.append(_Written(self._number, time.time()))

    def _check(self, status: Status) -> None:
        through = applied_through(status)
        claimed = [written for written in self._open if through is not None and written.acknowledged_at < through]
        if not claimed:
            return
        try:
            found = _number(self._target().get(_key(claimed[-1].number)))
        except AWAY:
            return
        self.checked += 1
        if found < claimed[-1].number:
            said = f"{status['lag']} said that write {claimed[-1]} had arrived, and the target has {found}"
            self.false_proofs.append(said)
        while self._open and self._open[0].number <= claimed[-1].number:
            self._open.popleft()


def _key(number: int) -> dict[str, Any]:
    return {PARTITION: {"S": "witness"}, SORT: {"S": str(number % KEYS)}}


def _number(item: Any) -> int:
    return int(item["number"]["N"]) if item else 0

"""Keeps the durable records up to date: at once when the decision changes, else so often that it stays valid."""

import random
from collections.abc import Sequence

import structlog

from daemon.app import Parts
from daemon.beside import Beside
from daemon.clock import SYSTEM, Clock
from daemon.config import Config
from daemon.signal.document import VALID_SECONDS, Document
from daemon.signal.file import SignalFile
from daemon.signal.publisher import Decision, Publisher, PublishFailed, decision

log = structlog.get_logger()

PAUSE_SECONDS_MAX = VALID_SECONDS / 2
DOUBLINGS_MAX = 10


def publishers(config: Config, known: Parts | None) -> list[Publisher]:
    """Those that the configuration asks for; without `known` only what needs no client."""
    asked, made = config.signal, list[Publisher]()
    if asked.file is not None:
        made.append(SignalFile(asked.file))
    if asked.dynamodb_item is not None and known is not None:
        from daemon.signal.dynamodb_item import ItemPublisher

        made.append(ItemPublisher(known.control_client, asked.dynamodb_item))
    if asked.configmap is not None and known is not None:
        from daemon.signal.configmap import ConfigMapPublisher

        made.append(ConfigMapPublisher(asked.configmap))
    return made


class Publishing:
    """All records of one migration. Nothing that goes wrong with one stops the loop, or another one."""

    def __init__(
        self, publishers: Sequence[Publisher], clock: Clock = SYSTEM, chance: random.Random | None = None
    ) -> None:
        self._records = [_Record(one, clock, chance or random.Random()) for one in publishers]

    def offer(self, document: Document) -> None:
        """To be called at each turn, by the replica that leads."""
        for record in self._records:
            record.offer(document)

    def rest(self) -> None:
        """Another replica leads: its records are no concern of ours."""
        for record in self._records:
            record.rest()

    def trouble(self) -> str | None:
        """What keeps a record from being what it should be; None when all are."""
        return next((why for why in (record.trouble() for record in self._records) if why is not None), None)


class _Record:
    def __init__(self, publisher: Publisher, clock: Clock, chance: random.Random) -> None:
        self._publisher = publisher
        self._clock = clock
        self._chance = chance
        self._beside = Beside(publisher.name, self._publish, clock=clock)
        self.rest()

    def rest(self) -> None:
        self._latest: Document | None = None  # None: it is not ours to write
        self._written: Decision | None = None
        self._written_at: float | None = None  # monotonic; None: nothing is due yet
        self._failures = 0
        self._next_at = float("-inf")
        self._fault: str | None = None

    def offer(self, document: Document) -> None:
        self._latest = document
        if self._written_at is None:
            self._written_at = self._clock.monotonic()
        if self._clock.monotonic() < self._next_at or not self._is_due(document):
            return
        if self._publisher.every_seconds:
            self._beside.start()
        else:
            self._publish()

    def trouble(self) -> str | None:
        if self._latest is None or self._written_at is None:
            return None
        if self._fault is not None:
            return self._fault
        silent = self._clock.monotonic() - self._written_at
        # Whatever became of the thread: a record that nobody renews is no consent by now.
        return f"{self._publisher.name} was not written for {silent:.0f} s" if silent > VALID_SECONDS else None

    def _is_due(self, document: Document) -> bool:
        age = self._clock.monotonic() - (self._written_at or 0.0)
        return decision(document) != self._written or age >= self._publisher.every_seconds

    def _publish(self) -> None:
        document = self._latest
        if document is None:
            return  # the lead was lost in this very moment
        try:
            self._publisher.publish(document)
        except PublishFailed as error:
            self._failed(str(error))
        else:
            self._failures, self._fault, self._next_at = 0, None, float("-inf")
            self._written, self._written_at = decision(document), self._clock.monotonic()

    def _failed(self, why: str) -> None:
        pause = min(PAUSE_SECONDS_MAX, 2.0 ** min(self._failures, DOUBLINGS_MAX)) * self._chance.uniform(0.5, 1)
        self._failures += 1
        # The file is tried at each turn, as it costs nothing.
        self._next_at = self._clock.monotonic() + pause if self._publisher.every_seconds else float("-inf")
        if why != self._fault:
            log.warning("signal_unwritten", error=why)
        self._fault = why

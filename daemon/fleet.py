"""`moveout run`: one loop over the tables of a migration, with one server and one signal. PID 1 of the container."""

import os
import signal as signals
import threading
from collections.abc import Callable, Sequence

import structlog
from structlog.contextvars import bound_contextvars

from daemon import metrics, pid1, server
from daemon.app import Parts
from daemon.clock import SYSTEM
from daemon.config import Config
from daemon.kcl.start import worker_id
from daemon.leader import Leadership
from daemon.metrics import ProcessHealth
from daemon.page.history import History
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.service import Service
from daemon.signal.document import Document
from daemon.signal.outbox import Delivery
from daemon.signal.publishing import Publishing, publishers
from daemon.signal.whole import whole

log = structlog.get_logger()

TURN_SECONDS = 0.5
SWITCHING_TURN_SECONDS = 0.1
# `moveout wait` polls every second, other clients more rarely.
LAST_WORDS_SECONDS = 5.0


def leadership(known: Parts) -> Leadership:
    """One lease for all tables of the migration: whoever leads, leads all of them."""
    return Leadership(known.control_of(known.config.migration), worker_id(known.config), known.clock.time)


class Fleet:
    """All tables of one migration, in one replica. `config` is any table's: what is read of it is the same in all.

    Without `known`, any table's parts, what needs the control table or a client is not told: hooks, an item.
    """

    def __init__(
        self,
        config: Config,
        make: Callable[[Callable[[Service], bool]], Sequence[Service]],
        known: Parts | None = None,
    ) -> None:
        self._config = config
        self._stop = threading.Event()
        self._looped_at = SYSTEM.monotonic()
        self._waiting: list[Service] = []  # not begun yet
        self.history = History()
        self._publishing = Publishing(publishers(config, known))
        self._hooks = Delivery(config.hooks, known.control_of(config.migration) if known else None)
        self.tables = make(self.may_load)

    def may_load(self, table: Service) -> bool:
        """True for the first few that load, in the order of the configuration."""
        loading = [one for one in self.tables if one.phase is Phase.BACKFILLING]
        return table in loading[: self._config.backfill.tables_at_once]

    def run(self) -> None:
        """Until SIGTERM, or until all is loaded where nothing is tailed. Raises CheckFailed, ListenFailed."""
        for name in (signals.SIGTERM, signals.SIGINT):
            signals.signal(name, lambda *_: self._end())
        view = server.View(
            self.document,
            self._not_ready,
            lambda: self._looped_at,
            metrics.registry(self.document, self._health),
            self.history.samples,
        )
        with server.serving(view, self._config.server.host, self._config.server.port):
            log.info("service_started", listen=self._config.server.listen, pid=os.getpid(), tables=len(self.tables))
            try:
                self._prepare()
                while not (self._finished() or self._stop.wait(self._pause_seconds())):
                    self.turn()
                    pid1.reap()
                self._stop.wait(self._last_words())
            finally:
                for table in self.tables:
                    table.end()
                log.info("service_stopped")
        self._refuse_open_letters()

    def _pause_seconds(self) -> float:
        """Shorter while writers wait behind their fence."""
        switching = any(table.phase is Phase.SWITCHING for table in self.tables)
        return SWITCHING_TURN_SECONDS if switching else TURN_SECONDS

    def _prepare(self) -> None:
        """What must be there before anything is touched: of all tables, before the first is anchored."""
        refused = []
        for table in self.tables:
            with bound_contextvars(table=table.table):
                try:
                    table.prepare()
                    if len(self.tables) > 1:  # one alone is checked by its anchor
                        table.check()
                except CheckFailed as error:
                    refused.append(f"{table.table}: {error}" if len(self.tables) > 1 else str(error))
        if refused:
            raise CheckFailed("\n".join(refused))
        self._waiting = list(self.tables)

    def turn(self) -> None:
        """One turn of each table. Raises CheckFailed when one cannot begin."""
        for table in self.tables:
            self._looped_at = SYSTEM.monotonic()
            if self._stop.is_set():
                return
            with bound_contextvars(table=table.table):
                if table not in self._waiting:
                    table.turn()
                elif table.begun():
                    self._waiting.remove(table)
                else:
                    log.info("waiting_for_leader", hint="another replica anchors the migration")
        self._remember()
        self._publish()

    def _remember(self) -> None:
        seen = self.document()
        if seen is not None:
            self.history.saw(seen)

    def _publish(self) -> None:
        """The records and the hooks, by the replica that leads. Old ones are no consent, so none stops the loop."""
        published = self.document()
        for outlet in (self._publishing, self._hooks):
            if published is not None and self._leads():
                outlet.offer(published)
            else:
                outlet.rest()

    def document(self) -> Document | None:
        """What all tables published, as one; None until each has."""
        known = [table.published for table in self.tables]
        documents = [one for one in known if one is not None]
        return whole(self._config.migration, documents) if len(documents) == len(known) else None

    def _leads(self) -> bool:
        return all(table.health().leader for table in self.tables)

    def _end(self) -> None:
        self._stop.set()
        for table in self.tables:
            table.stop()

    def _finished(self) -> bool:
        """True when every table is loaded, and none is tailed."""
        published = self.document()
        return published is not None and all(table.phase is Phase.LOADED for table in self.tables)

    def _last_words(self) -> float:
        """For so many seconds the end is still told: whoever polls must see that all is loaded."""
        return LAST_WORDS_SECONDS if self._finished() else 0.0

    def _refuse_open_letters(self) -> None:
        published = self.document()
        open_letters = published.dead_letters.open if published and self._finished() else 0
        if open_letters:
            raise CheckFailed(
                f"all is loaded but {open_letters} item(s) that the target refuses: `moveout dead-letter list` says why"
            )

    def _health(self) -> ProcessHealth:
        each = [table.health() for table in self.tables]
        return ProcessHealth(
            leader=all(one.leader for one in each),
            jvm_restarts=sum(one.jvm_restarts for one in each),
            worker_restarts=sum(one.worker_restarts for one in each),
            observed_at=min(one.observed_at for one in each),
            verify_restarts=sum(one.verify_restarts for one in each),
        )

    def _not_ready(self) -> str | None:
        """Why this replica does not carry data; None when it does."""
        each = ((table.table, table.not_ready()) for table in self.tables)
        reasons = [(name, why) for name, why in each if why is not None]
        if not reasons:
            return self._publishing.trouble()
        name, why = reasons[0]
        return why if len(self.tables) == 1 else f"{name}: {why}"

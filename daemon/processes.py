"""What the service starts on this machine: the KCL, the backfill workers, and threads for what takes its time."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from daemon import log as logs
from daemon.app import Parts
from daemon.beside import Beside
from daemon.java.jre import java
from daemon.kcl.start import kcl_daemon
from daemon.lean import verify_command, worker_command
from daemon.supervise import Command, Process
from daemon.worker import PARENT_VARIABLE


class Processes(Protocol):
    """The service's children. The simulator has its own."""

    def check(self) -> None:
        """Raises JavaMissing where they could not be started."""

    def kcl(self) -> Process:
        """The KCL of the generation in force. Raises what kcl_daemon raises."""

    def worker(self, index: int, of: int) -> Process:
        """The backfill worker of one share."""

    def verifier(self) -> Process:
        """The comparison of source and target."""

    def beside(self, name: str, act: Callable[[], None], every_seconds: float = 0.0) -> Beside:
        """Work that must not hold up the loop."""


class LocalProcesses:
    """Children of this process."""

    def __init__(self, known: Parts, config_path: Path) -> None:
        self._parts = known
        self._config_path = config_path

    def check(self) -> None:
        """A JRE is at hand."""
        java()

    def kcl(self) -> Process:
        """The JVM, which starts a process per shard."""
        return kcl_daemon(self._parts, self._config_path)

    def worker(self, index: int, of: int) -> Process:
        """What `moveout backfill` becomes; it ends when this process does."""
        arguments = worker_command(str(self._config_path), index, of, self._parts.config.source.table)
        return Command(arguments, {PARENT_VARIABLE: str(os.getpid()), **logs.export_path()})

    def verifier(self) -> Process:
        """It ends when this process does, or when the run is over."""
        arguments = verify_command(str(self._config_path), self._parts.config.source.table)
        return Command(arguments, {PARENT_VARIABLE: str(os.getpid()), **logs.export_path()})

    def beside(self, name: str, act: Callable[[], None], every_seconds: float = 0.0) -> Beside:
        """A thread."""
        return Beside(name, act, every_seconds, self._parts.clock)

"""Child processes that are kept running: started again with back-off and jitter when they end."""

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

log = structlog.get_logger()

BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 1.0, 60.0
DOUBLINGS_MAX = 10
# A process that ran this long was well: the next failure starts from the shortest pause again.
HEALTHY_SECONDS = 120.0


class Process(Protocol):
    """What is kept: subprocess.Popen, or something with the same three."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def stop(self, grace_seconds: float) -> int:
        """Ask it to end, then insist; its exit code."""


class Kept:
    """One process, kept running until `stop`, or until it ends with a code that `final` knows."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Process],
        final: Callable[[int], bool],
        now: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._name = name
        self._start = start
        self._final = final
        self._now = now
        self._chance = chance or random.Random()
        self._process: Process | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._failures = 0
        self.restarts = 0
        self.exit_code: int | None = None  # of the last end

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def finished(self) -> bool:
        """True when it has ended with a final code."""
        return self._process is None and self.exit_code is not None and self._final(self.exit_code)

    def tick(self) -> None:
        """Notice an end; start what should run."""
        if self._process is not None:
            self._notice(self._process.poll())
        if self._process is None and not self.finished and self._now() >= self._start_at:
            self._process = self._start()
            self._started_at = self._now()
            log.info("process_started", process=self._name, pid=self._process.pid)

    def stop(self, grace_seconds: float) -> None:
        """End it; returns when it has ended."""
        if self._process is not None:
            self.exit_code = self._process.stop(grace_seconds)
            log.info("process_stopped", process=self._name, exit_code=self.exit_code)
            self._process = None

    def _notice(self, code: int | None) -> None:
        if code is None:
            return
        self._process = None
        self.exit_code = code
        if self._final(code):
            log.info("process_finished", process=self._name, exit_code=code)
            return
        ran_seconds = self._now() - self._started_at
        self._failures = 1 if ran_seconds > HEALTHY_SECONDS else self._failures + 1
        doubled = min(self._failures - 1, DOUBLINGS_MAX)  # a process may fail for days
        pause = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2**doubled) * self._chance.uniform(0.5, 1)
        self._start_at = self._now() + pause
        self.restarts += 1
        log.warning(
            "process_ended",
            process=self._name,
            exit_code=code,
            ran_seconds=round(ran_seconds),
            again_in=round(pause, 1),
        )


class Command:
    """A command as a Process, in a session of its own: a signal to our group does not reach it.

    With `piped` its stdin stays open for as long as this process lives, and its output is read from `output`.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], *, piped: bool = False) -> None:
        self._process = subprocess.Popen(
            arguments,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else None,
            stderr=subprocess.STDOUT if piped else None,
            start_new_session=True,
        )
        self.output = self._process.stdout

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll()

    def stop(self, grace_seconds: float) -> int:
        """SIGTERM, then SIGKILL."""
        self._process.terminate()
        try:
            return self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def close(self) -> None:
        """Close the pipes, once it has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

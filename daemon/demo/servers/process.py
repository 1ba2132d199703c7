"""A server process that never outlives the one that started it, not even after `kill -9`."""

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TAIL_BYTES = 2000
POLL_SECONDS = 0.05
FREEZE_SECONDS_MAX = 5.0
STOPPED = ("T", "t", "Z", "X")  # proc(5): stopped, traced, ended
PR_SET_PDEATHSIG = 1

# Linux ends the child when the *thread* that forked it ends: so one thread forks them all, and stays.
_forker = ThreadPoolExecutor(1, "fork")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerFailed(Exception):
    """A server did not come up. The message has the end of its log."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class ServerProcess:
    """One process with its log."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id. Raises ServerFailed when it was not started."""
        if self._process is None:
            raise ServerFailed(f"{self._name} was not started")
        return self._process.pid

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start it; returns at once."""
        with self.log.open("ab") as log:
            self._process = _forker.submit(
                subprocess.Popen,
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            ).result()

    def wait_until(self, answers: Callable[[], bool], timeout_seconds: float) -> float:
        """Wait until it answers; the seconds that took. Raises ServerFailed with the tail of the log."""
        began = time.monotonic()
        while not answers():
            code = self._process.poll() if self._process is not None else None
            if code is not None or time.monotonic() - began > timeout_seconds:
                self.kill()
                how = f"ended with code {code}" if code is not None else f"was silent for {timeout_seconds:g} s"
                raise ServerFailed(f"{self._name} {how}; the end of {self.log}:\n{self.tail()}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-TAIL_BYTES:] if self.log.exists() else "(no log)"

    def stop(self, grace_seconds: float = 10.0) -> None:
        """SIGTERM, then SIGKILL. Safe to call twice."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)  # a frozen one could not end well
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL: a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + FREEZE_SECONDS_MAX
        while self._process.poll() is None and time.monotonic() < end and not _stands_still(self._process.pid):
            time.sleep(POLL_SECONDS / 10)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    """All its threads. On a busy machine the signal is seen late, and until then others answer."""
    for status in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread that has ended
            if status.read_text().rpartition(")")[2].split()[0] not in STOPPED:
                return False
    return True


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """True when somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False

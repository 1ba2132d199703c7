"""The service under the demo's eyes: the same `moveout run` that a user runs, as a process of its own."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon.demo.processes import kill_tree, stop

POLL_SECONDS = 0.25
STOP_GRACE_SECONDS = 40.0
LOG_TAIL_LINES = 12

Status = dict[str, Any]


class DemoFailed(Exception):
    """The demo cannot go on. The message says what was found, what was expected and where to look."""


class Service:
    """`moveout run --config FILE`: started, asked over HTTP, killed, started again."""

    def __init__(
        self, config: Path, log: Path, listen: str, seen: Callable[[Status], None], tell: Callable[[str], None]
    ) -> None:
        """`seen` hears every status that was read, `tell` what the other commands say while they work."""
        self._config = config
        self._log = log
        self._url = f"http://{listen}/v1/migration"
        self._seen = seen
        self._tell = tell
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Its process id."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("run"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops it in order
            )
        return self._process.pid

    def kill(self) -> int:
        """`kill -9` of the service and all its processes; how many."""
        process = self._running()
        count = kill_tree(process.pid)
        process.wait()
        self._process = None
        return count

    def stop(self) -> None:
        """SIGTERM, and wait until all of it has ended. Safe to call twice."""
        if self._process is not None:
            stop(self._process, STOP_GRACE_SECONDS)
            self._process = None

    def status(self) -> Status | None:
        """What it says at /v1/migration; None while it does not answer."""
        try:
            with urllib.request.urlopen(self._url, timeout=5) as answer:  # noqa: S310  an address of ours
                status: Status = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return None
        return status if "backfill" in status else None

    def follow(self, until: Callable[[Status], bool], expected: str, timeout_seconds: float) -> Status:
        """Poll until the status is as wanted; the status. Raises DemoFailed when it ends or takes too long."""
        deadline = time.monotonic() + timeout_seconds
        status: Status | None = None
        while time.monotonic() < deadline:
            self._check_alive()
            status = self.status() or status
            if status is not None:
                self._seen(status)
                if until(status):
                    return status
            time.sleep(POLL_SECONDS)
        found = "it never answered" if status is None else json.dumps(status)
        raise DemoFailed(f"expected within {timeout_seconds:g} s: {expected}. Found: {found}. {self._log_tail()}")

    def wait_ready(self, timeout_seconds: int) -> Status:
        """`moveout wait --for ready-readers`: the signal. Raises DemoFailed when it does not come."""
        signal: Status = json.loads(
            self._ran("wait", "--for", "ready-readers", "--timeout", str(timeout_seconds), "--output", "json")
        )
        return signal

    def ask(self, *words: str) -> str:
        """Run another command of moveout on the same configuration; the last line of its result.

        Raises DemoFailed when it refuses.
        """
        return self._ran(*words).strip().splitlines()[-1]

    def _ran(self, *words: str) -> str:
        """What it prints to stdout; its progress is told as it comes."""
        command = self._command(*words)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as asked:
            assert asked.stdout is not None  # noqa: S101  it is a pipe
            assert asked.stderr is not None  # noqa: S101
            lines = []
            for line in asked.stderr:  # first: the result is small, a pipe holds it until then
                lines.append(line.rstrip())
                self._tell(lines[-1])
            result = asked.stdout.read()
        if asked.returncode:
            found = f"{asked.returncode}: {' '.join(lines[-LOG_TAIL_LINES:])}"
            raise DemoFailed(f"moveout {' '.join(words)}: expected exit code 0, found {found}. {self._log_tail()}")
        return result

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "daemon.cli", *words, "--config", str(self._config)]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise DemoFailed("the service is not running: start it first")
        return self._process

    def _check_alive(self) -> None:
        code = self._running().poll()
        if code is not None:
            raise DemoFailed(f"moveout run ended by itself with exit code {code}. {self._log_tail()}")

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return f"The end of {self._log}:\n" + "\n".join(lines[-LOG_TAIL_LINES:])


def isolate(folder: Path) -> None:
    """Make sure that nothing here can reach AWS: this process and its children know the stand-ins only."""
    for name in list(os.environ):
        # MOVEOUT_SECTION__NAME would override the file that the demo writes.
        if name.startswith("AWS_") or (name.startswith("MOVEOUT_") and "__" in name):
            del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "TMPDIR": str(folder),  # what a killed process leaves behind goes away with the folder
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }

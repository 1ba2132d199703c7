"""An S3 server: moto's, as a process of its own. Needs nothing but Python."""

import os
import sys
from pathlib import Path
from typing import Self

from daemon.demo.servers.process import ServerProcess, free_port, listens

START_SECONDS_MAX = 60.0


class S3Server:
    """Keeps its objects in memory."""

    def __init__(self, folder: Path, *, start_seconds_max: float = START_SECONDS_MAX) -> None:
        self._start_seconds_max = start_seconds_max
        self._process = ServerProcess("the S3 server", folder / "s3.log")
        self._port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start it; returns when it answers. Raises ServerFailed."""
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
        # Large objects spill into temporary files.
        own = {"PYTHONUNBUFFERED": "1", "TMPDIR": str(self._process.log.parent)}
        self._process.start(command, {**os.environ, **own})
        self._process.wait_until(lambda: listens(self._port), self._start_seconds_max)
        return self

    def stop(self) -> None:
        """End it; its objects are gone."""
        self._process.stop(grace_seconds=3)

    def __enter__(self) -> Self:
        """Started."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Ended."""
        self.stop()

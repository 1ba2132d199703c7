"""DynamoDB Local, in memory, with a switch for shard rollovers and for the age of the stream."""

import urllib.request
from pathlib import Path
from typing import Self

from daemon.demo.servers.process import ServerProcess, free_port, listens
from daemon.java import jars
from daemon.java.compile import compiled
from daemon.java.jre import java

SOURCE = Path(__file__).with_name("LocalDynamoDb.java")
START_SECONDS_MAX = 60.0


class DynamoDbLocal:
    """A server of its own for each run: it slows down as the streams of deleted tables pile up."""

    def __init__(self, folder: Path, *, start_seconds_max: float = START_SECONDS_MAX) -> None:
        self._start_seconds_max = start_seconds_max
        self._process = ServerProcess("DynamoDB Local", folder / "dynamodb.log")
        self._port, self._control_port = free_port(), free_port()
        self.endpoint_url = f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start it; returns when it answers. Raises ServerFailed, JarsUnavailable, JavaMissing."""
        folder = jars.ensure("dynamodb-local")
        classes = compiled([SOURCE], folder)
        # Perf data would be a file in the machine's /tmp.
        flags = ["-Xmx1g", "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.library.path={folder / 'native'}"]
        # Its SQLite driver copies itself there; it must not stay behind in the machine's own.
        flags.append(f"-Djava.io.tmpdir={self._process.log.parent}")
        command = [str(java()), *flags, "-cp", f"{classes}:{folder}/*", "LocalDynamoDb"]
        self._process.start([*command, str(self._port), str(self._control_port)])
        self._process.wait_until(lambda: listens(self._control_port), self._start_seconds_max)
        return self

    def rollover(self) -> None:
        """Close every open shard and open its child, as AWS does about every four hours."""
        self._control("/rollover")

    def age(self, hours: float) -> None:
        """Make all stream data older; beyond 24 hours it is trimmed."""
        self._control(f"/age?ms={int(hours * 3_600_000)}")

    def stop(self) -> None:
        """End it; its data are gone."""
        self._process.kill()

    def freeze(self) -> None:
        """Answer nothing, with connections open."""
        self._process.freeze()

    def thaw(self) -> None:
        """Go on."""
        self._process.thaw()

    def _control(self, path: str) -> None:
        url = f"http://127.0.0.1:{self._control_port}{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()

    def __enter__(self) -> Self:
        """Started."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Ended."""
        self.stop()

"""The JVM of the KCL as a process of ours: started apart, told to stop by its own id only, its log made ours."""

import re
import threading
from collections.abc import Callable, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import IO

import structlog

from daemon.supervise import Command

log = structlog.get_logger()

EXIT_FAILED, EXIT_NO_MEMORY, EXIT_FORCED, EXIT_GAP = 1, 3, 43, 44
EXIT_MEANING: dict[int | None, str] = {
    0: "stopped in order",
    EXIT_FAILED: "a shard's process ended, or the KCL could not start; it is replayed from the last checkpoints",
    EXIT_NO_MEMORY: "the JVM ran out of heap: raise tail.jvm_heap_mib; it is replayed from the last checkpoints",
    EXIT_FORCED: "an orderly stop took too long; the last batches will be replayed",
    EXIT_GAP: "records left the stream, after 24 hours, before they were read",
}
# Its children may hold the pipe a moment longer than Java itself.
RELAY_SECONDS = 5.0
LINE = re.compile(r"(?P<level>[A-Z]+) +(?P<logger>\S+) - (?P<message>.*)", re.DOTALL)
LOGGED = {"ERROR": "error", "WARN": "warning"}
# The KCL says ERROR for what it was asked to do, and WARN for what is as intended here. Shards of DynamoDB Streams have
# no hash ranges, so that the KCL's audit finds them incomplete each time.
USUAL = re.compile(
    r"Received error line|forwarded stderr|Unexpected subscribe|Shutting down|skipShardSync|leasesRecoveryAuditor"
    r"|Incomplete hash range|Setting the delay to complete a shard sync"
)


class StreamsDaemon:
    """The launcher, running. Ends by itself when this process is gone: its stdin is a pipe of ours.

    `at_end` gives back what was made for it, once, when its end is noticed.
    """

    def __init__(
        self, command: list[str], environment: Mapping[str, str], at_end: Callable[[], None] = lambda: None
    ) -> None:
        self._at_end: Callable[[], None] | None = at_end
        self._command = Command(command, environment, piped=True)
        relay = copy_context().run  # the migration's name on each line
        self._relay = threading.Thread(target=relay, args=(self._relay_log, self._command.output), daemon=True)
        self._relay.start()

    @property
    def pid(self) -> int:
        """Java's process id."""
        return self._command.pid

    def poll(self) -> int | None:
        """Its exit code, or None while it runs; EXIT_MEANING tells what it says."""
        code = self._command.poll()
        if code is not None:
            self._close()
        return code

    def stop(self, grace_seconds: float) -> int:
        """SIGTERM to Java alone: its children checkpoint first. SIGKILL when it takes too long."""
        code = self._command.stop(grace_seconds)
        self._close()
        return code

    def _close(self) -> None:
        """Whoever notices the end first, `poll` or `stop`: a process that ended by itself is never stopped."""
        if self._at_end is None:
            return
        self._relay.join(RELAY_SECONDS)
        self._command.close()
        self._at_end()
        self._at_end = None

    @staticmethod
    def _relay_log(lines: IO[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            match = LINE.fullmatch(text)
            if match is None:
                log.debug("kcl_logged", message=text)
                continue
            level = LOGGED.get(match["level"], "debug")
            if USUAL.search(text):
                level = "debug"
            getattr(log, level)("kcl_logged", logger_name=match["logger"], message=match["message"])


def java_flags(heap_mib: int, logback: Path) -> list[str]:
    """The JVM's own options."""
    return [
        f"-Xmx{heap_mib}m",
        # By default it begins with a 64th of the machine's memory, and keeps what it once took.
        "-Xms16m",
        "-XX:MinHeapFreeRatio=20",
        "-XX:MaxHeapFreeRatio=40",
        "-XX:+UseSerialGC",  # small heap, few threads: less memory than G1's regions and helpers
        "-XX:TieredStopAtLevel=1",  # it waits for the network; the second compiler only delays the start
        # Out of memory, a JVM would limp on with some threads gone and shards that nobody reads.
        "-XX:+ExitOnOutOfMemoryError",
        "-Dfile.encoding=UTF-8",
        # The adapter blocks one thread of the common pool per stream call; two cores would give it one.
        "-Djava.util.concurrent.ForkJoinPool.common.parallelism=128",
        f"-Dlogback.configurationFile={logback}",
    ]

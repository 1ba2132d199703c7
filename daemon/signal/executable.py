"""A program of the user's: the event on stdin, bounded in time and in what it may say."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

OUTPUT_BYTES_MAX = 4096
DRAIN_SECONDS = 1.0


class Ran(NamedTuple):
    """How it ended; `code` is None when it was killed for being late, negative for a signal. `output` is bounded."""

    code: int | None
    output: str


class NotStarted(Exception):
    """The program is missing, or may not be run."""


def run(arguments: Sequence[str], said: bytes, environment: Mapping[str, str], timeout_seconds: float) -> Ran:
    """Run it in a process group of its own, which is killed when it is late. Raises NotStarted."""
    with tempfile.TemporaryFile() as given:  # a program that does not read its input blocks nobody
        given.write(said)
        given.seek(0)
        try:
            process = subprocess.Popen(  # no shell, on purpose
                arguments,
                env={**os.environ, **environment},
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NotStarted(f"{arguments[0]} cannot be run: {error.strerror}") from error
    assert process.stdout is not None  # noqa: S101  a pipe was asked for
    output = bytearray()
    reading = threading.Thread(target=_read, args=(process.stdout, output), name="hook-output", daemon=True)
    reading.start()
    try:
        code: int | None = process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        code = None
        os.killpg(process.pid, signal.SIGKILL)  # its own children as well
        process.wait()
    reading.join(DRAIN_SECONDS)  # whom it has left behind may keep the pipe
    return Ran(code, bytes(output).decode(errors="replace"))


def _read(pipe: IO[bytes], output: bytearray) -> None:
    """To its end, so that nobody blocks; kept is the begin."""
    with pipe:
        while chunk := os.read(pipe.fileno(), OUTPUT_BYTES_MAX):
            output += chunk[: OUTPUT_BYTES_MAX - len(output)]

"""The sink of JSON lines: every change that comes, one line each. For dry runs, audits, and to look at a move.

It only appends. Older changes, duplicates and deletions are lines like others, and **the highest version of each key
is in force for whoever reads**: `sinks/jsonl/read.py` does so, and over it the contract of a sink holds. The sink
itself is not Readable or Scannable: each answer would cost a pass over all files.
"""

import os
import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from isal import igzip

from sinks.change import Change, KeySchema
from sinks.jsonl import bucket
from sinks.jsonl.folder import FolderFiles
from sinks.jsonl.line import encoded
from sinks.jsonl.options import JsonlOptions
from sinks.sink import Rejection, SinkUnavailable


class Files(Protocol):
    """Where lines are appended to. All three as a sink's open, apply and close raise."""

    def check(self) -> None:
        """Whether lines could be written; writes nothing."""

    def append(self, lines: bytes) -> None:
        """Durable when it returns."""

    def close(self) -> None:
        """Safe to call twice."""


class JsonlSink:
    """Writes each change as a line. Files have names that no other process, and no other `open`, takes."""

    def __init__(
        self, options: JsonlOptions, keys: KeySchema, connect: Callable[[JsonlOptions], Any] = bucket.connected
    ) -> None:
        self._options = options
        self._keys = keys
        self._connect = connect
        self._files: Files | None = None

    def open(self) -> None:
        """Look whether the place can take lines; the first file is made by the first change."""
        self.close()
        files = self._made()
        files.check()
        self._files = files

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Append all of them, durably; rejects nothing.

        After SinkUnavailable lines of the batch may be there all the same: again they change nothing.
        """
        if self._files is None:
            raise SinkUnavailable("the sink is not open")
        if changes:
            lines = b"".join([encoded(self._keys, change) for change in changes])
            self._files.append(igzip.compress(lines) if self._options.gzip else lines)
        return ()

    def close(self) -> None:
        """What was applied is durable already."""
        if self._files is not None:
            files, self._files = self._files, None
            files.close()

    def _made(self) -> Files:
        options, suffix = self._options, ".jsonl.gz" if self._options.gzip else ".jsonl"
        if options.in_s3:
            return bucket.BucketObjects(self._connect(options), options.to, _stem(), suffix)
        return FolderFiles(Path(options.to), _stem(), suffix, options.file_bytes_max)


def _stem() -> str:
    """Time, host, process and chance: by time first, so that a listing is in the order of the writing."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host = re.sub(r"[^A-Za-z0-9.]", "-", socket.gethostname())
    return f"{at}-{host}-{os.getpid()}-{random.SystemRandom().getrandbits(32):08x}"

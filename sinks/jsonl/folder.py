"""Batches of lines, appended to files of a folder."""

import os
from contextlib import suppress
from errno import EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOTDIR, EPERM, EROFS
from pathlib import Path
from typing import Protocol

from sinks.sink import SinkError, SinkMisconfigured, SinkUnavailable

# No waiting makes a right or a folder appear; a full disk (ENOSPC, EDQUOT) or a mount that is away may pass.
_MISCONFIGURED = frozenset({EACCES, EPERM, EROFS, ENOTDIR, EISDIR, ELOOP, ENAMETOOLONG})


class Disk(Protocol):
    """What is used of the module `os`, which is the one that is used."""

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        """A new descriptor."""

    def write(self, file: int, data: memoryview, /) -> int:
        """How many bytes it took: it may take less than it is given."""

    def fsync(self, file: int, /) -> None:
        """Until it is on the disk."""


class FolderFiles:
    """Files of one process: `<stem>-000001.jsonl`, and the next one when it has grown to `bytes_max`."""

    def __init__(self, folder: Path, stem: str, suffix: str, bytes_max: int, disk: Disk = os) -> None:
        self._folder = folder
        self._stem = stem
        self._suffix = suffix
        self._bytes_max = bytes_max
        self._disk = disk
        self._number = 0
        self._file: int | None = None
        self._size = 0

    def check(self) -> None:
        """The folder can be written to, or be made; nothing is made yet. Raises SinkMisconfigured."""
        there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise SinkMisconfigured(
                f"{self._folder} cannot be written to: {there} is {'not writable' if there.is_dir() else 'no folder'}. "
                "Make it a folder that is writable for this user, or set target.to to another one"
            )

    def append(self, lines: bytes) -> None:
        """Durable when it returns. Raises SinkUnavailable, SinkMisconfigured."""
        try:
            if self._file is None:
                self._file = self._next()
            self._write(self._file, lines)
            self._disk.fsync(self._file)
        except OSError as error:
            self._give_up()
            raise self._as_sink_error(error) from error
        self._size += len(lines)
        if self._size >= self._bytes_max:
            self.close()

    def close(self) -> None:
        """What was appended is durable already."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _next(self) -> int:
        made = [path for path in (self._folder, *self._folder.parents) if not path.exists()]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        path = self._folder / f"{self._stem}-{self._number:06d}{self._suffix}"
        file = self._disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._size = 0
        # A file, or a folder, is durable when the folder that names it is.
        for named_in in (self._folder, *(path.parent for path in made)):
            self._sync(named_in)
        return file

    def _give_up(self) -> None:
        """Leave this file, without the piece that was not confirmed: behind it nothing could be read.

        After an fsync that failed, a second one may succeed without the data: so the batch goes into another file.
        """
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):  # then the piece stays, at the end of the file, where a reader leaves it out
            os.ftruncate(file, self._size)
        with suppress(OSError):
            os.close(file)

    def _as_sink_error(self, error: OSError) -> SinkError:
        said = f"{self._folder} cannot be written to: {error.strerror}"
        if error.errno in _MISCONFIGURED:
            return SinkMisconfigured(f"{said}. Make it writable for this user, or set target.to to another place")
        return SinkUnavailable(f"{said}. Free space there, or mend the mount: it goes on by itself")

    def _write(self, file: int, lines: bytes) -> None:
        left = memoryview(lines)
        while left:
            left = left[self._disk.write(file, left) :]

    def _sync(self, folder: Path) -> None:
        handle = self._disk.open(folder, os.O_RDONLY)
        try:
            self._disk.fsync(handle)
        finally:
            os.close(handle)

"""The document as a file: replaced atomically, so that a reader sees the old one or the new one."""

import os
from pathlib import Path

import msgspec

from daemon.signal.document import Document
from daemon.signal.publisher import PublishFailed, outdated


class _Known(msgspec.Struct, frozen=True):
    """As much of a document as tells whose it is."""

    migration: str
    epoch: int
    published_at: str


class SignalFile:
    """`signal.file`. Files know no compare-and-set: on a shared volume only the epoch tells two leaders apart."""

    every_seconds = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"signal.file {path}"

    def publish(self, document: Document) -> None:
        """Write the document, unless the file has a newer epoch of this migration. Raises PublishFailed."""
        known = self._known()
        if known is not None and known.migration == document.migration and known.epoch > document.epoch:
            raise outdated(self.name, document, known.epoch, known.published_at)
        try:
            publish(self._path, document)
        except OSError as error:
            why = f"{self.name} cannot be written: {error.strerror}. Make it writable for this user"
            raise PublishFailed(why) from error

    def _known(self) -> _Known | None:
        """None also for what is no document: it is replaced."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Known)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def publish(path: Path, document: Document) -> None:
    """Write the document. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    temporary.replace(path)

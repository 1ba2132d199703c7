"""The document as a file: replaced atomically, so that a reader sees the old one or the new one."""

import os
from pathlib import Path

import msgspec

from daemon.signal.document import Document


def publish(path: Path, document: Document) -> None:
    """Write the document. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    temporary.replace(path)

"""One part -> its pages, whatever it is a part of: a file of an export, a segment of the table, a foreign file."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daemon.control import Part
from daemon.sections import Files
from daemon.source import files, incremental
from daemon.source.ion import ion_reader
from daemon.source.page import Page, Row
from daemon.source.scan import Scanner
from sinks.change import KeySchema


class Sources(NamedTuple):
    """What a part may be read with."""

    s3: Any
    keys: KeySchema
    files: Files | None = None  # how files of older tools are to be read
    scanner: Callable[[], Scanner] | None = None  # made when the first segment is read


def pages(sources: Sources, part: Part) -> Iterator[Page]:
    """From the part's position on. Raises ExportUnusable or ScanRefused, ClientError or BotoCoreError."""
    if part.kind == "files":
        from daemon.source.foreign import reader as foreign

        return foreign.pages(sources.s3, sources.keys, sources.files, part)
    if part.kind == "scan":
        if sources.scanner is None:
            raise ValueError(f"{part.name} is a segment, and there is nothing to scan it with")
        return sources.scanner().pages(part)
    etag = files.verify(sources.s3, part)
    if part.format == "ION":
        return files.blocks(sources.s3, part, etag, ion_reader(_line_reader(sources, part)))
    together = files.rows_reader(sources.keys) if part.kind == "full" else None
    return files.blocks(sources.s3, part, etag, _line_reader(sources, part), together)


def _line_reader(sources: Sources, part: Part) -> Callable[[bytes], Row]:
    """What makes rows of the lines of an export's file in DYNAMODB_JSON."""
    made = incremental.change_reader if part.kind == "incremental" else files.row_reader
    return made(sources.keys)

"""One part -> its pages, whatever it is a part of: a file of an export, a segment of the table, a foreign file."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daemon.control import Part
from daemon.source import files, incremental
from daemon.source.ion import ion_reader
from daemon.source.page import Page, Row
from sinks.change import KeySchema


class Sources(NamedTuple):
    """What a part may be read with."""

    s3: Any
    keys: KeySchema


def pages(sources: Sources, part: Part) -> Iterator[Page]:
    """From the part's position on. Raises ExportUnusable, and ClientError or BotoCoreError when AWS is away."""
    etag = files.verify(sources.s3, part)
    if part.format == "ION":
        return files.blocks(sources.s3, part, etag, ion_reader(_line_reader(sources, part)))
    together = files.rows_reader(sources.keys) if part.kind == "full" else None
    return files.blocks(sources.s3, part, etag, _line_reader(sources, part), together)


def _line_reader(sources: Sources, part: Part) -> Callable[[bytes], Row]:
    """What makes rows of the lines of an export's file in DYNAMODB_JSON."""
    made = incremental.change_reader if part.kind == "incremental" else files.row_reader
    return made(sources.keys)

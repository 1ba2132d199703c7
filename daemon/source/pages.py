"""One part -> its pages, whatever it is a part of: a file of an export, a segment of the table, a foreign file."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from daemon.control import Part
from daemon.sections import Files
from daemon.source import files, incremental
from daemon.source.foreign import reader as foreign
from daemon.source.page import Page
from sinks.change import KeySchema


class Sources(NamedTuple):
    """What a part may be read with."""

    s3: Any
    keys: KeySchema
    files: Files | None = None  # how files of older tools are to be read


def pages(sources: Sources, part: Part) -> Iterator[Page]:
    """From the part's position on. Raises ExportUnusable, and ClientError or BotoCoreError when AWS is away."""
    if part.kind == "files":
        return foreign.pages(sources.s3, sources.keys, sources.files, part)
    etag = files.verify(sources.s3, part)
    read = incremental.change_reader if part.kind == "incremental" else files.row_reader
    return files.blocks(sources.s3, part, etag, read(sources.keys))

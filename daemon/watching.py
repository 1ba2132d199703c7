"""`moveout status`: what the service published last, read from the control table; once, or again and again."""

import time
from collections.abc import Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from daemon.app import parts as parts_of_config
from daemon.completion import Completion, completion
from daemon.config import Config
from daemon.control import Migration, Part, parts_of
from daemon.report import render, render_completion, render_parts, stored
from daemon.signal.document import Document
from daemon.signal.whole import whole

WATCH_SECONDS = 2.0


class Watched:
    """The tables that are looked at. Its methods raise ClientError, BotoCoreError."""

    def __init__(self, tables: Sequence[Config], *, parts: bool) -> None:
        self.migration = tables[0].migration
        self._tables = [parts_of_config(one) for one in tables]
        self._parts = parts

    def document(self) -> Document | None:
        """All tables in one; None until one has published. A table that has not is left out."""
        documents = [found for known in self._tables if (found := stored(known.control)) is not None]
        return whole(self.migration, documents) if documents else None

    def render(self) -> RenderableType:
        """For people."""
        document, ends = self.document(), self._ends()
        if document is None and not ends:
            return Text(f"migration {self.migration!r} has published nothing yet: is `moveout run` up?")
        rendered = [] if document is None else [render(document, completed=len(ends) == len(self._tables))]
        return Group(
            *map(render_completion, ends, ends.values()), *rendered, *(self._rendered_parts() if self._parts else ())
        )

    def _ends(self) -> Mapping[str, Completion]:
        """Source table -> its completion, of those where one was begun."""
        found = {known.config.source.table: completion(known.control) for known in self._tables}
        return {table: one for table, one in found.items() if one is not None}

    def _rendered_parts(self) -> list[RenderableType]:
        tables: list[RenderableType] = []
        for known in self._tables:
            found = known.control.get("migration", Migration)
            if found is not None:
                records = known.control.all(parts_of(found[0].parts_generation), Part)
                tables.append(render_parts(known.config.source.table, [part for part, _ in records.values()]))
        return tables


def follow(watched: Watched, console: Console) -> None:
    """Show it until Ctrl-C. The control table being away is shown as well, and looked at again."""
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_looked(watched), refresh=True)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _looked(watched: Watched) -> RenderableType:
    try:
        return watched.render()
    except (ClientError, BotoCoreError) as error:
        return Text(f"the control table cannot be read: {error}", "red")

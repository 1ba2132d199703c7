"""What the demo shows: live bars on a terminal, plain lines with the time when it is none."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Column, Table

LINE_SECONDS = 5.0  # between two plain lines of progress
LABEL_WIDTH, BAR_WIDTH = 8, 16  # narrow enough for a terminal of 80 columns

Status = Mapping[str, Any]


class Screen:
    """Plain lines. Also keeps how long each phase took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._shown_at: dict[str, float] = {}
        self._complete: set[str] = set()
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Show nothing live any more."""

    @property
    def elapsed_seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(f"[dim]{self.elapsed_seconds:6.1f} s[/]  {escape(text)}", soft_wrap=True, highlight=False)

    @contextmanager
    def phase(self, name: str, says: str) -> Iterator[None]:
        """A named stretch of time; `says` tells what happens in it, and why it takes as long as it does."""
        self.say(says)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - began

    def bar(self, name: str, done: int, total: int, note: str) -> None:
        """How far something is."""
        if name in self._complete or not (self._due(name) or done >= total):
            return
        self.say(f"{name}: {done:,} of {total:,} ({done / max(total, 1):.0%}), {note}")
        if done >= total:
            self._complete.add(name)

    def gauge(self, name: str, note: str) -> None:
        """A value that has no end to reach."""
        if self._due(name):
            self.say(f"{name}: {note}")

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Two columns."""
        table = Table("", "", title=title, show_header=False, title_justify="left")
        for name, value in rows:
            table.add_row(escape(name), escape(value))
        self._console.print(table)

    def _due(self, name: str) -> bool:
        if time.monotonic() - self._shown_at.get(name, float("-inf")) < LINE_SECONDS:
            return False
        self._shown_at[name] = time.monotonic()
        return True


class LiveScreen(Screen):
    """Bars that move; what is said scrolls above them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=LABEL_WIDTH)),
            BarColumn(table_column=Column(min_width=BAR_WIDTH), bar_width=BAR_WIDTH),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        )
        self._progress = Progress(*columns, console=console, transient=True, expand=True)
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def bar(self, name: str, done: int, total: int, note: str) -> None:
        """Move the bar."""
        if name in self._complete:
            return
        text = f"{done / max(total, 1):.0%}  {done:,} of {total:,}, {note}"
        self._progress.update(self._task(name), completed=done, total=total, note=text)
        if done >= total:
            self._complete.add(name)
            self._progress.remove_task(self._tasks.pop(name))
            self.say(f"{name}: {done:,} of {total:,} done")

    def gauge(self, name: str, note: str) -> None:
        """Show the value beside a bar that pulses."""
        self._progress.update(self._task(name), total=None, note=note)

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Stop what is live, then print it."""
        self.close()
        super().table(title, rows)

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None, note="")
        return self._tasks[name]


def screen() -> Screen:
    """The one that fits where the output goes."""
    # The stream as it is now: the library that fetches jars prints, and is silenced by swapping sys.stdout.
    console = Console(file=sys.stdout)
    return LiveScreen(console) if console.is_terminal else Screen(console)


def show_status(screen: Screen, status: Status) -> None:
    """The service's document: the backfill as a bar with rate and ETA, the tail with its lag."""
    backfill, tail, lag = status["backfill"], status["tail"], status["lag"]
    if backfill["items_total"]:
        eta = "" if not backfill["eta_seconds"] else f", ETA {backfill['eta_seconds']:.0f} s"
        note = f"{backfill['items_per_second']:,.0f} rows/s{eta}"
        screen.bar("backfill", backfill["items_done"], backfill["items_total"], note)
    proven = "unbounded" if lag["seconds"] is None else f"{lag['seconds']:.1f} s"
    shards = f"{tail['shards_open']} open shard(s), {tail['shards_ended']} ended"
    screen.gauge("tail", f"{tail['records']:,} changes, {shards}, lag {proven} ({status['message']})")

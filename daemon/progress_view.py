"""Progress for people: a few lines while it runs, one line for a log, a table at the end."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from daemon.progress import Figures, Progress

PARTS_MAX = 12  # of those that are being loaded, on a screen
SCANNED = "scan:"  # what the names of segments begin with (daemon/source/scan.py)
_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def live(shown: Progress) -> RenderableType:
    """The parts that are being loaded, and all of them."""
    table = _headed("rate", "left")
    loading = [part for part in shown.parts if part.items and not part.done]
    for part in [*loading[:PARTS_MAX], shown.total]:
        table.add_row(*_counts(part), _rate(part), duration(part.eta_seconds), style=_style(part, shown))
    return table


def line(shown: Progress) -> str:
    """One line, for where there is no screen."""
    total = shown.total
    left = "time left unknown" if total.eta_seconds is None else f"{duration(total.eta_seconds)} left"
    parts = f"{total.parts_done:,} of {total.parts:,} parts"
    return f"{_of(total)} items, {size(total.bytes_read)}, {parts}, {_rate(total)}, {left}"


def summary(shown: Progress, faults: dict[str, str]) -> RenderableType:
    """Every part and all of them; `faults` says of a part why it is not done."""
    table = _headed("")
    for part in shown.parts:
        said = faults.get(part.name, "" if part.done else "not done")
        table.add_row(*_counts(part), Text(said, style="red"))
    table.add_section()
    table.add_row(*_counts(shown.total), Text(""), style="bold")
    return table


def short(name: str) -> str:
    """A part's name for a narrow column: a file's own, or table and segment of a scan (`orders#3/16`)."""
    return name.removeprefix(SCANNED) if name.startswith(SCANNED) else name.rpartition("/")[2]


def _headed(*more: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("part", overflow="ellipsis", no_wrap=True)
    for name in ("items", "bytes", "refused", "left out", *(name for name in more if name)):
        table.add_column(name, justify="right", no_wrap=True)
    for name in more:
        if not name:
            table.add_column()
    return table


def _counts(part: Figures) -> Sequence[RenderableType]:
    return (
        Text(short(part.name) or f"all {part.parts:,} part(s)"),
        _of(part),
        size(part.bytes_read),
        f"{part.rejected:,}",
        f"{part.skipped:,}",
    )


def _style(part: Figures, shown: Progress) -> str:
    return "bold" if part is shown.total else ""


def _of(part: Figures) -> str:
    if part.done:
        return f"{part.items:,}"
    if part.items_total is None:
        return f"{part.items:,} of ?"
    return f"{part.items:,} of {'about ' if part.estimated else ''}{part.items_total:,}"


def _rate(part: Figures) -> str:
    if part.items_per_second is None or part.bytes_per_second is None:
        return "rate not known yet"
    return f"{part.items_per_second:,.0f} items/s, {size(part.bytes_per_second)}/s"


def size(number: float) -> str:
    """Bytes with three digits: 1.21 MiB."""
    unit = 0
    while number >= _STEP and unit < len(_UNITS) - 1:
        number, unit = number / _STEP, unit + 1
    digits = 0 if not unit or number >= 100 else 1 if number >= 10 else 2  # noqa: PLR2004
    return f"{number:,.{digits}f} {_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """`42 s`, `7 min`, `3 h 20 min`, `2 d 4 h`; unknown where it is not known."""
    if seconds is None:
        return "unknown"
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:  # noqa: PLR2004
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004
        return f"{hours} h {rest} min"
    return f"{hours // 24} d {hours % 24} h"

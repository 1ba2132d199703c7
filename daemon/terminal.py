"""What every command shares: its options, how it speaks, how errors become one line."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from daemon.config import Config, ConfigurationError, load, load_all
from daemon.exits import EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE, told

__all__ = [
    "DEFAULT_CONFIG",
    "EXIT_FAILED",
    "EXIT_REFUSED",
    "EXIT_USAGE",
    "ConfigOption",
    "LogFormatOption",
    "TableOption",
    "configured",
    "configured_all",
    "err",
    "guarded",
    "log_as",
    "out",
    "refuse",
]

out = Console()
err = Console(stderr=True)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="MOVEOUT_CONFIG", help="The configuration file; see deploy/moveout.example.yaml."
    ),
]
DEFAULT_CONFIG = Path("moveout.yaml")
Output = Literal["text", "json"]
OutputOption = Annotated[Output, typer.Option(help="For people, or for machines.")]
TableOption = Annotated[
    str | None,
    typer.Option("--table", envvar="MOVEOUT_TABLE", help="The source table, where the migration moves several."),
]


LogFormat = Literal["json", "console"]
LogFormatOption = Annotated[
    LogFormat | None, typer.Option(help="json for machines, console for people, over log.format of the configuration.")
]


def log_as(log_format: LogFormat | None) -> None:
    """By the environment, so that processes started from here log alike. Call it before a configuration is read."""
    if log_format is not None:
        os.environ["MOVEOUT_LOG__FORMAT"] = log_format


def refuse(code: int, message: str) -> NoReturn:
    """Say why and leave."""
    err.print(f"moveout: {message}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def configured(path: Path, table: str | None = None) -> Config:
    """The configuration of one table, or exit code 2 with all faults of the file."""
    try:
        return load(path, table)
    except ConfigurationError as error:
        refuse(EXIT_USAGE, str(error))


def configured_all(path: Path, table: str | None = None) -> list[Config]:
    """The configuration of every table, or of the one named; exit code 2 with all faults of the file."""
    try:
        return load_all(path) if table is None else [load(path, table)]
    except ConfigurationError as error:
        refuse(EXIT_USAGE, str(error))


def for_each(tables: Sequence[Config], act: Callable[[Config], None]) -> None:
    """Act for each table: what is wrong with one does not keep the others waiting. Leaves with the first exit code."""
    codes = []
    for table in tables:
        try:
            act(table)
        except typer.Exit as left:
            codes.append(left.exit_code)
    if codes:
        raise typer.Exit(codes[0])


def guarded(act: Callable[[], None], table: Config | None = None) -> None:
    """Run a command; what it raises on purpose becomes one line, of this table if it is one of several, and a code."""
    whose = f"{table.source.table}: " if table is not None and table.one_of > 1 else ""
    try:
        act()
    except Exception as error:
        found = told(error)
        if found is None:
            raise
        code, why = found
        refuse(code, whose + why)


def say(line: Any) -> None:
    """A result: to stdout, as it is."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def tell(line: Any) -> None:
    """Progress: to stderr, as it is."""
    err.print(line, markup=False, highlight=False, soft_wrap=True)


def duration_of(option: str, text: str | None) -> float | None:
    """Of a duration, or of a number of seconds. Raises ValueError, with the sentence."""
    from daemon.signal.verdict import seconds

    if text is None:
        return None
    try:
        return seconds(f"{text}s" if text.replace(".", "", 1).isdigit() else text)
    except ValueError:
        raise ValueError(f"{option} is a duration like 500ms, 2s, 15m or 2h, not {text!r}") from None

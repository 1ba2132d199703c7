"""What every command shares: its exit codes, how it speaks, how errors become one line."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from daemon.config import Config, ConfigurationError, load, load_all

# 0 done, 1 failed, 2 configuration or usage, 3 a check refused; `wait` has more.
EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED = 1, 2, 3

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
    refused = _refused(act)
    if refused is not None:
        code, why = refused
        refuse(code, whose + why)


def _refused(act: Callable[[], None]) -> tuple[int, str] | None:
    """The exit code and the sentence of a command that did not come to its end."""
    from botocore.exceptions import BotoCoreError, ClientError

    from daemon.backfill import BackfillIncomplete
    from daemon.control import Conflict
    from daemon.dead_letter import NoSuchLetter, TooManyDeadLetters
    from daemon.java.compile import NotCompiled
    from daemon.java.jars import JarsUnavailable
    from daemon.java.jre import JavaMissing
    from daemon.kcl.properties import UnusableSetting
    from daemon.letter_box import BoxUnavailable
    from daemon.preflight import CheckFailed
    from daemon.resync import NotHealed
    from daemon.retry import Abandoned
    from daemon.server import ListenFailed
    from sinks.sink import SinkError

    try:
        act()
    except (CheckFailed, JavaMissing, JarsUnavailable, NotCompiled) as error:
        return EXIT_REFUSED, str(error)
    except (ListenFailed, UnusableSetting) as error:
        return EXIT_USAGE, str(error)
    except (BackfillIncomplete, SinkError, BoxUnavailable, TooManyDeadLetters, NoSuchLetter, NotHealed) as error:
        return EXIT_REFUSED, str(error)
    except Abandoned as error:
        return EXIT_FAILED, str(error)
    except Conflict as error:
        return EXIT_FAILED, f"somebody else changed the migration at the same time: {error}. Run it again"
    except (ClientError, BotoCoreError) as error:
        return EXIT_FAILED, told(error)
    return None


def told(error: Exception) -> str:
    """What AWS refused, or why it did not answer. Raises nothing."""
    answer = getattr(error, "response", {}).get("Error", {})
    # The source table is told of by the checks. What is described may be a stream, or an export.
    described = getattr(error, "operation_name", "").startswith("Describe")
    if answer.get("Code") == "ResourceNotFoundException" and not described:
        return (
            "the control table does not exist: `moveout run` makes it when the move begins; if it runs already, look "
            "at control.table, control.region and control.role_arn"
        )
    return f"AWS cannot be reached or refuses: {error}"

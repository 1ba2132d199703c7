"""`moveout abort`: give the move up, before its writers have switched."""

from typing import Annotated

import typer

from daemon.config import Config
from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    TableOption,
    configured_all,
    for_each,
    guarded,
    refuse,
    say,
    tell,
)


def abort(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    keep_target: Annotated[bool, typer.Option("--keep-target", help="Leave the target table as it is.")] = False,
    drop_target: Annotated[bool, typer.Option("--drop-target", help="Delete the target table.")] = False,
    name: Annotated[
        str | None, typer.Option(metavar="TARGET", help="With --drop-target: the target table's name once more.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")] = False,
) -> None:
    """Give the move up: everybody reads and writes at the source again, and nothing is applied any more.

    Any time before the writers' COMMIT (exit code 3 behind it). Fences are lifted, routes go back to the source, the
    service ends its processes and stays up to say so; heartbeat items leave the source, the KCL's tables are deleted.
    The source's stream stays as it is. `--drop-target` also deletes what was moved, and wants its name once more. It
    cannot be taken up again: a new move needs another `migration` name. When interrupted, run it again.
    """
    if keep_target == drop_target:
        refuse(EXIT_USAGE, "say what becomes of the target: --keep-target or --drop-target --name TARGET")
    if drop_target and name is None:
        refuse(EXIT_USAGE, "--drop-target deletes a table: name it once more with --name TARGET")
    tables = configured_all(config, table)
    if drop_target and len(tables) > 1:
        refuse(EXIT_USAGE, "--drop-target deletes one table at a time: choose with --table")
    for_each(tables, lambda one: guarded(lambda: _allowed(one, name if drop_target else None), one))
    if not yes:
        what = "the target is deleted" if drop_target else "the target is kept"
        refuse(EXIT_USAGE, f"this cannot be taken back; {what}. Say --yes; nothing was changed")
    for_each(tables, lambda one: guarded(lambda: _abort(one, drop=drop_target), one))


def _allowed(one: Config, name: str | None) -> None:
    from daemon.abort import refused
    from daemon.app import parts

    why = refused(parts(one), name)
    if why is not None:
        refuse(EXIT_REFUSED, f"{one.source.table}: {why}" if one.one_of > 1 else why)


def _abort(one: Config, *, drop: bool) -> None:
    from daemon.abort import abort as aborted
    from daemon.app import parts

    aborted(parts(one), tell, drop=drop)
    say(f"{one.source.table}: aborted")


def register(app: typer.Typer) -> None:
    """Put the command where `moveout --help` shows it."""
    app.command()(abort)

"""`moveout complete`: after the switch, what only the move needed is taken back."""

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

AFTER = "From now on nothing of this migration can be applied again: no replay, no retry of a dead letter, no resync."


def complete(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Do it although it is too early; the reason is kept.")
    ] = None,
) -> None:
    """Take back what only the move needed, once readers and writers have switched and `moveout run` is stopped.

    CQL: the table's settings become what they were before `moveout schema --apply` altered them, so that tombstones may
    be purged again. DynamoDB: the hidden attribute and the table of tombstones go. After it nothing can be replayed:
    what kept older changes from winning is gone, so `moveout run`, retries of dead letters and resync refuse. It
    refuses itself (exit code 3) while the migration is not ready or its service still runs. Safe to repeat; when
    interrupted, run it again.
    """
    if force is not None and not force.strip():
        refuse(EXIT_USAGE, "say why with --force REASON: whoever compares source and target later will ask")
    tables = configured_all(config, table)
    if force is None:
        for_each(tables, lambda one: guarded(lambda: _timely(one), one))
    for_each(tables, lambda one: guarded(lambda: _complete(one, force or ""), one))


def _timely(one: Config) -> None:
    """Of several tables none is completed when it is too early for one."""
    from daemon.app import parts
    from daemon.completion import too_early

    why = too_early(parts(one))
    if why is not None:
        whose = f"{one.source.table}: " if one.one_of > 1 else ""
        refuse(EXIT_REFUSED, f"{whose}too early to complete: {why}. --force REASON does it nevertheless")


def _complete(one: Config, forced: str) -> None:
    from daemon.app import parts
    from daemon.completion import complete as completed

    done = completed(parts(one), tell, forced)
    say(f"{one.source.table}: completed. {AFTER}" if done else _nothing(one))


def _nothing(one: Config) -> str:
    return f"{one.source.table}: nothing to take back: a target of kind {one.target.kind} keeps nothing for a move only"


def register(app: typer.Typer) -> None:
    """Put the command where `moveout --help` shows it."""
    app.command()(complete)

"""`moveout dead-letter …`: what the target refused, and what becomes of it."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from daemon.progress_view import short
from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    OutputOption,
    TableOption,
    configured,
    guarded,
    out,
    refuse,
)

letters = typer.Typer(
    no_args_is_help=True,
    help="""Changes that the target refused (too large, unmappable): list, show, retry, waive.

    Everything else flows on meanwhile, but readers must not switch while one is open. A retry is safe at any time:
    a newer change of the same key always wins. **settled** means that the key has moved on by itself.
    """,
)

Ids = Annotated[list[str] | None, typer.Argument(help="Ids, as `list` shows them.")]


def _known(config: Any, table: str | None) -> Any:
    from daemon.app import parts

    return parts(configured(config, table))


@letters.command("list")
def list_letters(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are open no more.")] = False,
    output: OutputOption = "text",
) -> None:
    """Show what waits for a decision, and why the target refused it."""
    known = _known(config, table)
    found: dict[str, Any] = {}
    guarded(lambda: found.update(known.dead_letters.all()))
    shown = {name: letter for name, letter in found.items() if everything or letter.state == "open"}
    if output == "json":
        for name, letter in shown.items():
            sys.stdout.write(msgspec.json.encode({"id": name, **msgspec.structs.asdict(letter)}).decode() + "\n")
    elif shown:
        out.print(_table(shown), highlight=False)
    else:
        out.print("No dead letter is open." if found else "There are no dead letters.")


def _table(shown: Mapping[str, Any]) -> Table:
    table = Table("id", "state", "since", "key", "from", "reason", box=None, padding=(0, 2, 0, 0))
    for name, letter in sorted(shown.items(), key=lambda entry: entry[1].at):
        since = datetime.fromtimestamp(letter.at, UTC).isoformat(timespec="seconds")
        why = letter.note or letter.reason
        table.add_row(name, letter.state.value, since, Text(letter.key), short(letter.origin), Text(why))
    return table


@letters.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(help="Its id, as `list` shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
) -> None:
    """Print a letter as it was written down: key, version, item, reason, sink, time, as JSON."""
    known = _known(config, table)

    def act() -> None:
        sys.stdout.write(msgspec.json.encode(known.dead_letters.read(letter)).decode() + "\n")

    guarded(act)


@letters.command("retry")
def retry_letters(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="Every open one.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
) -> None:
    """Apply refused changes again, after the target was changed. Exit code 3 when one is refused again."""
    from daemon import ordered
    from daemon.completion import refuse_if_begun, refuse_if_switched
    from daemon.preflight import CheckFailed

    known = _known(config, table)
    refused: list[str] = []

    def act() -> None:
        refuse_if_begun(known.control)
        refuse_if_switched(known.control)
        if ordered.is_ordered(known.config):
            raise CheckFailed(ordered.no_retry())
        sink = known.sink(may_create=False)
        sink.open()
        try:
            for name in void_letters(known):
                out.print(f"{name}: settled by the resync", markup=False, highlight=False)
            for name in _chosen(known, ids, everything):
                reason = known.dead_letters.retry(name, sink)
                out.print(f"{name}: {'stored' if reason is None else reason}", markup=False, highlight=False)
                refused.extend([name] if reason is not None else [])
        finally:
            sink.close()

    guarded(act)
    if refused:
        refuse(EXIT_REFUSED, f"{len(refused)} letter(s) are refused as before: change the target, or waive them")


@letters.command("waive")
def waive_letters(
    ids: Ids = None,
    reason: Annotated[str, typer.Option(help="Why the move goes on without it; kept with the letter.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every open one.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
) -> None:
    """Decide to go without: the target keeps an older state of this key, or none. The letter stays readable."""
    if not reason.strip():
        refuse(EXIT_USAGE, "say why with --reason: whoever compares source and target later will ask")
    from daemon.dead_letter import LetterState

    known = _known(config, table)

    def act() -> None:
        for name in _chosen(known, ids, everything):
            known.dead_letters.mark(name, LetterState.WAIVED, reason)
            out.print(f"{name}: waived", markup=False, highlight=False)

    guarded(act)


def void_letters(known: Any) -> list[str]:
    """Settle what a resync has made void: nothing in the target would stop a retry. Raises ClientError, …"""
    from daemon import beside
    from daemon.control import Migration

    found = known.control.get("migration", Migration)
    return beside.void_letters(known, found[0]) if found is not None else []


def _chosen(known: Any, ids: list[str] | None, everything: bool) -> list[str]:  # noqa: FBT001  an option as it came
    if not ids and not everything:
        refuse(EXIT_USAGE, "name the letters by id, or say --all")
    if ids:
        return ids
    return [name for name, letter in known.dead_letters.all().items() if letter.state == "open"]

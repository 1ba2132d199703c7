"""`moveout repair`: rows that differ get the source's item, with a version at which nothing newer can be lost."""

from typing import Annotated, Any

import typer

from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    TableOption,
    configured,
    guarded,
    refuse,
    say,
    tell,
)

EXIT_TIMEOUT = 4


def repair(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JSON", help='A key in typed JSON, as verification tells it: {"id":{"S":"x"}}; repeat it.'
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every difference that stands.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how the rows differ now.")] = False,
) -> None:
    """Repair rows that differ from the source, while the application writes and the service replicates.

    Each row is read from the source in a window between two proofs that no event of its key has passed, and written
    with a version from that window: above all that came before, below all that comes after. So no newer write is lost
    and no deletion undone; a row is deleted only when the window proves that the source does not hold it. Needs
    `moveout run` to be up, and takes some seconds for each hundred rows. When interrupted, run it again: what is
    repaired is not done again. It mends rows, not what damaged them: find that as well.

    Exit codes: 0 all are equal now; 2 usage; 3 some are not, or nothing may be repaired now; 4 the service has not
    answered in time.
    """
    if bool(key) == everything:
        refuse(EXIT_USAGE, "say which rows: --key JSON (once or more), or --all")
    from daemon.app import parts
    from daemon.verify.repair import NotProven
    from daemon.verify.watching import NotWatched

    known = parts(configured(config, table))
    left: list[str] = []

    def act() -> None:
        try:
            left.extend(_repair(known, key or [], dry_run=dry_run))
        except (NotProven, NotWatched) as error:
            refuse(EXIT_TIMEOUT, str(error))

    guarded(act)
    if left:
        what = "differ now; nothing was written" if dry_run else "could not be repaired"
        refuse(EXIT_REFUSED, f"{len(left)} row(s) {what}")


def _repair(known: Any, given: list[str], *, dry_run: bool) -> list[str]:
    """The keys that are not equal, as typed JSON."""
    from daemon.verify.repairing import Repairing, allowed, chosen

    allowed(known)
    keys = chosen(known, given)
    if not keys:
        say("No difference stands: there is nothing to repair.")
        return []
    sink, calls = known.sink(may_create=False), known.calls()
    try:
        sink.open()
        repairing = Repairing(known, sink, calls, tell)
        return _looked(known, repairing, keys) if dry_run else _repaired(known, repairing, keys)
    finally:
        calls.close()
        sink.close()


def _looked(known: Any, repairing: Any, keys: list[Any]) -> list[str]:
    from daemon.verify.record import key_text

    found = [(key_text(known.keys, one.key), one.how) for one in repairing.looked(keys)]
    for text, how in found:
        say(f"{text}: {how or 'equal'}")
    return [text for text, how in found if how is not None]


def _repaired(known: Any, repairing: Any, keys: list[Any]) -> list[str]:
    from daemon.verify.record import key_text
    from daemon.verify.repair import DONE

    left = []
    for number, (key, outcome) in enumerate(repairing.repaired(keys), start=1):
        text = key_text(known.keys, key)
        say(f"{text}: {outcome.value}")
        if outcome not in DONE:
            left.append(text)
        if number % 100 == 0 or number == len(keys):
            tell(f"{number} of {len(keys)} key(s), {len(left)} of them not repaired")
    return left


def register(app: typer.Typer) -> None:
    """Put the command where `moveout --help` shows it."""
    app.command()(repair)

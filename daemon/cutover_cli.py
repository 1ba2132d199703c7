"""`moveout cutover readers | writers | cancel`: who is told to go where. What changes is the migration record."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from daemon.config import Config
from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    TableOption,
    configured_all,
    duration_of,
    guarded,
    refuse,
    say,
    tell,
)

EXIT_BACK = 4
# Leaders change hands in half that time.
SILENT_SECONDS_MAX = 60.0
# What a service that lives waits for without a change: a lock that does not answer, a table that is UPDATING.
STUCK_SECONDS_MAX = 600.0
TELL_SECONDS = 2.0
POLL_SECONDS = 0.2
TIMEOUT_SECONDS_MAX = 3600.0

cutover = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Switch the readers, then the writers, to the target.

    **readers** `--percent 5`, then more, up to 100: any time back, at once. **writers**: when all readers have
    switched; fenced, proven, and committed or undone within its timeout. **cancel** goes back before it is committed.
    """,
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


@cutover.command()
def readers(
    percent: Annotated[int, typer.Option(min=0, max=100, help="So many of the readers read the target.")],
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    dry_run: DryRun = False,
) -> None:
    """Route so many percent of the readers to the target; 0 sends all of them back.

    More readers than before need `ready`: it refuses with exit code 3, and what is missing, while that does not hold.
    Fewer are always possible, but not once the writers switch. The same reader stays where it is as the percentage
    rises. Nothing takes a route back by itself: when lag grows later, `moveout status` says so and a person decides.
    """
    from daemon import cutting_over

    tables = _parts(config, table)
    _refuse_all(tables, lambda one: cutting_over.readers_refused(one, percent))
    if dry_run:
        say(f"{percent} % of the readers would read the target; nothing was changed")
        return
    _each(tables, lambda one: say(f"{_whose(one.config)}{cutting_over.route_readers(one, percent)}"))


@cutover.command()
def writers(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    timeout: Annotated[
        str | None,
        typer.Option(help="Until it is undone: seconds, or a duration like 30s, 2m. Default: cutover.timeout_seconds."),
    ] = None,
    no_reverse: Annotated[
        bool, typer.Option("--no-reverse", help="Yes: behind COMMIT there is no way back to the source.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Let the writers switch to the target: fence, drain, verify, freeze, COMMIT, open. The service does it.

    Needs `ready` and all readers at the target (exit code 3 says what is missing). **There is no way back behind
    COMMIT**: nothing that is written to the target afterwards comes to the source. So `--no-reverse` has to be given.
    Until COMMIT any failure, the timeout, or `moveout cutover cancel` lifts the fence, and the move goes on as before.
    Of several tables each switches by itself. Progress goes to stderr; Ctrl-C stops looking, not the switch.

    Exit codes: 0 committed, 3 refused, 4 undone before COMMIT, 1 the service does not answer, or comes no further.
    """
    from daemon import cutting_over

    seconds = _until_undone(timeout)
    tables = _parts(config, table)
    _refuse_all(tables, lambda one: cutting_over.writers_refused(one, seconds))
    if dry_run:
        for one in tables:
            for line in cutting_over.plan(one, seconds):
                say(f"{_whose(one.config)}{line}")
        return
    if not no_reverse:
        refuse(
            EXIT_USAGE,
            "there is no way back behind COMMIT: what is written to the target from then on does not come to the "
            "source (a reverse feed is not built yet). Say --no-reverse if that is acceptable; nothing was changed",
        )
    _each(tables, lambda one: cutting_over.request_writers(one, seconds))
    codes = [_followed(one) for one in tables]
    raise typer.Exit(max(codes))


@cutover.command()
def cancel(config: ConfigOption = DEFAULT_CONFIG, table: TableOption = None) -> None:
    """Undo the switch of the writers before it is committed: the fence is lifted, the move goes on.

    Exit code 3 when there is none under way, or it is committed.
    """
    from daemon import cutting_over

    _each(_parts(config, table), lambda one: say(f"{_whose(one.config)}{cutting_over.cancel_writers(one)}"))


def _until_undone(timeout: str | None) -> float | None:
    try:
        seconds = duration_of("--timeout", timeout)
    except ValueError as error:
        refuse(EXIT_USAGE, str(error))
    if seconds is not None and not 1 <= seconds <= TIMEOUT_SECONDS_MAX:
        refuse(EXIT_USAGE, f"--timeout is {seconds:g} s; it must lie between 1 s and {TIMEOUT_SECONDS_MAX:g} s")
    return seconds


def _parts(config: Any, table: str | None) -> Sequence[Any]:
    from daemon import log
    from daemon.app import parts

    log.configure("console", "error")  # what hooks are asked is told on stderr, and only where it fails
    return [parts(one) for one in configured_all(config, table)]


def _each(tables: Sequence[Any], act: Callable[[Any], None]) -> None:
    for one in tables:
        guarded(partial(act, one), one.config)


def _refuse_all(tables: Sequence[Any], why: Callable[[Any], list[str]]) -> None:
    """All that is missing, of all tables, before anything is changed."""
    missing: list[str] = []
    _each(tables, lambda one: missing.extend(f"{_whose(one.config)}{line}" for line in why(one)))
    if missing:
        refuse(EXIT_REFUSED, "not now: " + "\n  ".join(missing))


def _followed(
    known: Any, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Tell the journal until it is decided; the exit code."""
    from daemon import cutting_over

    told, said, changed_at, whose = 0, "", now(), _whose(known.config)
    while True:
        followed = _asked(lambda: cutting_over.followed(known))
        for line in followed.lines[told:]:
            tell(f"{whose}{line}")
        if len(followed.lines) > told:
            told, said, changed_at = len(followed.lines), followed.message, now()
        if followed.done:
            say(f"{whose}{followed.message}")
            return 0 if followed.committed else EXIT_BACK
        if followed.message != said and now() - changed_at >= TELL_SECONDS:
            tell(f"{whose}{followed.message}")  # a minute's wait without a word looks like a hang
            said, changed_at = followed.message, now()
        _refuse_standstill(followed, now() - changed_at - followed.seconds_left)
        sleep(POLL_SECONDS)


def _refuse_standstill(followed: Any, seconds: float) -> None:
    if followed.silent and seconds > SILENT_SECONDS_MAX:
        refuse(
            EXIT_FAILED,
            f"nothing has happened for {SILENT_SECONDS_MAX:g} s: {followed.message}. Is `moveout run` up? It goes "
            "on as soon as one leads; before COMMIT `moveout cutover cancel` takes the request back",
        )
    if seconds > STUCK_SECONDS_MAX:
        refuse(
            EXIT_FAILED,
            f"the service is up, and it has not come further for {STUCK_SECONDS_MAX:g} s: {followed.message}. It goes "
            "on trying; `moveout status` tells",
        )


def _asked(ask: Callable[[], Any]) -> Any:
    found: list[Any] = []
    guarded(lambda: found.append(ask()))
    return found[0]


def _whose(one: Config) -> str:
    return f"{one.source.table}: " if one.one_of > 1 else ""

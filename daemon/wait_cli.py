"""`moveout wait`: for scripts, pipelines and Jobs, which go on when it ends with 0."""

import sys
import time
from typing import Annotated

import msgspec
import typer

from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_USAGE,
    ConfigOption,
    OutputOption,
    configured_all,
    duration_of,
    err,
    out,
    refuse,
)

FOR = "ready-readers, ready-writers, drained, verified or phase=<phase>"


def wait(
    config: ConfigOption = DEFAULT_CONFIG,
    condition: Annotated[str, typer.Option("--for", help=FOR)] = "ready-readers",
    timeout: Annotated[str, typer.Option(help="Seconds, or a duration like 90s, 15m, 2h; 0 waits for ever.")] = "0",
    max_lag: Annotated[
        str | None, typer.Option(help="ready-…: lag must be proven within this as well, e.g. 2s.")
    ] = None,
    stable_for: Annotated[
        str | None, typer.Option(help="ready-…: and it must have been ready for so long, e.g. 60s.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="drained: every write before this instant, e.g. 2026-01-31T12:00:00Z. Default: now."),
    ] = None,
    allow_unproven: Annotated[
        bool, typer.Option("--allow-unproven", help="drained: take tail.proof quiet for a proof, which it is not.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="The service, e.g. http://host:8080. Default: server.listen.")] = None,
    output: OutputOption = "text",
) -> None:
    """Wait until readers may switch, or for another condition. Progress goes to stderr, the result to stdout.

    `drained`: every write to the source that was acknowledged before this command began is durable in the target.
    `verified`: a run of the verification has ended, without a difference. `--max-lag` and `--stable-for` ask for more
    than `ready.max_lag_seconds` and `ready.stable_for_seconds`, never for less.

    Exit codes: 0 reached, 2 usage, 4 timeout, 5 can never be reached, 6 the service cannot be reached.
    """
    from daemon import waiting
    from daemon.awaited import Options, awaited, instant

    settings = configured_all(config)[0]
    try:
        options = Options(
            duration_of("--max-lag", max_lag),
            duration_of("--stable-for", stable_for),
            None if since is None else instant(since),
            allow_unproven,
        )
        wanted = awaited(condition, options, time.time())
        longest = duration_of("--timeout", timeout) or 0.0
    except ValueError as error:
        refuse(EXIT_USAGE, str(error))
    service = url or f"http://{settings.server.listen}"
    outcome = waiting.wait(service, wanted, longest, lambda line: err.print(line, markup=False, highlight=False))
    if outcome.document is not None and output == "json":
        sys.stdout.write(msgspec.json.encode(outcome.document).decode() + "\n")
    elif outcome.code == 0:
        out.print(outcome.message, markup=False, highlight=False, soft_wrap=True)
    if outcome.code:
        refuse(outcome.code, outcome.message)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(wait)

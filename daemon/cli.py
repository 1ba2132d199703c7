"""The command line. Exit codes: 0 done, 1 failed, 2 configuration or usage, 3 a check refused; `wait` has more."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon import __version__, abort_cli, complete_cli, pid1, repair_cli, schema_cli, settings_cli, wait_cli
from daemon.config import Config
from daemon.cutover_cli import cutover
from daemon.exits import of_aws
from daemon.export_cli import export
from daemon.letters_cli import letters
from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    LogFormatOption,
    OutputOption,
    TableOption,
    configured,
    configured_all,
    err,
    for_each,
    guarded,
    log_as,
    out,
    refuse,
)
from daemon.verify_cli import verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Move a live DynamoDB table to ScyllaDB, Cassandra or another DynamoDB table.

    The usual order: **check** (nothing is touched), **schema** (what the target lacks), **run** (the service: backfill
    and tail), **status** while it works, **wait** until readers may switch, **cutover** readers, then writers,
    **complete** afterwards; **abort** gives it up before. New here?
    **moveout demo** shows the whole move on this machine.
    """,
)


def _version(asked: bool) -> None:  # noqa: FBT001  typer's callback
    if asked:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit.")
    ] = False,
) -> None:
    """Handle what comes before the command."""
    del version


@app.command()
def check(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    output: OutputOption = "text",
    partitions: Annotated[
        bool,
        typer.Option(
            "--partitions", help="Then read all items, and tell the largest partitions. Takes as long as that takes."
        ),
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --partitions: only N files or segments, spread evenly.")
    ] = None,
) -> None:
    """Check that the move can work, and estimate its cost and time. Touches nothing.

    Exit code 3 when something stands in the way. `--partitions` shows its progress on stderr, and warns of what is too
    wide for the target; a scan of the table costs its read units, at the rate of `backfill.scan`.
    """
    from daemon.app import parts
    from daemon.check import check_all
    from daemon.estimate import estimates, gather

    if sample and not partitions:
        refuse(EXIT_USAGE, "--sample goes with --partitions")
    findings: list[Any] = []
    documents: list[dict[str, Any]] = []
    tables = configured_all(config, table)
    for one in tables:
        known = parts(one)
        found = check_all(known)
        figures = estimates(one, gather(known))
        documents.append({"table": one.source.table, "findings": _as_objects(found), "estimate": figures})
        if output != "json":
            _show(one, found)
            _show_estimate(figures)
        findings += found
    if partitions and all(finding.good for finding in findings):
        from daemon import partitions_cli

        largest = partitions_cli.show(tables, sample, output)
        documents = [{**document, "partitions": largest[document["table"]]} for document in documents]
    if output == "json":
        sys.stdout.write(_as_json({"tables": documents}) + "\n")
    failed = sum(not finding.good for finding in findings)
    if failed:
        refuse(EXIT_REFUSED, f"{failed} of {len(findings)} checks failed; nothing was touched")
    if output != "json":
        out.print("The move can begin: moveout run", highlight=False)


def _as_objects(findings: Any) -> list[dict[str, Any]]:
    return [finding._asdict() for finding in findings]


def _show_estimate(figures: Any) -> None:
    out.print("\n[bold]Estimate[/]", highlight=False)
    for figure in figures:
        told = f"     {figure.name}: {figure.told} ({figure.source})"
        out.print(told, markup=False, highlight=False, soft_wrap=True)
    out.print()


def _show(config: Config, findings: Any) -> None:
    if config.one_of > 1:
        out.print(f"[bold]{config.source.table}[/]", highlight=False)
    for finding in findings:
        mark = "[green]ok[/]  " if finding.good else "[red]FAIL[/]"
        out.print(f"{mark} {finding.check}: ", end="")
        out.print(finding.message, markup=False, highlight=False, soft_wrap=True)


@app.command()
def run(config: ConfigOption = DEFAULT_CONFIG, log_format: LogFormatOption = None) -> None:
    """Run the service: checks, anchor, backfill and tail together, proof of lag, the signal. Until SIGTERM.

    It keeps no state of its own: stop it, kill it, start it again; it goes on where it was. With `mode: backfill` it
    ends by itself when all is loaded.
    """
    log_as(log_format)
    tables = configured_all(config)
    from daemon import log

    log.configure(tables[0].log.format, tables[0].log.level, migration=tables[0].migration, role="service")
    guarded(lambda: _serve(tables, config.resolve()))


def _serve(tables: list[Config], path: Path) -> None:
    from daemon.app import parts
    from daemon.fleet import Fleet, leadership
    from daemon.processes import LocalProcesses
    from daemon.service import Service

    known = [parts(one) for one in tables]
    leads = leadership(known[0])
    services = lambda may_load: [Service(one, LocalProcesses(one, path), leads, may_load) for one in known]  # noqa: E731
    Fleet(tables[0], services, known[0]).run()


@app.command()
def backfill(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    index: Annotated[int, typer.Option(min=0, envvar="JOB_COMPLETION_INDEX", help="Which share, from 0.")] = 0,
    of: Annotated[int, typer.Option(min=1, help="Into how many shares the work is cut.")] = 1,
    sink: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="A dry run: not into the target but into jsonl:FOLDER, jsonl:s3://BUCKET/PREFIX, or memory (read and "
            "check every item, keep none). Needs no service, and writes nothing to DynamoDB.",
        ),
    ] = None,
    log_format: LogFormatOption = None,
) -> None:
    """Load one share of the backfill: what `run` starts by itself, and what a Kubernetes Indexed Job runs.

    Waits for the service to anchor the migration. Parts that are done are not loaded again; one that was begun goes
    on where it was. Of several tables, one after the other.
    """
    log_as(log_format)
    tables = configured_all(config, table)
    if index >= of:
        refuse(EXIT_USAGE, f"--index {index} is not below --of {of}")
    if sink is not None:
        for_each(tables, lambda one: _dry_run(one, sink, index, of))
        return
    from daemon import lean

    # In the place of this process: its memory is worth more than a prompt.
    sys.stdout.flush()
    os.execv(sys.executable, lean.worker_command(str(config), index, of, table))  # noqa: S606  no shell, on purpose


def _dry_run(settings: Config, sink: str, index: int, of: int) -> None:
    from daemon import dry_run, log

    try:
        options = dry_run.target(settings, sink)
    except ValueError as error:
        refuse(EXIT_USAGE, str(error))
    if settings.one_of > 1:
        out.print(f"[bold]{settings.source.table}[/]", highlight=False)
    log.configure("console", "error", migration=settings.migration, role="dry-run")
    guarded(lambda: dry_run.run(settings, options, index, of, (out, err)), settings)


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    parts: Annotated[bool, typer.Option("--parts", help="Each file or segment of the backfill as well.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, until Ctrl-C.")] = False,
    output: OutputOption = "text",
) -> None:
    """Say where the migration stands, and why readers may not switch yet. Needs the control table only."""
    from daemon.watching import Watched, follow

    watched = Watched(configured_all(config, table), parts=parts)
    if watch:
        follow(watched, out)
    document = _asked(watched.document)
    if document is None:
        refuse(EXIT_FAILED, f"migration {watched.migration!r} has published nothing yet: start it with `moveout run`")
    if output == "json":
        sys.stdout.write(_as_json(document) + "\n")
    else:
        out.print(_asked(watched.render), highlight=False)


@app.command()
def demo(
    sink: Annotated[str, typer.Option(help="cassandra or dynamodb")] = "cassandra",
    seed: Annotated[int, typer.Option(help="Of the table's items and the application's writes.")] = 1,
    items: Annotated[int, typer.Option(min=100, help="Items in the source table.")] = 50_000,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with logs and configuration.")] = False,
) -> None:
    """Show the whole move on this machine: DynamoDB Local, the real KCL, a real Cassandra node, an S3 server.

    A live application writes all the time, the service is killed half-way, a shard rolls over; at the end
    source and target are compared completely. Two to four minutes, once downloads are cached.
    """
    if sink not in ("cassandra", "dynamodb"):
        refuse(EXIT_USAGE, f"--sink is cassandra or dynamodb, not {sink!r}")
    from daemon.demo.scenario import run_demo

    raise typer.Exit(run_demo(sink=sink, seed=seed, items=items, keep=keep))


@app.command()
def resync(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    export: Annotated[
        str | None, typer.Option(help="s3://…/manifest-summary.json of a new full export.", metavar="S3-URL")
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option(help="s3://…/manifest-summary.json of an incremental export; repeat it.", metavar="S3-URL"),
    ] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Scan the table anew, by backfill.scan.")] = False,
) -> None:
    """Heal a gap in the stream (phase needs-resync). Without options: say what happened, and which commands heal it.

    What was applied stays. The service may keep running: it loads what is new, removes what was deleted in the
    gap, follows the stream from its present beginning, and proves lag again.
    """
    from daemon import completion
    from daemon import resync as healing
    from daemon.app import parts

    known = parts(configured(config, table))
    if sum((bool(export), bool(window), scan)) > 1:
        refuse(EXIT_USAGE, "one way heals: give --export, --window (once or more) or --scan")

    def act() -> None:
        completion.refuse_if_begun(known.control)
        if not (export or window or scan):
            out.print(healing.advice(known), markup=False, highlight=False, soft_wrap=True)
            return
        if scan:
            healed = healing.by_scan(known)
        else:
            healed = healing.by_full_export(known, export) if export else healing.by_windows(known, window or [])
        out.print(healed.message, markup=False, highlight=False, soft_wrap=True)
        if not known.config.backfill.workers:
            out.print("backfill.workers is 0: start the Job that loads the files again.", highlight=False)

    guarded(act)


app.command()(export)
settings_cli.register(app)
schema_cli.register(app)
complete_cli.register(app)
wait_cli.register(app)
abort_cli.register(app)
app.add_typer(cutover, name="cutover", rich_help_panel="Commands")
repair_cli.register(app)
app.add_typer(letters, name="dead-letter", rich_help_panel="Commands")
app.add_typer(verify, name="verify", rich_help_panel="Commands")


def _as_json(document: Any) -> str:
    import msgspec

    return msgspec.json.encode(document).decode()


def _asked(ask: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return ask()
    except (ClientError, BotoCoreError) as error:
        refuse(EXIT_FAILED, of_aws(error))


def main() -> None:
    """Entry point of the `moveout` command."""
    pid1.end_on_sigterm()
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    app()


if __name__ == "__main__":
    main()

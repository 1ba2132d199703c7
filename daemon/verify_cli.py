"""`moveout verify …`: compare source and target while both live, and say what differs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_REFUSED,
    ConfigOption,
    OutputOption,
    TableOption,
    configured,
    guarded,
    out,
    refuse,
)

verify = typer.Typer(
    no_args_is_help=True,
    help="""Compare source and target while the application writes: start, stop, show, report.

    A run begins by itself as soon as lag is proven (`verify.auto`), in a process of the service. Rows that still are as
    the backfill wrote them are held against the export, which costs the source nothing; a share of the others is read
    at the source (`verify.live_percent`). Live writes give no false alarm: what differs at first is looked at again
    behind a proof of lag. Readers may switch when a run has found no difference (condition `Verified`).
    """,
)


def _records(config: Any, table: str | None) -> Any:
    from daemon.app import parts
    from daemon.verify.record import Records

    known = parts(configured(config, table))
    return known, Records(known.control, known.keys)


def _found(config: Any, table: str | None) -> tuple[Any, ...]:
    """The run, the counts, the differences."""
    from daemon.verify.record import counted

    found: list[Any] = []

    def act() -> None:
        _, records = _records(config, table)
        differences = records.differences()
        found.extend([records.run(), counted(differences), differences])

    guarded(act)
    return tuple(found)


@verify.command("start")
def start(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    sample_percent: Annotated[
        float | None,
        typer.Option(min=0.0001, max=100, help="Of the rows as they were loaded. Default: verify.sample_percent."),
    ] = None,
) -> None:
    """Begin a run; the service does it. What was found before is looked at again first.

    Exit code 3 while rows are still to be loaded, or while another run is under way.
    """

    def act() -> None:
        from daemon.verify import runs

        known, _ = _records(config, table)
        percent = sample_percent or known.config.verify.sample_percent
        begun = runs.begin(known.control, percent, "a person")
        out.print(f"run {begun.id} begins within seconds: `moveout verify show` follows it", highlight=False)

    guarded(act)


@verify.command("stop")
def stop(config: ConfigOption = DEFAULT_CONFIG, table: TableOption = None) -> None:
    """Stop the run that is under way. What it has found stays; `start` begins another one."""

    def act() -> None:
        from daemon.verify import runs

        known, _ = _records(config, table)
        out.print(f"run {runs.stop(known.control).id} ends within seconds", highlight=False)

    guarded(act)


@verify.command("show")
def show(config: ConfigOption = DEFAULT_CONFIG, table: TableOption = None, output: OutputOption = "text") -> None:
    """Show how far the run is, what it has found, and what may be said by it.

    Exit code 3 when something differs, or could not be told.
    """
    from daemon.verify import report

    run, count, differences = _found(config, table)
    if output == "json":
        sys.stdout.write(_as_json(report.summary(run, count)) + "\n")
    else:
        out.print(report.table(run, count), highlight=False)
        rows = report.sample(differences)
        if rows is not None:
            out.print()
            out.print(rows, highlight=False)
    _refuse_what_stands(run, count)


@verify.command("report")
def report_(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    to: Annotated[Path | None, typer.Option(help="A file. Default: stdout.", dir_okay=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that stand no more.")] = False,
) -> None:
    """Write what differs as JSON lines: the run first, then each key, with its kind and the attributes' names.

    Values are not in it. Exit code 3 when something differs, or could not be told.
    """
    from daemon.verify import report

    run, count, differences = _found(config, table)
    written = b"".join(report.lines(run, count, differences, everything=everything))
    _to(to)(written)
    _refuse_what_stands(run, count)


def _to(path: Path | None) -> Callable[[bytes], object]:
    return sys.stdout.buffer.write if path is None else path.write_bytes


def _refuse_what_stands(run: Any, count: Any) -> None:
    from daemon.verify import judged

    if found := judged.standing(run, count):
        refuse(EXIT_REFUSED, found)


def _as_json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()

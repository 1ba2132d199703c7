"""`moveout schema`: what the target lacks, as statements; and `--apply`, which runs them."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from daemon.config import Config
from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_REFUSED,
    EXIT_USAGE,
    ConfigOption,
    OutputOption,
    TableOption,
    configured_all,
    err,
    for_each,
    guarded,
    refuse,
)
from sinks.provision import Described, Provisioned, SchemaStep, SourceTable

# Behind which a line is none of the statement's: CQL's, and a shell's.
COMMENT = {"cassandra": "--"}
Wanted = Literal["lacking", "all", "apply"]


def schema(
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
    whole: Annotated[
        bool, typer.Option("--print", help="All that the target has to be, whatever is there. CQL: asks no node.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it, asking nothing; what is there already stays.")] = False,
    output: OutputOption = "text",
) -> None:
    """Show what the target still lacks, with the statement that mends each; touches nothing.

    Without an option: exit code 3 while something is missing, 0 when the target can take the move. --print writes the
    whole definition, a keyspace included, for whoever makes tables by other means. --apply makes what is missing and
    alters what would endanger the move (tombstones must be kept); what was there before is noted in the control table,
    and `moveout complete` gives it back after the switch. What moveout must not decide (views for indexes, a keyspace
    that nobody describes) is marked `by hand`. Safe to repeat; when interrupted, run it again.
    """
    if whole and apply:
        refuse(EXIT_USAGE, "--print shows, --apply does: give one of them")
    wanted: Wanted = "apply" if apply else ("all" if whole else "lacking")
    documents: list[dict[str, Any]] = []
    tables = configured_all(config, table)
    try:
        for_each(tables, lambda one: guarded(lambda: _act(one, documents, wanted, output), one))
    finally:
        if output == "json":
            import msgspec

            sys.stdout.write(msgspec.json.encode({"tables": documents}).decode() + "\n")
    lacking = sum(len(document["missing"]) for document in documents)
    if lacking and wanted == "lacking":
        refuse(EXIT_REFUSED, f"{lacking} step(s) are missing: `moveout schema --apply` does them")


def _act(one: Config, documents: list[dict[str, Any]], wanted: Wanted, output: str) -> None:
    from daemon.app import parts
    from daemon.source_table import source_table

    known = parts(one)
    sink, source = known.sink(may_create=False), source_table(known)
    if not isinstance(sink, Provisioned):
        told = f"a target of kind {one.target.kind} has no schema: there is nothing to make or to compare"
        source = SourceTable(source.table, notes=(told,))
        steps: Sequence[SchemaStep] = ()
    else:
        steps = sink.ddl(source) if wanted == "all" and isinstance(sink, Described) else sink.schema_steps(source)
    if wanted == "apply":
        applied(known, sink, [step for step in steps if not step.by_hand])
    documents.append(_document(one, source, steps))
    if output != "json":
        sys.stdout.write(script(one, source, steps, did=wanted == "apply"))


def applied(known: Any, sink: Any, steps: Sequence[SchemaStep]) -> None:
    """Do each step; what it alters for the time of the move is noted first, durably.

    Raises CheckFailed after the end of the move, SinkError, ClientError, BotoCoreError, Conflict.
    """
    from daemon import completion, target_settings

    if not steps:
        return
    known.control.create_table()
    completion.refuse_if_begun(known.control)
    for step in steps:
        if step.before:
            target_settings.remember(known.control, step.before)
        sink.apply_schema([step], lambda line: err.print(line, markup=False, highlight=False, soft_wrap=True))
        err.print(f"done: {step.statement.splitlines()[0]}", markup=False, highlight=False, soft_wrap=True)


def _document(one: Config, source: SourceTable, steps: Sequence[SchemaStep]) -> dict[str, Any]:
    return {
        "table": one.source.table,
        "missing": [_as_object(step) for step in steps if not step.by_hand],
        "by_hand": [_as_object(step) for step in steps if step.by_hand],
        "notes": list(source.notes),
    }


def _as_object(step: SchemaStep) -> dict[str, Any]:
    return {"statement": step.statement, "why": step.why, "before": dict(step.before)}


def script(one: Config, source: SourceTable, steps: Sequence[SchemaStep], *, did: bool = False) -> str:
    """The steps as a file that cqlsh or a shell takes: all but the statements is a comment.

    What is to be done by hand is a comment too: a view that is made with its table would cost the whole backfill.
    """
    comment = COMMENT.get(one.target.kind, "#")
    lines = [f"{comment} {one.source.table} -> {one.target.kind}"]
    lines += [f"{comment} {note}" for note in source.notes]
    for step in steps:
        lines += ["", f"{comment} {_mark(step, did=did)}{step.why}", _told(step, comment)]
    if not steps:
        lines.append(f"{comment} nothing is missing")
    return "\n".join(lines) + "\n\n"


def _mark(step: SchemaStep, *, did: bool) -> str:
    if step.by_hand:
        return "by hand: "
    return "done: " if did else ""


def _told(step: SchemaStep, comment: str) -> str:
    ended = step.statement if comment == "#" else f"{step.statement};"
    return "\n".join(f"{comment} {line}" for line in ended.splitlines()) if step.by_hand else ended


def register(app: typer.Typer) -> None:
    """Put the command where `moveout --help` shows it."""
    app.command()(schema)

"""`moveout status`: the stored document, for people."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from daemon.completion import Completion
from daemon.control import Control, Part
from daemon.phase import Phase
from daemon.progress_view import duration, short, size
from daemon.routes import Routes
from daemon.signal.document import Backfill, Document, ShardLag, Verification, is_current, iso
from daemon.switching import Switch

# Whether readers may switch is no question any more, or none yet.
DECIDED = (Phase.LOADED, Phase.SWITCHING, Phase.SWITCHED, Phase.ABORTED)


def stored(control: Control) -> Document | None:
    """What the service published last. Raises ClientError, BotoCoreError."""
    found = control.get("signal", Document)
    return found[0] if found else None


def render(document: Document, *, completed: bool = False) -> RenderableType:
    """The document as a person wants to read it: the sentence first. `completed`: nothing more is to come."""
    tables = [_tables(document.tables)] if document.tables else []
    return Group(_headline(document, completed=completed), *tables, _figures(document), _conditions(document))


def render_completion(table: str, end: Completion) -> RenderableType:
    """What `moveout complete` has recorded of one table."""
    why = f", before it was ready: {end.forced}" if end.forced else ""
    if end.done_at:
        return Text(f"{table}: completed at {iso(end.done_at)} (moveout complete){why}", "bold")
    begun = f"{table}: its completion was begun at {iso(end.begun_at)} and is not done{why}. Run moveout complete again"
    return Text(begun, "red")


def _tables(documents: Sequence[Document]) -> Table:
    """Of several: one line each."""
    table = Table("table", "phase", "items", "rate", "left", "lag", "ready", box=None, padding=(0, 2, 0, 0))
    for one in documents:
        backfill = one.backfill
        table.add_row(
            one.table,
            one.phase.value,
            _share(backfill),
            f"{backfill.items_per_second:,.0f}/s",
            _eta(backfill.eta_seconds).removeprefix(", about ").removesuffix(" left"),
            "unbounded" if one.lag.seconds is None else f"{one.lag.seconds:.1f} s",
            Text("yes", "green") if one.ready.readers else Text("no", "yellow"),
        )
    return table


def _share(backfill: Backfill, unit: str = "") -> str:
    done, total = backfill.items_done, backfill.items_total
    if backfill.items_estimated and done > total:
        return f"{done:,}{unit} so far, the estimate was {total:,}"
    percent = f" ({100 * done / total:.0f} %)" if total else ""
    return f"{done:,} of {'about ' if backfill.items_estimated else ''}{total:,}{unit}{percent}"


def render_parts(name: str, parts: Sequence[Part]) -> RenderableType:
    """Each part of a table's backfill: those with a fault first, then those under way, then the rest."""
    table = Table(
        "part",
        "state",
        "items",
        "applied",
        "refused",
        "left out",
        "read",
        title=f"parts of {name}",
        box=None,
        title_justify="left",
        padding=(0, 2, 0, 0),
    )
    for part in sorted(parts, key=lambda part: (part.error is None, part.done, not part.rows_read, part.name)):
        state = Text(part.error, "red") if part.error else Text(_state(part))
        about = "" if part.counted or part.done else "about "
        items = f"{part.rows_read:,} of {about}{part.items:,}"
        table.add_row(
            short(part.name),
            state,
            items,
            f"{part.applied:,}",
            f"{part.rejected:,}",
            f"{part.skipped:,}",
            size(part.bytes_read),
        )
    return table


def _state(part: Part) -> str:
    if part.done:
        return "done"
    return "loading" if part.rows_read else "waiting"


def _headline(document: Document, *, completed: bool) -> Text:
    ready = "readers may switch" if document.ready.readers else "readers must not switch yet"
    said = f" - {document.message}" if document.phase in DECIDED else f" - {ready}. {document.message}"
    line = Text.assemble((f"{document.migration}: {document.phase.value}", "bold"), said)
    # A backfill without a tail ends by itself, and a migration that was completed has ended: silence is no fault there.
    if completed:
        line.append(f"\nWhat follows is of its service's last word, at {document.published_at}.")
    elif document.phase is not Phase.LOADED and not is_current(document, time.time()):
        line.append(f"\nThe service is silent since {document.published_at}: nothing here holds now.", "red")
    return line


def _figures(document: Document) -> Table:
    table = Table.grid(padding=(0, 2))
    # A backfill without a tail has no such condition, and nothing to say of lag and stream.
    tailed = any(condition.type == "LagProven" for condition in document.conditions)
    rows = [*(_lag(document) if tailed else ()), *_load(document.backfill), *(_tail(document) if tailed else ())]
    rows += [*_verified(document.verification), *_routed(document), ("dead letters", _letters(document))]
    if document.paused.trims_in_seconds is not None:
        rows.append(("stream", _forgets(document.paused.trims_in_seconds)))
    if document.paused.backfill or document.paused.tail:
        rows.append(("paused", _paused(document)))
    for name, value in rows:
        table.add_row(name, value)
    return table


def _lag(document: Document) -> list[tuple[str, str]]:
    lag = document.lag
    age = "" if lag.proof_age_seconds is None else f", {lag.proof_age_seconds:.0f} s ago"
    by = {"heartbeat": f"proven by round {lag.round}{age}", "seal": "proven by the sealed stream"}.get(lag.proof)
    told = by or f"not proven, only likely (tail.proof: quiet){age}"
    slow = [f"{one.shard} {'unbounded' if one.seconds is None else f'{one.seconds:.1f} s'}" for one in _slow(document)]
    return [
        ("lag", "unbounded" if lag.seconds is None else f"{lag.seconds:.1f} s, {told}"),
        ("applied through", lag.applied_through or "nothing proven yet"),
        *([("slowest shard", slow[0])] if slow else []),
    ]


def _slow(document: Document) -> list[ShardLag]:
    """Worth a line where there are several."""
    return document.lag.slowest if len(document.lag.slowest) > 1 else []


def _load(backfill: Backfill) -> list[tuple[str, str]]:
    return [
        (
            "backfill",
            f"{_share(backfill, ' items')}, {backfill.parts_done:,} of {backfill.parts_total:,} part(s), "
            f"{backfill.items_per_second:,.0f} items/s{_eta(backfill.eta_seconds)}",
        ),
        (
            "",
            f"{backfill.applied:,} applied, {backfill.rejected:,} refused, {backfill.skipped:,} heartbeats left out, "
            f"{size(backfill.bytes_read)} read",
        ),
    ]


def _tail(document: Document) -> list[tuple[str, str]]:
    tail = document.tail
    return [
        (
            "tail",
            f"{tail.records:,} records in {tail.shards_open} open and {tail.shards_ended} ended shard(s), "
            f"{tail.shards_unowned} without owner, {tail.restarts} restart(s)",
        ),
        *([("", f"{tail.expired:,} of them deletions by the source's TTL")] if tail.expired else []),
    ]


def _verified(found: Verification | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.differences.items() if count)
    hint = ": see `moveout verify report`" if kinds else ""
    told = [("verification", f"run {found.run} {found.state}: {found.message}")]
    return [*told, ("", f"{kinds} differ{hint}")] if kinds else told


def _routed(document: Document) -> list[tuple[str, str]]:
    """Nothing while everybody is where the application began."""
    routes, switch = document.routes, document.switch
    if routes == Routes() and switch is None:
        return []
    writers = "are fenced: nobody is to write" if routes.writes_fenced else f"write to the {routes.writes}"
    told = [("routes", f"{routes.reads_percent} % of the readers read the target; writers {writers}")]
    return [*told, ("writers' switch", _step(switch))] if switch is not None else told


def _step(switch: Switch) -> str:
    last = f": {switch.journal[-1].message}" if switch.journal else ""
    return f"step {switch.step.value}{last}"


def _forgets(seconds: float) -> str:
    return f"forgets what is not applied in {seconds / 3600:.1f} h"


def _paused(document: Document) -> str:
    halted = [name for name in ("backfill", "tail") if getattr(document.paused, name)]
    return f"{' and '.join(halted)}, by `moveout pause`; `moveout resume` goes on"


def _letters(document: Document) -> str:
    counts = document.dead_letters
    if not any((counts.open, counts.settled, counts.retried, counts.waived)):
        return "none"
    return (
        f"{counts.open} open, {counts.settled} settled, {counts.retried} retried, {counts.waived} waived"
        f"{': see `moveout dead-letter list`' if counts.open else ''}"
    )


def _eta(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f", about {duration(seconds)} left"


def _conditions(document: Document) -> Table:
    table = Table("", "condition", "message", box=None, padding=(0, 2, 0, 0))
    for condition in document.conditions:
        mark = Text("yes", "green") if condition.status else Text("no", "yellow")
        table.add_row(mark, condition.type, Text(condition.message))
    return table

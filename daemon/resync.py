"""`moveout resync`: heals a gap in the stream, by one new full export or by incremental exports over the gap.

What was applied before stays. Everything that is loaded now, and everything that the stream brings from now on, gets
versions above all that were dealt before the gap:

    … older versions < floor < rank 1 < … < rank n < anchor < every change of the stream

The rows that a full export does not hold are those that were deleted in the gap: after the load they are the ones
below rank 1, and the sweep removes them, at `floor`: a row that the target refuses now may still be retried at rank 1.
Incremental exports tell deletions; what they leave out is an item that was written and deleted within one window,
of which the tail, or a window before, may have brought the first half: so the sweep asks the source about rows of
that time, and removes what is not there at `anchor` (daemon/README.md, "Gaps").
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import structlog

from daemon import ordered, preflight, scanning
from daemon.anchor import reserve, write_generation
from daemon.app import Parts
from daemon.control import Control, Migration, Part, Proof, ShardState, Sweep, shards_of
from daemon.phase import Phase
from daemon.preflight import CheckFailed, SourceFacts
from daemon.source.export import OVERLAP_SECONDS, ExportUnusable, hole
from daemon.source.incremental import Window, chain, ranked, read_window
from daemon.source.stream import MICROS
from sinks.change import Change, Key
from sinks.sink import Rejection, Scannable, Sink

log = structlog.get_logger()

# A shard process that outlives the gap deals versions by the stream's clock: it may be ahead of ours by this much.
SKEW_SECONDS = 60


class NotHealed(Exception):
    """The gap cannot be healed like this. The message says why, and what to do; nothing was changed."""


class Load(NamedTuple):
    """What will be loaded: the parts, each with its version, and what is to be swept afterwards."""

    parts: Sequence[Part]
    exported_at: float
    anchor_version: int
    sweep: Sweep


def gapped(control: Control) -> Migration:
    """The migration, which must have a gap. Raises NotHealed."""
    found = control.get("migration", Migration)
    if found is None or found[0].phase is not Phase.NEEDS_RESYNC:
        phase = found[0].phase.value if found else "not begun"
        raise NotHealed(f"there is no gap to heal: the migration is in phase {phase}")
    return found[0]


def _has_versions(known: Parts) -> None:
    """Raises NotHealed where the target has none."""
    if ordered.is_ordered(known.config):
        raise NotHealed(ordered.no_resync())


def complete_until(control: Control, migration: Migration) -> float:
    """Every write before this instant (epoch seconds) was applied, or was in an export."""
    proof = control.get("proof", Proof)
    proven = proof[0].of(migration.generation).applied_through if proof else None
    return max(proven or 0.0, migration.exported_at)


def by_full_export(known: Parts, manifest: str) -> Migration:
    """Load a new full export. Raises NotHealed, CheckFailed, ClientError, BotoCoreError."""
    _has_versions(known)
    migration, facts = gapped(known.control), known.facts
    export = preflight.export(known.config, manifest, facts, known.s3, known.clock.time())
    floor = _floor(known.control, migration, known.clock.time())
    parts = [msgspec.structs.replace(part, version=floor + 1) for part in export.parts]
    return _begin(known, migration, facts, Load(parts, export.exported_at, floor + 1, Sweep(below=floor + 1, at=floor)))


def by_scan(known: Parts) -> Migration:
    """Scan the table anew: for tables without point-in-time recovery. Raises as by_full_export does.

    As with a full export, rows have a rank below every change of the new stream, and what the scan does not find was
    deleted in the gap. All rows are read after this, and the stream is older (`scanning.begin`): so what a page lacks
    is in the stream.
    """
    _has_versions(known)
    migration, facts = gapped(known.control), known.facts
    begun = scanning.begin(known)
    floor = _floor(known.control, migration, known.clock.time())
    parts = [msgspec.structs.replace(part, version=floor + 1) for part in begun.parts]
    return _begin(
        known, migration, facts, Load(parts, begun.complete_until, floor + 1, Sweep(below=floor + 1, at=floor))
    )


def by_windows(known: Parts, manifests: Sequence[str]) -> Migration:
    """Load incremental exports over the gap. Raises NotHealed, CheckFailed, ClientError, BotoCoreError."""
    _has_versions(known)
    migration, facts = gapped(known.control), known.facts
    if not migration.settled:
        raise NotHealed(
            "the backfill was not complete when the stream lost changes, so there is nothing to add windows to: "
            "take a new full export and give it with --export"
        )
    windows = [_window(known, manifest) for manifest in manifests]
    began = complete_until(known.control, migration)
    _joined(known, windows, began, facts)
    floor = _floor(known.control, migration, known.clock.time())
    parts = [
        msgspec.structs.replace(part, version=version)
        for window, version in ranked(windows, floor + len(windows) + 1)
        for part in window.parts
    ]
    until = max(window.to_time for window in windows)
    anchor_version = floor + len(windows) + 1
    sweep = Sweep(below=anchor_version - 1, at=anchor_version, since=_since(known, windows), ask_source=True)
    return _begin(known, migration, facts, Load(parts, until, anchor_version, sweep))


def _since(known: Parts, windows: Sequence[Window]) -> int:
    """The least version of a row that was written in the windows' time, by the tail or by a backfill."""
    begin = min(window.from_time for window in windows)
    # A backfill's rows are OVERLAP_SECONDS older by version than by the time of their export.
    return int(begin - known.config.backfill.clock_margin_seconds - OVERLAP_SECONDS) * MICROS


def _window(known: Parts, manifest: str) -> Window:
    try:
        window = read_window(known.s3, manifest)
    except ExportUnusable as error:
        raise CheckFailed(str(error)) from error
    if window.table_arn.rpartition("/")[2] != known.config.source.table:
        raise CheckFailed(f"{manifest} is an export of {window.table_arn}, the source is {known.config.source.table!r}")
    return window


def _joined(known: Parts, windows: Sequence[Window], began: float, facts: SourceFacts) -> None:
    """From what is surely in the target to what the stream still has. Raises NotHealed."""
    margin_seconds = known.config.backfill.clock_margin_seconds
    latest = max(window.to_time for window in windows)
    why = chain(windows, began, began, margin_seconds) or hole(
        latest, facts.stream.created_at, known.clock.time(), margin_seconds
    )
    if why is not None:
        raise NotHealed(f"the windows do not close the gap: {why}")


def _floor(control: Control, migration: Migration, now: float) -> int:
    """A version above every version that was ever dealt, also by a process that has not noticed yet."""
    states = control.all(shards_of(migration.generation), ShardState).values()
    dealt = [migration.backfill_version, migration.anchor_version, *(state.version for state, _ in states)]
    return max(int(now + SKEW_SECONDS) * MICROS, *dealt) + 1


def _begin(known: Parts, migration: Migration, facts: SourceFacts, load: Load) -> Migration:
    """Write the new generation, then put it in force. Raises NotHealed when the migration has changed meanwhile."""
    generation = reserve(known.control)
    write_generation(known.control, generation, load.parts, facts.stream.shards, load.anchor_version)
    begun = msgspec.structs.replace(
        migration,
        phase=Phase.ANCHORED,
        message=f"resync: anchored anew at {len(facts.stream.shards)} shard(s), with {len(load.parts)} parts to load",
        stream_arn=facts.stream.arn,
        anchored_at=known.clock.time(),
        exported_at=load.exported_at,
        backfill_version=load.anchor_version,
        anchor_version=load.anchor_version,
        generation=generation,
        loaded_in=None,
        parts=len(load.parts),
        settled=False,
        pending=False,
        sweep=load.sweep,
        gap=None,
    )

    def swapped(current: Migration | None) -> Migration:
        if current is None or (current.generation, current.phase) != (migration.generation, Phase.NEEDS_RESYNC):
            raise NotHealed("the migration has changed while this command ran: look at `moveout status`")
        # A person may have sent the readers back meanwhile, and a switch have been undone.
        kept = {"reserved": current.reserved, "epoch": current.epoch, "routes": current.routes}
        return msgspec.structs.replace(begun, **kept, switch=current.switch)

    log.info("resync", generation=generation, parts=len(load.parts), anchor_version=load.anchor_version)
    return known.control.update("migration", Migration, swapped)


def sweep(sink: Sink, wanted: Sweep, in_source: Callable[[Key], bool]) -> tuple[int, list[Rejection]]:
    """Remove the rows that the resync should have touched and has not; how many, and what the sink refused.

    Raises what the sink and `in_source` raise; safe to repeat. A sink that cannot be scanned cannot be swept.
    """
    if not isinstance(sink, Scannable):
        raise NotHealed("this sink cannot list its rows, so what was deleted in the gap cannot be removed")
    swept = 0
    rejected: list[Rejection] = []
    for page in sink.versions():
        ghosts = [key for key, version in page if is_ghost(wanted, in_source, key, version)]
        rejected += sink.apply([Change(key, wanted.at, None) for key in ghosts])
        swept += len(ghosts)
    return swept, rejected


def is_ghost(wanted: Sweep, in_source: Callable[[Key], bool], key: Key, version: int) -> bool:
    """True when this version of the key is of before the gap, and its deletion was lost in it."""
    untouched = wanted.since <= version < wanted.below
    return untouched and not (wanted.ask_source and in_source(key))


def advice(known: Parts) -> str:
    """What happened, and the commands that heal it. Raises NotHealed, CheckFailed, ClientError, BotoCoreError."""
    _has_versions(known)
    migration = gapped(known.control)
    arn = known.table.arn
    since = complete_until(known.control, migration) - known.config.backfill.clock_margin_seconds
    bucket = known.config.bucket or "<a bucket>"
    export = f"aws dynamodb export-table-to-point-in-time --table-arn {arn} --s3-bucket {bucket}"
    lines = [
        f"The stream has lost changes: {migration.gap}.",
        f"Everything before {_iso(since)} is in the target, what came later may be not.",
        "",
        "Either take a new full export, and load it over what is there:",
        f"  {export}",
        "  moveout resync --export s3://…/manifest-summary.json",
        "",
        "or, without point-in-time recovery, scan the table anew (backfill.scan: its rate is obeyed):",
        "  moveout resync --scan",
    ]
    if migration.settled:
        lines += [
            "",
            "or, cheaper where point-in-time recovery was on, windows of 15 minutes to 24 hours, one after the other,",
            "from then until at least three minutes after the stream was enabled:",
            f"  {export} --export-type INCREMENTAL_EXPORT --incremental-export-specification "
            f"ExportFromTime={int(since)},ExportToTime=<epoch seconds>,ExportViewType=NEW_IMAGE",
            "  moveout resync --window s3://…/manifest-summary.json --window …",
        ]
    return "\n".join([*lines, "", "The service may keep running: it goes on by itself."])


def _iso(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="seconds")

"""The rows that exist already: which parts are mine, load one, account for it.

The function that loads one part takes the part and what it needs to load it, and nothing else: any engine
that can run a function over a list can run it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from daemon.apply import Ways, deliver
from daemon.control import Control, Part, parts_of
from daemon.dead_letter import TooManyDeadLetters
from daemon.letter_box import BoxUnavailable
from daemon.source import files, incremental
from daemon.source.export import ExportUnusable
from daemon.source.heartbeat import is_heartbeat
from daemon.source.incremental import Row
from sinks.change import Change, KeySchema

log = structlog.get_logger()

# Progress is written this often: it is for people, a crash does the part again.
PROGRESS_SECONDS = 1.0


class BackfillIncomplete(Exception):
    """Some parts could not be loaded; the others are kept. The message names each, with what to do."""


def part_names(parts: Sequence[Part], generation: int) -> dict[str, Part]:
    """Record name -> part, in the order of the manifest."""
    return {f"{parts_of(generation)}{number:06d}": part for number, part in enumerate(parts)}


def mine(parts: Mapping[str, Part], index: int, of: int) -> list[str]:
    """The parts of worker `index` of `of`: arithmetic, no queue, so that any engine can do it.

    Dealt by size, largest first, back and forth, so that the shares are about even.
    """
    largest_first = sorted(parts, key=lambda name: (-parts[name].items, name))
    period = 2 * of
    return [n for turn, n in enumerate(largest_first) if (turn % period) in (index, period - 1 - index)]


def load_part(
    s3: Any,
    part: Part,
    keys: KeySchema,
    version: int,
    ways: Ways,
    batch_rows: int,
    progress: Callable[[Part], None],
) -> Part:
    """Load one file and account for each of its rows. The part, done.

    `version`, in microseconds, is that of the migration's backfill: for a part that has none of its own.
    Raises ExportUnusable, what the three ways raise, and ClientError or BotoCoreError of S3.
    """
    if part.kind == "incremental" and not part.version:
        raise ValueError(f"{part.name} is of an incremental export and has no rank")
    etag = files.verify(s3, part)
    # An incremental export tells of deletions, which `load` does not take.
    into = ways.apply if part.kind == "incremental" else ways.load
    part = msgspec.structs.replace(part, rows_read=0, applied=0, rejected=0, skipped=0, error=None)
    for rows in _batches(_rows(s3, part, etag, keys), batch_rows):
        changes = [Change(key, part.version or version, item) for key, item in rows if not is_heartbeat(key)]
        applied = deliver(into, changes, ways.keep)
        part = msgspec.structs.replace(
            part,
            rows_read=part.rows_read + len(rows),
            applied=part.applied + applied,
            rejected=part.rejected + len(changes) - applied,
            skipped=part.skipped + len(rows) - len(changes),
        )
        progress(part)
    if part.rows_read != part.items:
        raise ExportUnusable(
            f"{part.name} has {part.rows_read} items, the manifest says {part.items}: "
            "copy it again from the export; the other files are kept"
        )
    return msgspec.structs.replace(part, done=True)


def _rows(s3: Any, part: Part, etag: str, keys: KeySchema) -> Iterator[Sequence[Row]]:
    read = incremental.changes if part.kind == "incremental" else files.rows
    return read(s3, part, etag, keys)


def _batches(blocks: Iterable[Sequence[Row]], size: int) -> Iterator[Sequence[Row]]:
    """Blocks are bounded by bytes, batches by rows as well."""
    for block in blocks:
        for start in range(0, len(block), size):
            yield block[start : start + size]


class Ledger:
    """Writes a part's progress, now and then, and its end.

    Two workers may have the same part for a while, after a crash of the service for instance. They load the same
    rows, and each accounts for a whole pass of its own: so the last word counts, and a part that is done stays done.
    """

    def __init__(self, control: Control, record: str) -> None:
        self._control = control
        self._record = record
        self._written_at = time.monotonic()

    def progress(self, part: Part) -> None:
        """At most once a second."""
        if time.monotonic() - self._written_at >= PROGRESS_SECONDS:
            self.write(part)

    def write(self, part: Part) -> None:
        """Now."""
        self._control.update(self._record, Part, lambda known: known if known and known.done else part)
        self._written_at = time.monotonic()


def load_share(
    control: Control,
    generation: int,
    index: int,
    of: int,
    load: Callable[[Part, Callable[[Part], None]], Part],
) -> None:
    """Load every part of this worker's share that is not done yet. Raises BackfillIncomplete."""
    parts = control.all(parts_of(generation), Part)
    faults = []
    for name in mine({name: part for name, (part, _) in parts.items()}, index, of):
        part, _ = parts[name]
        if part.done:
            continue
        fault = _load_one(Ledger(control, parts_of(generation) + name), part, load)
        if fault is not None:
            faults.append(fault)
    if faults:
        raise BackfillIncomplete("; ".join(faults))


def _load_one(ledger: Ledger, part: Part, load: Callable[[Part, Callable[[Part], None]], Part]) -> str | None:
    """What is wrong with the part; None when it is done. One bad file does not keep the others waiting."""
    started = time.monotonic()
    log.info("part_started", part=part.name, items=part.items)
    try:
        done = load(part, ledger.progress)
        ledger.write(done)
    except (ExportUnusable, TooManyDeadLetters, BoxUnavailable) as error:
        log.error("part_failed", part=part.name, error=str(error))  # noqa: TRY400  the sentence says it all
        ledger.write(msgspec.structs.replace(part, error=str(error)))
        return str(error)
    log.info("part_done", part=part.name, rows=done.rows_read, seconds=round(time.monotonic() - started, 1))
    return None

"""The rows that exist already: which parts are mine, load one, account for it.

The function that loads one part takes the part and what it needs to load it, and nothing else: any engine
that can run a function over a list can run it.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from heapq import heapreplace
from typing import Any, Protocol

import msgspec
import structlog

from daemon.apply import Ways, deliver
from daemon.control import Control, Part, parts_of
from daemon.dead_letter import TooManyDeadLetters
from daemon.letter_box import BoxUnavailable
from daemon.pace import Pace
from daemon.source.export import ExportUnusable
from daemon.source.heartbeat import PREFIX, is_heartbeat
from daemon.source.page import Page, Row
from daemon.source.scan import ScanRefused
from sinks.change import Change

log = structlog.get_logger()

# Progress is written this often: it is for people, a crash does the part again.
PROGRESS_SECONDS = 1.0


# What is wrong with one part, and no reason to leave the others.
FAULTS = (ExportUnusable, ScanRefused, TooManyDeadLetters, BoxUnavailable)


class BackfillIncomplete(Exception):
    """Some parts could not be loaded; the others are kept. The message names each, with what to do."""


def part_names(parts: Sequence[Part], generation: int) -> dict[str, Part]:
    """Record name -> part, in the order of the manifest."""
    return {f"{parts_of(generation)}{number:06d}": part for number, part in enumerate(parts)}


def mine(parts: Mapping[str, Part], index: int, of: int) -> list[str]:
    """The parts of worker `index` of `of`: arithmetic, no queue, so that any engine can do it.

    Dealt by size in bytes, largest first, each to the share that has least so far.
    """
    largest_first = sorted(parts, key=lambda name: (-_weight(parts[name]), name))
    shares = [(0, share) for share in range(of)]  # a heap of what each has got
    dealt: list[str] = []
    for name in largest_first:
        weight, share = shares[0]
        heapreplace(shares, (weight + _weight(parts[name]), share))
        if share == index:
            dealt.append(name)
    return dealt


def _weight(part: Part) -> int:
    """Never changes: two workers that look at different times must deal alike, or a part is nobody's."""
    promised = part.items if part.counted else 0  # an estimate becomes a count when the part is done
    return (part.size_bytes or promised) + 1


def far_apart(names: Sequence[str], index: int, of: int, beside: int) -> list[str]:
    """The parts of one share in an order in which any `beside` neighbours lie far apart in the manifest.

    All items of one file come from one partition's hash range (DynamoDB developer guide, "DynamoDB data export to S3:
    how it works"), and files of one range may be neighbours. So each of the `beside` lanes goes through a run of its
    own, and the workers, of which each has such a share, begin at different places of it. One at a time: as dealt.
    """
    if beside == 1 or not names:
        return list(names)
    ordered = sorted(names)
    run = -(-len(ordered) // beside)
    begin = run * index // of
    turned = ordered[begin:] + ordered[:begin]
    lanes = [turned[start : start + run] for start in range(0, len(turned), run)]
    return [lane[place] for place in range(run) for lane in lanes if place < len(lane)]


# The part as it is accounted for after each page, all of which is durable; the last one is done.
Loading = Generator[Part, None, None]


def load_part(
    read: Callable[[Part], Iterable[Page]],
    part: Part,
    ways: Ways,
    batch_rows: int,
    progress: Callable[[Part], None],
    pace: Pace | None = None,
) -> Part:
    """Load what of one part is not loaded yet, and account for each of its rows. The part, done.

    Raises what `read` raises (ExportUnusable, ClientError, BotoCoreError), and what the three ways raise.
    """
    return finished(loading(read, part, ways, batch_rows, pace), progress)


def finished(pages: Loading, progress: Callable[[Part], None]) -> Part:
    """Page after page to the end; the part, done. Raises what the loading raises."""
    for so_far in pages:
        if not so_far.done:
            progress(so_far)
    return so_far


def loading(
    read: Callable[[Part], Iterable[Page]], part: Part, ways: Ways, batch_rows: int, pace: Pace | None = None
) -> Loading:
    """As load_part, page by page: whoever takes the next one decides when, and nothing is in flight between two."""
    if not part.version:
        raise ValueError(f"{part.name} has no version")
    # An incremental export tells of deletions, which `load` does not take.
    into = ways.apply if part.kind == "incremental" else ways.load
    part, version = msgspec.structs.replace(part, error=None), part.version
    for page in read(part):
        applied = skipped = 0
        for rows in _batches(page.rows, batch_rows):
            if pace is not None:
                pace.spend(len(rows))
            changes = _changes(rows, version)
            applied += deliver(into, changes, ways.keep)
            skipped += len(rows) - len(changes)
        part = _accounted(part, page, applied, skipped)
        yield part
    yield _done(part)


def _changes(rows: Sequence[Row], version: int) -> list[Change]:
    """The application's rows, not our heartbeats. All keys of a table have one type, and most are text."""
    if isinstance(rows[0][0].partition, str):
        texts: Any = rows  # is_heartbeat without a call for each: 2 % of the load
        return [Change(key, version, item) for key, item in texts if not key.partition.startswith(PREFIX)]
    return [Change(key, version, item) for key, item in rows if not is_heartbeat(key)]


def _batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Pages are bounded by bytes, batches by rows as well."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _accounted(part: Part, page: Page, applied: int, skipped: int) -> Part:
    """With one more page, all of which is durable: whoever goes on from here counts each row once."""
    return msgspec.structs.replace(
        part,
        rows_read=part.rows_read + len(page.rows),
        applied=part.applied + applied,
        rejected=part.rejected + len(page.rows) - applied - skipped,
        skipped=part.skipped + skipped,
        bytes_read=part.bytes_read + page.size_bytes,
        position=page.position,
    )


def _done(part: Part) -> Part:
    """The part, done. Raises ExportUnusable when it had more or fewer rows than was promised."""
    if part.counted and part.rows_read != part.items:
        raise ExportUnusable(
            f"{part.name} has {part.rows_read} items, the manifest says {part.items}: "
            "copy it again from the export; the other files are kept"
        )
    return msgspec.structs.replace(part, done=True, items=part.rows_read)


# Of a part that is begun again.
_ANEW: dict[str, Any] = {
    "position": "",
    **dict.fromkeys(("rows_read", "applied", "rejected", "skipped", "bytes_read"), 0),
}


class Account(Protocol):
    """Where a part's progress is told, its end, and why it has none."""

    def progress(self, part: Part) -> None:
        """So far."""

    def write(self, part: Part) -> None:
        """Now, for good."""

    def fail(self, part: Part, error: str, *, anew: bool) -> None:
        """Why the part is not done; `anew`: what was read of it is in doubt."""


class Ledger:
    """Writes a part's progress, now and then, and its end.

    Two workers may have the same part for a while, after a crash of the service for instance. What each writes is
    true by itself: so many rows, from the first on, are durable. So the last word counts, and what is done stays done.
    """

    def __init__(self, control: Control, record: str, now: Callable[[], float] = time.monotonic) -> None:
        self._control = control
        self._record = record
        self._now = now
        self._written_at = now()

    def progress(self, part: Part) -> None:
        """At most once a second."""
        if self._now() - self._written_at >= PROGRESS_SECONDS:
            self.write(part)

    def write(self, part: Part) -> None:
        """Now."""
        self._control.update(self._record, Part, lambda known: known if known and known.done else part)
        self._written_at = self._now()

    def fail(self, part: Part, error: str, *, anew: bool) -> None:
        """Why the part is not done; `anew`: what was read of it is in doubt, so it is read from its begin again."""
        begun = _ANEW if anew else {}

        def failed(known: Part | None) -> Part:
            known = known or part
            return known if known.done else msgspec.structs.replace(known, error=error, **begun)

        self._control.update(self._record, Part, failed)


def load_share(
    control: Control,
    generation: int,
    index: int,
    of: int,
    load: Callable[[Part], Loading],
    now: Callable[[], float] = time.monotonic,
    beside: int = 1,
) -> None:
    """Load every part of this worker's share that is not done yet, `beside` of them at a time, a page of each in turn.

    Each has its own position and account. Raises BackfillIncomplete when all others are done, and at once what ends a
    worker: what was accounted for is not loaded again.
    """
    parts = {name: part for name, (part, _) in control.all(parts_of(generation), Part).items()}
    order = far_apart(mine(parts, index, of), index, of, beside)
    waiting = (
        _Turns(Ledger(control, parts_of(generation) + name, now), parts[name], load(parts[name]))
        for name in order
        if not parts[name].done
    )
    faults = [turns.fault for turns in _in_turn(waiting, beside) if turns.fault is not None]
    if faults:
        raise BackfillIncomplete("; ".join(faults))


class _Turns:
    """One part among others: a page at each turn, until it is done or has a fault."""

    def __init__(self, ledger: Account, part: Part, pages: Loading) -> None:
        self._ledger = ledger
        self._part = part
        self._pages = pages
        self._started = time.monotonic()
        self.fault: str | None = None
        log.info("part_started", part=part.name, items=part.items)

    def turn(self) -> bool:
        """Load a page; False when this was the last turn. One bad file does not keep the others waiting."""
        try:
            self._part = next(self._pages)
            if not self._part.done:
                self._ledger.progress(self._part)
                return True
            self._ledger.write(self._part)
        except FAULTS as error:
            self.fault = str(error)
            log.error("part_failed", part=self._part.name, error=self.fault)  # noqa: TRY400  the sentence says it all
            self._ledger.fail(self._part, self.fault, anew=isinstance(error, ExportUnusable))
            return False
        seconds = round(time.monotonic() - self._started, 1)
        log.info("part_done", part=self._part.name, rows=self._part.rows_read, seconds=seconds)
        return False


def _in_turn(waiting: Iterator[_Turns], beside: int) -> Iterator[_Turns]:
    """All of them, each when it has ended; as many at a time as may be. What one raises ends them all."""
    under_way: deque[_Turns] = deque()
    while True:
        while len(under_way) < beside and (begun := next(waiting, None)) is not None:
            under_way.append(begun)
        if not under_way:
            return
        turns = under_way.popleft()
        if turns.turn():
            under_way.append(turns)
        else:
            yield turns


def load_accounted(ledger: Account, part: Part, load: Callable[[Part], Loading]) -> str | None:
    """What is wrong with the part; None when it is done."""
    turns = _Turns(ledger, part, load(part))
    while turns.turn():
        pass
    return turns.fault

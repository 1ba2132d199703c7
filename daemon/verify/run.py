"""The process that compares: started by the leader, like a backfill worker; an abrupt end is only a restart."""

import math
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from uuid import uuid4

import msgspec
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from daemon import log, preflight, prove, worker
from daemon.app import Parts
from daemon.config import Config
from daemon.control import Conflict, Migration, Part, parts_of
from daemon.dead_letter import LetterState
from daemon.exits import EXIT_FAILED
from daemon.pace import Pace
from daemon.retry import Abandoned, Retrying
from daemon.source.export import ExportUnusable
from daemon.source.keys import key_reader
from daemon.source.pages import pages
from daemon.source.scan import ScanRefused, Segment, name_of
from daemon.verify import watching
from daemon.verify.comparison import Comparison, Ports, Shares, Superseded, write_owned
from daemon.verify.record import RUN, Records, Run, RunState
from daemon.verify.rules import Expiry
from daemon.verify.settle import ControlProofs, Settler, Watch
from daemon.verify.sides import Tables, Waiting
from sinks.change import Key
from sinks.sink import Readable, Scannable

logger = structlog.get_logger()

LOOK_SECONDS = 2.0
LETTERS_SECONDS = 5.0
MESSAGE_MAX = 500
LIVE_MIN = 1000
# What a segment of a sample holds: fewer cost a request each, more are less random.
SEGMENT_ROWS = 500
SEGMENTS_MAX = 1_000_000  # API reference, Scan
# The files are not there any more, or the table may not be scanned: no restart helps.
UNREADABLE = (ExportUnusable, ScanRefused)


def main(config: Config) -> int:
    """Compare one table; the exit code of the process: 0 when there is no more to do."""
    try:
        return worker.for_each([config], run, _begin)
    except KeyboardInterrupt:
        return EXIT_FAILED


def _begin(one: Config) -> None:
    log.configure(one.log.format, one.log.level, migration=one.migration, table=one.source.table, role="verify")


def run(known: Parts, watch: Watch | None = None) -> None:
    """Go on with the run that is asked for, to its end. Raises Abandoned, SinkError, ClientError, BotoCoreError, …"""
    records = Records(known.control, known.keys)
    claimed = claim(records)
    migration, _ = known.control.get("migration", Migration) or (Migration(), 0)
    if claimed is None or claimed.generation != migration.generation:
        logger.info("nothing_to_verify")
        return
    wanted = Wanted(known, records, claimed)
    try:
        ended = _compared(known, records, claimed, migration, wanted, watch)
    except Superseded as why:
        logger.info("verification_superseded", why=str(why))
    except UNREADABLE as error:
        _noted(records, claimed, RunState.FAILED, f"the backfill's parts cannot be read again: {error}")
        logger.error("verification_failed", error=str(error))  # noqa: TRY400  the sentence says it all
    except Exception as error:
        # Whoever looks at the run sees why its process is started again and again.
        _noted(records, claimed, RunState.RUNNING, f"{type(error).__name__}: {error}"[:MESSAGE_MAX])
        raise
    else:
        logger.info("verification_ended", state=ended.state.value, told=ended.message)


def _compared(
    known: Parts, records: Records, claimed: Run, migration: Migration, wanted: "Wanted", watch: Watch | None
) -> Run:
    found = known.control.all(parts_of(migration.parts_generation), Part)
    parts = {name: worker.with_version(part, migration) for name, (part, _) in found.items()}
    table, told = known.config.source.table, preflight.described(known.config, known.dynamodb)["Table"]
    rows = max(sum(part.items for part in parts.values() if part.kind == "full"), told["ItemCount"])
    shares = shares_of(known.config, claimed, rows)
    samples = samples_of(table, rows, shares.live, random.Random(claimed.id)) if _may_scan(known) else {}
    begun = msgspec.structs.replace(claimed, total=_total(parts, samples, rows, shares), message="")
    with _ports(known, migration, wanted, watch, samples) as ports:
        return Comparison(records, begun, parts, shares, known.keys, ports).compare()


def _may_scan(known: Parts) -> bool:
    """Half a read unit. Raises BotoCoreError."""
    try:
        known.dynamodb.scan(TableName=known.config.source.table, Limit=1)
    except ClientError as error:
        hint = "grant dynamodb:Scan on the source table: a row put since the backfill may be lost unseen"
        logger.warning("source_not_sampled", error=str(error), hint=hint)
        return False
    return True


def _noted(records: Records, claimed: Run, state: RunState, message: str) -> None:
    """Of our own run only, and only where the control table can be reached."""
    with suppress(Superseded, ClientError, BotoCoreError, Conflict):
        latest = records.run() or claimed
        write_owned(
            records,
            msgspec.structs.replace(latest, state=state, message=message, id=claimed.id, owner=claimed.owner),
        )


def claim(records: Records) -> Run | None:
    """The run that is to be done, as its owner from now on; None when there is none. Raises ClientError, …"""
    found = records.control.get(RUN, Run)
    if found is None or found[0].state is not RunState.RUNNING:
        return None
    mine = msgspec.structs.replace(found[0], owner=f"{os.getpid()}-{uuid4().hex[:8]}")
    records.control.put(RUN, mine, found[1])
    return mine


def shares_of(config: Config, run_: Run, rows: int) -> Shares:
    """What the configuration, and whoever asked for the run, wants to be looked at. Of a small table more."""
    live = max(config.verify.live_percent / 100, LIVE_MIN / max(rows, 1))
    return Shares(run_.sample_percent / 100, min(1.0, live))


def samples_of(table: str, rows: int, live: float, chance: random.Random) -> dict[str, Part]:
    """Segments of the source that hold about this share of its rows, others in each run."""
    segments = min(max(1, rows // SEGMENT_ROWS), SEGMENTS_MAX)
    drawn = sorted(chance.sample(range(segments), min(segments, math.ceil(segments * live))))
    size = rows // segments
    return {
        f"sample#{number}": Part(name_of(Segment(table, number, segments)), "", size, kind="scan", counted=False)
        for number in drawn
    }


def _total(parts: Mapping[str, Part], samples: Mapping[str, Part], rows: int, shares: Shares) -> int:
    exact = sum(part.items for part in parts.values() if part.kind != "scan")
    return int(exact * shares.rows) + sum(part.items for part in samples.values()) + rows


class Patient:
    """A watch that other work may have, or that a shard's process is late to acknowledge: then nothing is known yet."""

    def __init__(self, watch: watching.Watch) -> None:
        self._watch = watch
        self._begun = False

    def begin(self, keys: Sequence[Key]) -> str:
        """As settle.Watch; "" while there is none to be had. Raises ClientError, BotoCoreError."""
        self._begun = False
        try:
            told = self._watch.begin(keys)
        except watching.NotWatched as why:
            logger.info("not_watched_yet", why=str(why))
            return ""
        self._begun = True
        return told

    def end(self) -> None:
        """As settle.Watch. Raises ClientError, BotoCoreError."""
        if self._begun:
            self._watch.end()
            self._begun = False

    def untouched(self, keys: Sequence[Key]) -> set[Key]:
        """None of them without a watch: they are looked at again. Raises ClientError, BotoCoreError."""
        return self._watch.untouched(keys) if self._begun else set()

    def knows(self) -> bool:
        """As settle.Watch. Raises ClientError, BotoCoreError."""
        return self._begun and self._watch.knows()


def watch_of(known: Parts, migration: Migration) -> Watch:
    """The watch in the shards' processes (daemon/verify/watching.py)."""
    return Patient(watching.Watch(known.control, migration.generation, known.clock))


class Wanted:
    """Raises when nobody wants the result any more; looked up every other second."""

    def __init__(self, known: Parts, records: Records, claimed: Run) -> None:
        self._known = known
        self._records = records
        self._claimed = claimed
        self._looked_at = known.clock.monotonic()

    def __call__(self) -> None:
        """Raises Superseded, Abandoned, ClientError, BotoCoreError."""
        worker.still_wanted()
        if self._known.clock.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._known.clock.monotonic()
        run_, mine = self._records.run(), self._claimed
        if run_ is None or (run_.id, run_.owner, run_.state) != (mine.id, mine.owner, RunState.RUNNING):
            raise Superseded(f"run {mine.id} was stopped, or another process goes on with it")
        found = self._known.control.get("migration", Migration)
        if found is not None and found[0].generation != mine.generation:
            raise Abandoned(f"a resync has begun generation {found[0].generation}, which has a run of its own")


@contextmanager
def _ports(
    known: Parts, migration: Migration, wanted: Wanted, watch: Watch | None, samples: Mapping[str, Part]
) -> Iterator[Ports]:
    with worker.reading(known, 1) as sources, closing(known.calls()) as calls, _opened(known) as sink:
        if not isinstance(sink.inner, Readable):
            raise Abandoned(f"the target ({known.config.target.kind}) cannot be read back: nothing can be compared")
        waiting = Waiting(wanted, known.clock.sleep)
        sides = Tables(sink.inner, calls, known.config.source.table, known.keys, waiting)
        proofs = ControlProofs(known.control, migration.generation, wanted, known.clock.sleep)
        expiry = partial(_expiry, ttl_attribute(known), known.clock.time)
        excused = Excused(known)
        yield Ports(
            pages=partial(pages, sources),
            samples=samples,
            sides=sides,
            settler=Settler(sides, proofs, watch or watch_of(known, migration), expiry),
            versions=sink.inner.versions if isinstance(sink.inner, Scannable) else None,
            excused=excused,
            excused_now=excused.now,
            expiry=expiry,
            pace=Pace(partial(_limit, known), lambda: False, wanted, known.clock),
            time=known.clock.time,
            wanted=wanted,
        )


@contextmanager
def _opened(known: Parts) -> Iterator[Retrying]:
    """The target, which is not made for this."""

    def told(message: str | None) -> None:
        logger.warning("target_unavailable" if message else "target_back", error=message, during="verification")

    sink = Retrying(known.sink(may_create=False), on_trouble=told, wanted=lambda: True, sleep=_pausing(known))
    sink.open()
    try:
        yield sink
    finally:
        sink.close()


def _pausing(known: Parts) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        worker.still_wanted()
        known.clock.sleep(seconds)

    return sleep


def _expiry(attribute: str | None, now: Callable[[], float]) -> Expiry:
    return Expiry(attribute, now())


def _limit(known: Parts) -> float | None:
    return known.settings.now().verify_items_per_second or known.config.verify.items_per_second


def ttl_attribute(known: Parts) -> str | None:
    """The table's TTL attribute, None without one, or where it may not be asked for. Raises BotoCoreError."""
    try:
        return prove.ttl_attribute(known)
    except ClientError as error:
        # Not granted: an item that has expired on one side only is reported, which is noise and no loss.
        logger.warning("ttl_unknown", error=str(error), hint="grant dynamodb:DescribeTimeToLive on the source table")
        return None


class Excused:
    """The keys of dead letters that are open or waived: what the target refused is known to be missing."""

    def __init__(self, known: Parts) -> None:
        self._known = known
        self._read = key_reader(known.keys)
        self._looked_at = float("-inf")
        self._keys: set[Key] = set()

    def __call__(self) -> set[Key]:
        """At most LETTERS_SECONDS old. Raises ClientError, BotoCoreError."""
        if self._known.clock.monotonic() - self._looked_at >= LETTERS_SECONDS:
            self._keys = self.now()
        return self._keys

    def now(self) -> set[Key]:
        """As of now. Raises ClientError, BotoCoreError."""
        self._looked_at = self._known.clock.monotonic()
        letters = self._known.dead_letters.all().values()
        unstored = (LetterState.OPEN, LetterState.WAIVED)
        return {self._read(letter.key.encode()) for letter in letters if letter.state in unstored}

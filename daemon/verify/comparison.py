"""One run of the comparison: the backfill's rows against the target, then the target's rows against the backfill's.

What is in doubt is collected and settled together (`settle.py`), for each settlement waits for a proof of lag. Only
then is the progress written down, a record per part: a run that is killed looks at what came since again, and writes
the same records again. Memory: a batch of rows, DOUBTS_MAX doubts, 16 bytes and a little for each key (`keyset.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
import structlog

from daemon.control import Part
from daemon.source.heartbeat import is_heartbeat
from daemon.source.page import Page, Row
from daemon.verify import rules
from daemon.verify.judged import moving, unwatched
from daemon.verify.keyset import KeySet
from daemon.verify.record import PARTS, RUN, Clean, PartProgress, Records, Run, RunState, State, counted, strength
from daemon.verify.rules import Doubt, Expiry, Verdict
from daemon.verify.settle import Found, Settled, Sides
from sinks.change import Item, Key, KeySchema
from sinks.sink import Stored

log = structlog.get_logger()

BATCH_KEYS = 250
DOUBTS_MAX = 1000
SAVE_SECONDS = 60.0
TELL_SECONDS = 2.0
# 16 bytes each: 256 MiB. Of more keys a share is chosen, another one in each run.
KEYS_MAX = 2**24
# Something is wrong with the target as a whole: each further one would cost a wait, and tell nothing new.
DIFFERENCES_MAX = 10_000


class Superseded(Exception):
    """This process may not write the run any more: it was stopped, or another process has it."""


class _GivenUpError(Exception):
    """There are too many differences to go on."""


class Settles(Protocol):
    """settle.Settler."""

    def settle(self, doubts: Iterable[Doubt]) -> Settled:
        """What became of them."""


class Paced(Protocol):
    """pace.Pace, in rows."""

    def spend(self, units: float) -> None:
        """Wait until so many may be read."""


class Shares(NamedTuple):
    """How much is looked at, each from 0 to 1."""

    rows: float = 1.0  # of the rows that still are as the backfill wrote them
    live: float = 0.01  # of rows that only the source can tell about: each costs a read of it


class Ports(NamedTuple):
    """What a comparison reads with, and what tells it the time."""

    pages: Callable[[Part], Iterator[Page]]
    samples: Mapping[str, Part]  # segments of the source that are scanned now; none where it may not be scanned
    sides: Sides
    settler: Settles
    versions: Callable[[], Iterator[Sequence[tuple[Key, int]]]] | None  # None: the target cannot list its rows
    excused: Callable[[], set[Key]]  # dead letters that are open or waived, as of some seconds ago
    excused_now: Callable[[], set[Key]]
    expiry: Callable[[], Expiry]
    pace: Paced
    time: Callable[[], float]
    wanted: Callable[[], None]  # raises when nobody wants the result any more


class Comparison:
    """Compares everything once. `run` is the record as this process has claimed it."""

    def __init__(
        self, records: Records, run: Run, parts: Mapping[str, Part], shares: Shares, keys: KeySchema, ports: Ports
    ) -> None:
        self._records = records
        self._run = run
        self._parts = parts
        self._shares = shares
        self._keys = keys
        self._ports = ports
        self._saved_at = self._told_at = float("-inf")
        self._looked: dict[str, int] = {}  # rows of each part, for whoever looks
        self._doubts: list[Doubt] = []
        self._pending: dict[str, PartProgress] = {}  # looked at, and waiting for its doubts
        self._listed = 0  # rows of the target
        self._found = 0
        self._versions = {part.version for part in parts.values()}
        self._oldest = min(self._versions, default=None)
        exact = [part for part in parts.values() if part.kind != "scan"]
        items = sum(part.items for part in exact)
        # Where a part has no list of its keys, a row that no list knows may be one of its.
        self._known_share = min(shares.rows, KEYS_MAX / max(items, 1)) if len(exact) == len(parts) else 0.0
        self._known = KeySet(int(items * self._known_share))

    def compare(self) -> Run:
        """To the end; the run as it ended. Raises Superseded, and what the ports raise."""
        try:
            self._compare()
        except _GivenUpError:
            why = f"given up after {self._found:,} differences: something is wrong with the target as a whole"
            return self._end(RunState.FAILED, why)
        count = counted(self._records.differences())
        standing = count.open + count.unwatched + self._run.unrecorded
        compared, live = self._run.compared, self._run.live
        clean = None if standing else Clean(self._run.id, self._ports.time(), compared, live)
        told = strength(compared, live, count.open + self._run.unrecorded) + moving(count.hot)
        return self._end(RunState.FINISHED, told + unwatched(count.unwatched), clean)

    def _compare(self) -> None:
        self._doubts += self._earlier()
        loaded = {name: part for name, part in self._parts.items() if part.kind != "scan"}
        for number, (name, part) in enumerate(loaded.items(), 1):
            self._stage(f"part {number:,} of {len(loaded):,} of the backfill")
            self._part(name, part)
        for number, (name, part) in enumerate(self._ports.samples.items(), 1):
            self._stage(f"sample {number:,} of {len(self._ports.samples):,} of the source")
            self._sample(name, part)
        if self._ports.versions is not None:
            self._stage("rows of the target")
            for page in self._ports.versions():
                self._listed_rows(page)
        self._save()

    def _earlier(self) -> list[Doubt]:
        """What was found before, by an earlier run or while the stream was applied: settled by today's rows."""
        return [Doubt(key, self._oldest) for key in self._records.standing()]

    def _part(self, name: str, part: Part) -> None:
        progress = self._progress(name)
        if progress.position and self._known_share:
            # A process that is gone has compared these rows: what is left of it is their keys.
            for page in self._ports.pages(_from(part, "")):
                self._ports.wanted()
                self._know(page.rows)
        for page in () if progress.done else self._ports.pages(_from(part, progress.position)):
            self._ports.wanted()
            self._know(page.rows)
            progress = self._rows(part, page, progress)
            self._pending[name] = progress
            self._save_now_and_then()
        self._pending[name] = msgspec.structs.replace(progress, done=True)

    def _progress(self, name: str) -> PartProgress:
        found = self._records.control.get(PARTS + name, PartProgress)
        return found[0] if found and found[0].run == self._run.id else PartProgress(self._run.id)

    def _know(self, rows: Sequence[Row]) -> None:
        if not self._known_share:
            return
        for key, item in rows:
            hashed = rules.hash_of(key)
            if item is not None and rules.chosen(hashed, self._run.id, self._known_share):
                self._known.add(hashed)

    def _rows(self, part: Part, page: Page, progress: PartProgress) -> PartProgress:
        """The export's rule, for one page."""
        chosen = [row for row in page.rows if not is_heartbeat(row[0]) and self._chosen(row[0], self._shares.rows)]
        excused, expiry = self._ports.excused(), self._ports.expiry()
        compared = moved = left_out = 0
        for key, item, stored in self._beside(chosen):
            if key in excused:
                left_out += 1
                continue
            verdict = rules.judge_row(item, part.version, stored, expiry)
            moved += verdict is Verdict.MOVED
            if verdict is Verdict.DOUBT or self._asked(key, verdict):
                self._doubts.append(rules.doubt_of(key, item, part.version))
            else:
                compared += verdict is Verdict.SAME
        return msgspec.structs.replace(
            progress,
            position=page.position,
            looked_at=progress.looked_at + len(chosen),
            compared=progress.compared + compared,
            moved=progress.moved + moved,
            excused=progress.excused + left_out,
        )

    def _beside(self, rows: Sequence[Row]) -> Iterator[tuple[Key, Item | None, Stored | None]]:
        """Each with what the target holds of it, at the pace that is allowed."""
        for start in range(0, len(rows), BATCH_KEYS):
            batch = rows[start : start + BATCH_KEYS]
            self._ports.pace.spend(len(batch))
            stored = self._ports.sides.target([key for key, _ in batch])
            yield from ((key, item, stored.get(key)) for key, item in batch)

    def _asked(self, key: Key, verdict: Verdict) -> bool:
        """An update that was never applied leaves the backfill's row as it was: only the source tells.

        Where it may be scanned, and the target lists its rows, both are sampled in another way.
        """
        sampled = self._ports.samples and not (verdict is Verdict.MOVED and self._ports.versions is None)
        return not sampled and self._chosen(key, self._shares.live)

    def _sample(self, name: str, part: Part) -> None:
        """A random part of the source's keys: also those that were put since the backfill, and got lost."""
        progress = self._progress(name)
        for page in () if progress.done else self._ports.pages(_from(part, progress.position)):
            self._ports.wanted()
            rows = [row for row in page.rows if not is_heartbeat(row[0])]
            progress = self._scanned(page, rows, progress)
            self._pending[name] = progress
            self._save_now_and_then()
        self._pending[name] = msgspec.structs.replace(progress, done=True)

    def _scanned(self, page: Page, rows: Sequence[Row], progress: PartProgress) -> PartProgress:
        excused, expiry = self._ports.excused(), self._ports.expiry()
        live = left_out = 0
        for key, item, stored in self._beside(rows):
            if key in excused or item is None:
                left_out += 1
            elif rules.judge_now(item, stored, expiry) is Verdict.SAME:
                live += 1
            else:
                self._doubts.append(Doubt(key, self._oldest))
        return msgspec.structs.replace(
            progress,
            position=page.position,
            looked_at=progress.looked_at + len(rows),
            live=progress.live + live,
            excused=progress.excused + left_out,
        )

    def _listed_rows(self, page: Sequence[tuple[Key, int]]) -> None:
        """Rows of the target: at the backfill's versions they must be in it, of the others a share is looked at."""
        self._ports.wanted()
        self._ports.pace.spend(len(page))
        for key, version in page:
            hashed = rules.hash_of(key)
            told = rules.chosen(hashed, self._run.id, self._known_share)
            if is_heartbeat(key):
                continue
            nobodys = told and version in self._versions and hashed not in self._known
            # A deletion that was never applied leaves a row as it was: only the source tells.
            if nobodys or rules.chosen(hashed, self._run.id, self._shares.live):
                self._doubts.append(Doubt(key, self._oldest, by="target"))
        self._listed += len(page)
        self._save_now_and_then()

    def _chosen(self, key: Key, share: float) -> bool:
        return share >= 1 or rules.chosen(rules.hash_of(key), self._run.id, share)

    def _stage(self, stage: str) -> None:
        self._run = msgspec.structs.replace(self._run, stage=stage)
        if self._saved_at == float("-inf"):
            self._save()

    def _save_now_and_then(self) -> None:
        due = self._ports.time() - self._saved_at >= SAVE_SECONDS
        if due or len(self._doubts) >= DOUBTS_MAX:
            self._save()
        elif self._ports.time() - self._told_at >= TELL_SECONDS:
            self._tell()

    def _tell(self, doing: str = "") -> None:
        """How far it is, for whoever looks; what a rerun goes on from is written by `_save`. Raises Superseded."""
        self._looked |= {name: progress.looked_at for name, progress in self._pending.items()}
        seen = sum(self._looked.values()) + self._listed
        write_owned(self._records, msgspec.structs.replace(self._run, stage=self._run.stage + doing, looked_at=seen))
        self._told_at = self._ports.time()

    def _save(self) -> None:
        """Settle what is in doubt, write down what was found, then how far it is: in this order."""
        doubts, self._doubts = self._doubts, []
        if doubts:
            self._tell(f", settling {len(doubts):,} row(s) in doubt")
        for start in range(0, len(doubts), DOUBTS_MAX):
            self._settle(doubts[start : start + DOUBTS_MAX])
        for name, progress in self._pending.items():
            self._records.control.update(PARTS + name, PartProgress, lambda _, p=progress: p)  # type: ignore[misc]
        self._run = self._counted()
        self._write()
        self._pending = {}
        self._saved_at = self._ports.time()

    def _settle(self, doubts: Sequence[Doubt]) -> None:
        self._ports.pace.spend(len(doubts))
        settled = self._ports.settler.settle(doubts)
        for doubt in settled.same:
            self._records.settle(doubt.key, State.GONE, f"run {self._run.id} found the two sides equal")
        excused = self._ports.excused_now()  # behind the looks: a change may have been refused meanwhile
        differences = [found for found in settled.differences if found.doubt.key not in excused]
        for found in settled.differences:
            if found.doubt.key in excused:
                self._records.settle(found.doubt.key, State.GONE, "it has a dead letter that is open or waived")
        unrecorded = sum(not self._keep(found) for found in differences)
        unrecorded += sum(not self._keep_hot(found) for found in settled.hot)
        unrecorded += sum(not self._written(found, State.UNWATCHED) for found in settled.unwatched)
        self._found += len(differences)
        self._run = msgspec.structs.replace(
            self._run,
            settled=self._run.settled + len(settled.same) + len(differences),
            unrecorded=self._run.unrecorded + unrecorded,
        )
        if self._found > DIFFERENCES_MAX:
            raise _GivenUpError

    def _keep(self, found: Found) -> bool:
        log.warning("difference", kind=found.named.kind.value, key=str(found.doubt.key), by=found.doubt.by)
        return self._written(found, State.OPEN)

    def _keep_hot(self, found: Found) -> bool:
        """As it looked the last time."""
        return self._written(found, State.HOT)

    def _written(self, found: Found, state: State) -> bool:
        named, at, run = found.named, self._ports.time(), self._run.id
        return self._records.keep(found.doubt.key, named, found.version, found.doubt.by, at, run, state)

    def _counted(self) -> Run:
        """With the parts' figures: each is written once, however often a process was killed."""
        found = self._records.control.all(PARTS, PartProgress)
        of_run = {name: progress for name, (progress, _) in found.items() if progress.run == self._run.id}
        self._looked = {name: progress.looked_at for name, progress in of_run.items()}
        mine = of_run.values()
        live = sum(progress.live for progress in mine) + self._run.settled
        return msgspec.structs.replace(
            self._run,
            compared=sum(progress.compared for progress in mine) + live,
            live=live,
            moved=sum(progress.moved for progress in mine),
            excused=sum(progress.excused for progress in mine),
            looked_at=sum(progress.looked_at for progress in mine) + self._listed,
        )

    def _end(self, state: RunState, message: str, clean: Clean | None = None) -> Run:
        self._run = msgspec.structs.replace(
            self._run, state=state, message=message, finished_at=self._ports.time(), stage="done", clean=clean
        )
        self._write()
        return self._run

    def _write(self) -> None:
        """The record, if it is still ours. Raises Superseded."""
        write_owned(self._records, self._run)


def write_owned(records: Records, run: Run) -> None:
    """Write the run's record, as its owner. Raises Superseded."""
    found = records.control.get(RUN, Run)
    if found is None or (found[0].id, found[0].owner, found[0].state) != (run.id, run.owner, RunState.RUNNING):
        raise Superseded(f"run {run.id} was stopped, or another process goes on with it")
    records.control.put(RUN, run, found[1])


def _from(part: Part, position: str) -> Part:
    """The part as it is read from there on."""
    return msgspec.structs.replace(part, position=position, done=False)

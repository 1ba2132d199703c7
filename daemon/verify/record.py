"""What a verification leaves in the control table: the run, how far each part is, the differences."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256

import msgspec

from daemon.control import Control
from daemon.source.keys import key_reader
from daemon.verify.rules import Kind, Named, upper_bound
from sinks.change import Key, KeySchema
from sinks.dynamodb.wire import key_json

RUN = "verify#run"
PARTS = "verify#part#"
DIFFERENCES = "verify#diff#"
ID_LENGTH = 16
# Kept with their keys; more are counted. So many are no exceptions: something is wrong with the target as a whole.
KEPT_MAX = 1000


class RunState(StrEnum):
    """What becomes of a run."""

    RUNNING = "running"
    STOPPED = "stopped"  # by a person; `moveout verify start` begins another
    FINISHED = "finished"
    FAILED = "failed"  # it gave up: its message says why


class State(StrEnum):
    """What became of a difference."""

    OPEN = "open"  # it stands
    HOT = "hot"  # a candidate that live writes have kept from being settled
    UNWATCHED = "unwatched"  # it looks lost, and no watch could tell whether it was written
    REPAIRED = "repaired"  # by `moveout repair`
    GONE = "gone"  # looked at again, the two sides were equal


class Clean(msgspec.Struct, frozen=True):
    """The last run of this generation that found nothing."""

    id: int
    at: float
    compared: int
    live: int


class Run(msgspec.Struct, frozen=True):
    """One run. Times are epoch seconds; `total` rows is an estimate. `owner` is the process that may write it."""

    id: int
    generation: int
    state: RunState = RunState.RUNNING
    began_at: float = 0
    finished_at: float | None = None
    asked_by: str = "auto"
    sample_percent: float = 100
    owner: str = ""
    stage: str = "waiting for its process"
    total: int = 0
    looked_at: int = 0  # rows of the backfill, and of the target, that were looked at
    compared: int = 0  # of those, the ones whose comparison means something
    live: int = 0  # of `compared`: read at the source as well
    settled: int = 0  # of `live`: those that were in doubt
    moved: int = 0  # written since the backfill; a share of them is in `live`
    excused: int = 0  # dead letters that are open or waived: known to differ
    unrecorded: int = 0  # differences beyond KEPT_MAX
    message: str = ""
    clean: Clean | None = None


class PartProgress(msgspec.Struct, frozen=True):
    """How far the comparison of one part of the backfill is: rows behind `position` are still to be looked at."""

    run: int
    position: str = ""
    done: bool = False
    looked_at: int = 0
    compared: int = 0
    live: int = 0
    moved: int = 0
    excused: int = 0


class Difference(msgspec.Struct, frozen=True):
    """A key that differs. `key` is typed JSON, `version` the target row's (0: none), `attributes` names only.

    `by`: preimage, export, window or target: how it was met. Values are never kept: they may be anybody's secrets.
    """

    kind: str
    key: str
    attributes: list[str]
    version: int
    found_at: float
    by: str
    state: State = State.OPEN
    run: int = 0
    note: str = ""


def key_text(keys: KeySchema, key: Key) -> str:
    """The key in typed JSON."""
    return msgspec.json.encode(key_json(keys, key)).decode()


def difference_id(key: str) -> str:
    """The same key has the same record, whoever meets it and how often."""
    return sha256(key.encode()).hexdigest()[:ID_LENGTH]


STANDING = (State.OPEN, State.HOT, State.UNWATCHED)  # neither gone, nor repaired


class Records:
    """The records of one migration's verification. Every method may raise ClientError, BotoCoreError."""

    def __init__(self, control: Control, keys: KeySchema) -> None:
        self.control = control
        self._keys = keys
        self._kept: int | None = None  # counted when the first one comes

    def run(self) -> Run | None:
        """The last run, if there was one."""
        found = self.control.get(RUN, Run)
        return found[0] if found else None

    def differences(self) -> dict[str, Difference]:
        """All by id, whatever became of them."""
        return {name: one for name, (one, _) in self.control.all(DIFFERENCES, Difference).items()}

    def standing(self) -> list[Key]:
        """The keys of those that stand: found by whatever has looked, and not known to be gone."""
        read = key_reader(self._keys)
        return [read(one.key.encode()) for one in self.differences().values() if one.state in STANDING]

    def keep(self, key: Key, named: Named, version: int, by: str, at: float, run: int, state: State) -> bool:
        """Write one down; False when there is no room: then it is only counted."""
        text = key_text(self._keys, key)
        name = DIFFERENCES + difference_id(text)
        if self._kept is None:
            self._kept = len(self.control.all(DIFFERENCES, Difference))
        known = self.control.get(name, Difference)
        if known is None and self._kept >= KEPT_MAX and not self._made_room():
            return False
        if known is not None and (known[0].run, known[0].state, state) == (run, State.OPEN, State.OPEN):
            return True  # met again, in another way: the first one knew what the backfill wrote
        self._kept += known is None
        made = Difference(named.kind.value, text, named.attributes, version, at, by, state, run)
        self.control.update(name, Difference, lambda _: made)
        return True

    def _made_room(self) -> bool:
        """Forget what stands no more, for what does."""
        differences = self.differences()
        past = [name for name, one in differences.items() if one.state not in STANDING]
        for name in past:
            self.control.delete(DIFFERENCES + name)
        self._kept = len(differences) - len(past)
        return bool(past)

    def settle(self, key: Key, state: State, note: str) -> None:
        """Say what became of one, where there is one."""
        name = DIFFERENCES + difference_id(key_text(self._keys, key))
        found = self.control.get(name, Difference)
        if found is not None and found[0].state in STANDING:
            self.control.put(name, msgspec.structs.replace(found[0], state=state, note=note), found[1])


class Count(msgspec.Struct, frozen=True):
    """Differences that stand, by kind, and candidates that are not settled."""

    by_kind: Mapping[str, int]
    hot: int
    unwatched: int = 0

    @property
    def open(self) -> int:
        """How many stand."""
        return sum(self.by_kind.values())


def counted(differences: Mapping[str, Difference]) -> Count:
    """What stands now."""
    standing = Counter(one.kind for one in differences.values() if one.state is State.OPEN)
    return Count(
        {kind.value: standing[kind.value] for kind in Kind},
        sum(one.state is State.HOT for one in differences.values()),
        sum(one.state is State.UNWATCHED for one in differences.values()),
    )


def strength(compared: int, live: int, differences: int) -> str:
    """What may be said with so many comparisons, `live` of them with the source itself.

    The bound is of those: an update that the target never got is seen by no other.
    """
    if not compared:
        return "nothing was compared yet"
    told = f"{differences:,} difference(s)" if differences else "no difference"
    bound = upper_bound(live, differences)
    most = "" if bound is None else f": at most {bound:.2g} of the rows differ, at 95 %"
    return f"{told} in {compared:,} comparisons, {live:,} of them at the source{most}"

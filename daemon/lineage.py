"""Where a shard's versions go on from: the rule that makes a replay compute the same numbers."""

from collections.abc import Mapping

from daemon.control import ShardState
from daemon.source.shards import Shard

BEGINNING = "TRIM_HORIZON"


class StateMissing(Exception):
    """The version to go on from is not known. Starting at zero would make newer changes look older: stop."""


def resumed(shard: str, state: ShardState, sequence: str) -> int:
    """The version that the record of `sequence` got, from which the records after it go on.

    `sequence` is the KCL's checkpoint, not always our newest position: we write ours first, and a crash
    may fall between the two. Raises StateMissing.
    """
    if sequence == BEGINNING:
        return state.anchor
    if not sequence.isdigit():
        raise StateMissing(f"shard {shard} would start at {sequence}, which may skip records")
    # Strings with leading zeros on DynamoDB Local, compared as numbers everywhere.
    found = [p.version for p in state.positions if int(p.sequence) == int(sequence)]
    if not found:
        raise StateMissing(
            f"the KCL resumes shard {shard} after {sequence}, but the control table knows the version of "
            f"{[p.sequence for p in state.positions]} only. One of the two tables was altered or restored: "
            "start a new migration under another name"
        )
    return found[0]


def inherited(shard: Shard, parent: ShardState | None) -> ShardState:
    """The first state of a shard that began after the anchor: it goes on from its parent's last version.

    Raises StateMissing.
    """
    if parent is None or not parent.ended:
        state = "is unknown" if parent is None else "is not at its end"
        raise StateMissing(
            f"shard {shard.id} cannot start: its parent {shard.parent or '(none listed)'} {state} in the "
            "control table, so its versions have nothing to go on from"
        )
    return ShardState(anchor=parent.version, parent=shard.parent)


def anchors(shards: Mapping[str, Shard], version: int = 0) -> dict[str, ShardState]:
    """The first states at the anchor: of every shard whose parent is no longer listed.

    What those parents held is older than the stream's reach, hence in the export, below the backfill version.
    After a gap, `version` is what every change of the stream must lie above.
    """
    return {s.id: ShardState(anchor=version, parent=s.parent) for s in shards.values() if s.parent not in shards}

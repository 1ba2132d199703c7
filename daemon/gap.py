"""What the stream has lost for good. Pure: what do these observations mean?

The KCL's adapter hides every way in which records can be lost: it goes on at the horizon with one line of log, or
takes a shard that vanished for one that was read to its end. So each is looked for here, at start and while
running; the launcher's GapDetector (exit 44) is the other half. A gap stops the move: nothing is guessed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from daemon.control import Migration, ShardState
from daemon.source.shards import Stream, created_at

# A stream remembers 24 hours; records may be gone a little earlier by its clock than by ours.
REACH_SECONDS = 23 * 3600
# Listings are eventually consistent: a shard that has just opened, or is missing once, is no vanished one.
SETTLED_SECONDS = 3600
MISSING_SECONDS = 60
TRIMMED = "records were trimmed from the stream, after 24 hours, before they were read"


class StreamIdentity(NamedTuple):
    """The table's stream as DescribeTable tells it. A disabled stream keeps its last ARN."""

    arn: str | None
    enabled: bool


def of_identity(migration: Migration, found: StreamIdentity) -> str | None:
    """The stream was disabled, or disabled and enabled again: changes of the time in between are nowhere."""
    if found.arn is None or not found.enabled:
        return f"the stream {migration.stream_arn} was disabled: what is written since then cannot be seen"
    if found.arn != migration.stream_arn:
        return (
            f"the stream was {migration.stream_arn}, the table's stream is now {found.arn}: it was disabled and "
            "enabled again (that is also how a view type is changed), and the changes in between are in neither"
        )
    return None


def vanished(stream: Stream, states: Mapping[str, ShardState]) -> list[str]:
    """Shards that were not read to their end and are not listed any more, as of this one listing."""
    return [
        shard
        for shard, state in states.items()
        if not state.ended and shard not in stream.shards and stream.listed_at - created_at(shard) > SETTLED_SECONDS
    ]


def of_shards(missing_since: Mapping[str, float], now: float) -> str | None:
    """A shard that stays away from the listings is gone, with what was not read of it. Epoch seconds."""
    gone = [shard for shard, since in missing_since.items() if now - since >= MISSING_SECONDS]
    if not gone:
        return None
    return f"shard {gone[0]} was not read to its end and is not in the stream any more: its last records are lost"


def of_time(
    migration: Migration, stream: Stream, states: Mapping[str, ShardState], through: float | None, now: float
) -> str | None:
    """The watermark rule: whoever has not been read for 23 hours may have lost records, whatever AWS says.

    No error ever reports a shard of which one half is trimmed. `through` is the proven instant; epoch seconds.
    """
    if through is not None and now - through <= REACH_SECONDS:
        return None
    for shard, read_to in sorted(_read_to(migration, stream, states, through).items()):
        if now - read_to > REACH_SECONDS:
            return (
                f"shard {shard} has been read up to {_iso(read_to)} only, more than {REACH_SECONDS // 3600} hours ago: "
                "what came after may be trimmed"
            )
    return None


def trims_in_seconds(
    migration: Migration, stream: Stream, states: Mapping[str, ShardState], through: float | None, now: float
) -> float | None:
    """Until the oldest record that may not be applied yet counts as trimmed; None when everything is read.

    Counted to the hour before the stream forgets it: from then on `of_time` takes it for lost, and a resync is needed.
    """
    read_to = _read_to(migration, stream, states, through)
    return max(0.0, min(read_to.values()) + REACH_SECONDS - now) if read_to else None


def _read_to(
    migration: Migration, stream: Stream, states: Mapping[str, ShardState], through: float | None
) -> dict[str, float]:
    """Each shard that is not read to its end, and the instant before which nothing of it is missing. Epoch seconds."""
    unended = {shard for shard in (*stream.shards, *states) if shard not in states or not states[shard].ended}
    # What came before the export is in the export.
    floor = max(migration.exported_at, through or 0.0)
    applied = {shard: state.applied_to for shard, state in states.items()}
    return {shard: max(floor, created_at(shard), applied.get(shard, 0.0)) for shard in unended}


def _iso(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="seconds")

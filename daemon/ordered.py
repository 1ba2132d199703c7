"""What a target without versions asks of the engine (DynamoDB, `target.mode: ordered`): backfill first, then the tail.

Such a target keeps what arrives last. So the tail is read to no further than its first page until everything is
loaded, and whatever would come out of turn is refused: windows of incremental exports, resyncs, letters tried again.
"""

from botocore.exceptions import BotoCoreError, ClientError

from daemon.app import Parts
from daemon.config import Config
from daemon.control import Migration
from daemon.phase import Phase
from daemon.settings import LOOK_SECONDS
from sinks.dynamodb.options import DynamoDbOptions

# The stream holds 24 hours (AWS developer guide, "DynamoDB Streams"); daemon/gap.py takes it for lost an hour earlier.
HELD_HOURS_MAX = 23
_LOADED = (Phase.REPLICATING, Phase.SWITCHING, Phase.SWITCHED, Phase.LOADED)


class Hold:
    """Whether the tail of this generation must still wait. Looked up every other second until it need not."""

    def __init__(self, known: Parts, generation: int) -> None:
        self._known = known
        self._generation = generation
        self._waits = is_ordered(known.config) and known.config.loads
        self._looked_at = float("-inf")

    def __call__(self) -> bool:
        """True also while the control table cannot be asked."""
        now = self._known.clock.monotonic()
        if self._waits and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._waits = not self._loaded()
        return self._waits

    def _loaded(self) -> bool:
        try:
            found = self._known.control.get("migration", Migration)
        except (ClientError, BotoCoreError):
            return False
        return found is not None and found[0].generation == self._generation and found[0].phase in _LOADED


def is_ordered(config: Config) -> bool:
    """Whether the target keeps what arrives last."""
    return isinstance(config.target, DynamoDbOptions) and config.target.mode == "ordered"


def waits(config: Config, migration: Migration) -> bool:
    """Whether the tail waits for the backfill now."""
    return is_ordered(config) and config.tails and config.loads and migration.phase not in _LOADED


def no_resync() -> str:
    """Why a gap in the stream cannot be healed in place, and what can be done."""
    return (
        "target.mode is ordered: its items have no version, so what was deleted in the gap cannot be told from what "
        "is new. Empty the target table and begin again under another migration name; mode exact can be resynced"
    )


def no_retry() -> str:
    """Why a dead letter cannot be tried again, and what can be done."""
    return (
        "target.mode is ordered: its items have no version, so an old change could overwrite a newer one. Write the "
        "item once more in the source table, mended where it must be: that comes by the stream. Then waive the letter"
    )


def too_long(items: int, items_per_second: float) -> str | None:
    """Why a load of that length cannot be followed by its tail; None when it can."""
    hours = items / items_per_second / 3600
    if hours <= HELD_HOURS_MAX:
        return None
    return (
        f"target.mode is ordered, so the tail waits for the backfill: {items:,} items at {items_per_second:,g} items/s "
        f"take {hours:,.0f} hours, and the stream holds 24. Raise backfill.items_per_second to "
        f"{items / HELD_HOURS_MAX / 3600:,.0f} or more, or set target.mode: exact"
    )

"""The phases of a migration, in the order in which they are passed."""

from enum import StrEnum


class Phase(StrEnum):
    """A phase is a decision and is kept in the migration record; what is merely observed is a condition."""

    CREATED = "created"
    ANCHORED = "anchored"
    BACKFILLING = "backfilling"
    REPLICATING = "replicating"
    SWITCHING = "switching-writers"
    SWITCHED = "writers-switched"
    ABORTED = "aborted"
    LOADED = "loaded"  # the end of a backfill without a tail
    NEEDS_RESYNC = "needs-resync"

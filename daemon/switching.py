"""The switch of the writers, as far as it has come: kept in the migration record, driven by whoever leads."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Step(StrEnum):
    """The steps in their order. Before COMMIT any failure leads to UNFENCE; behind it there is only forward.

    Where the stream was being sealed, REOPEN comes before UNFENCE: what is written after it must be in a stream.
    """

    FENCE = "fence"  # tell, or force, every writer to stop
    DRAIN = "drain"  # two rounds of heartbeats with nothing in between, or the stream sealed and read
    VERIFY = "verify"  # all that was touched lately, without tolerance
    CLOCK = "clock"  # the target's clock has passed every version that was applied
    FREEZE = "freeze"  # every shard's process says that it applies nothing more
    COMMIT = "commit"  # the point of no return
    OPEN = "open"  # let the writers in on the target's side
    DONE = "done"
    REOPEN = "reopen"  # it has failed: the source's stream is enabled again, under the fence
    UNFENCE = "unfence"  # it has failed: let the writers go on at the source


UNDOING = (Step.REOPEN, Step.UNFENCE)


class Entry(msgspec.Struct, frozen=True):
    """A line of the journal. `at` in epoch seconds."""

    at: float
    step: Step
    message: str


class Switch(msgspec.Struct, frozen=True):
    """One attempt. Times are epoch seconds."""

    id: str
    step: Step
    began_at: float
    deadline: float
    journal: Sequence[Entry] = ()
    fenced_at: float | None = None
    opened_at: float | None = None
    failed: str | None = None
    waits_for: str = ""  # what keeps this step from being done, without figures that move
    quiet_round: int = 0  # no application record came since this round of heartbeats
    sealing: bool = False  # DRAIN seals the stream (tail.proof: seal)
    frozen_epoch: int = 0  # what every shard's process has to acknowledge; of the last FREEZE
    target_stream: str = ""  # where a way back would begin: the target's own stream, where it has one

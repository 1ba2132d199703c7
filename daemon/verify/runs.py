"""Begins and stops runs: what the leader does by itself, and a person by `moveout verify`."""

import time
from collections.abc import Callable

import msgspec

from daemon.control import Control, Migration
from daemon.phase import Phase
from daemon.verify.record import RUN, Run, RunState

# Behind the backfill only: before, rows that are missing are rows to come.
COMPARABLE = (Phase.REPLICATING, Phase.SWITCHING)


class NotComparable(Exception):
    """A run cannot be begun, or stopped, now. The message says why, and what to do."""


def begin(control: Control, sample_percent: float, asked_by: str, now: Callable[[], float] = time.time) -> Run:
    """Begin a run; it is done by a process of the service. Raises NotComparable, ClientError, Conflict, …"""
    found = control.get("migration", Migration)
    phase = found[0].phase if found else Phase.CREATED
    if found is None or phase not in COMPARABLE:
        raise NotComparable(
            f"the migration is in phase {phase.value}: rows can be compared when all are loaded (replicating). "
            "A run begins by itself then, unless verify.auto is false"
        )
    last, revision = control.get(RUN, Run) or (None, 0)
    if last is not None and last.state is RunState.RUNNING and last.generation == found[0].generation:
        raise NotComparable(
            f"run {last.id} is under way: `moveout verify show`, or `moveout verify stop` before another"
        )
    same = last if last is not None and last.generation == found[0].generation else None
    run = Run(
        id=last.id + 1 if last else 1,
        generation=found[0].generation,
        began_at=now(),
        asked_by=asked_by,
        sample_percent=sample_percent,
        clean=same.clean if same else None,
    )
    control.put(RUN, run, revision)
    return run


def stop(control: Control) -> Run:
    """Stop the run; what it has found stays. Raises NotComparable, ClientError, Conflict, …"""

    def stopped(run: Run | None) -> Run:
        if run is None or run.state is not RunState.RUNNING:
            raise NotComparable("no run is under way: `moveout verify show` tells of the last one")
        return msgspec.structs.replace(run, state=RunState.STOPPED, message="stopped by a person", stage="stopped")

    return control.update(RUN, Run, stopped)

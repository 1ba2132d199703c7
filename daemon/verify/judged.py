"""What the runs say about readiness, and to whoever asks. Pure."""

from typing import NamedTuple

from daemon.cutover import Condition
from daemon.signal.document import Verification, iso
from daemon.verify.record import Count, Run, RunState, strength
from daemon.verify.rules import upper_bound

TYPE = "Verified"
UNRECORDED = "unrecorded"  # beside the kinds of differences: those beyond KEPT_MAX
LOOK_CLOSER = "`moveout verify report` names them, `moveout repair` mends them"


class Asked(NamedTuple):
    """What the configuration and the target make of it. `unreadable` says why nothing can be compared."""

    required: bool
    auto: bool
    unreadable: str | None = None


def condition(asked: Asked, run: Run | None, count: Count, generation: int) -> Condition:
    """Holds when a run of this generation has found no difference, and none stands.

    Runs begin behind the backfill only: a run of this generation began after it. A row that the application writes all
    the time cannot be settled while it does, and is not known to differ: it moves. It is told, and settled at the fence
    (facts/cutover.md, rule V3); were it to block, a table with one busy counter could never be switched. There are at
    most KEPT_MAX of them: more are `unrecorded`.
    """
    if asked.unreadable is not None:
        return _holds("NotReadable", asked.unreadable)
    of_now = run if run is not None and run.generation == generation else None
    judged = _judged(asked, of_now, count)
    if judged.status or asked.required:
        return judged
    return _holds("NotRequired", f"{judged.message} (verify.required is false)")


def _judged(asked: Asked, run: Run | None, count: Count) -> Condition:
    if count.open or (run is not None and run.unrecorded):
        more = f" and {run.unrecorded:,} more" if run is not None and run.unrecorded else ""
        return _fails("Differences", f"{kinds(count)}{more}: {LOOK_CLOSER}; then `moveout verify start`")
    if unsettled := standing(run, count):
        return _fails("Unsettled", unsettled)
    if run is None:
        begins = "a run begins as soon as lag is proven" if asked.auto else "begin one: `moveout verify start`"
        return _fails("NotVerified", f"source and target were not compared since the backfill; {begins}")
    if run.clean is not None:
        going_on = f"; run {run.id} goes on" if run.state is RunState.RUNNING else ""
        told = f"{strength(run.clean.compared, run.clean.live, 0)}{moving(count.hot)}"
        return _holds("Compared", f"{told} (run {run.clean.id}){going_on}")
    if run.state is RunState.RUNNING:
        return _fails("Running", progress(run))
    return _fails(run.state.value.capitalize(), f"run {run.id} {run.state.value}: {run.message or '-'}; {again()}")


def standing(run: Run | None, count: Count) -> str | None:
    """What keeps source and target from being called equal by what is known; None where nothing does."""
    if count.open or (run is not None and run.unrecorded):
        return f"{kinds(count)}{moving(count.hot)}{unwatched(count.unwatched)}"
    return f"not known to be equal{unwatched(count.unwatched)}; {again()}" if count.unwatched else None


def again() -> str:
    """What to do about it."""
    return "`moveout verify start` looks again"


def moving(hot: int) -> str:
    """What is said of rows that could not be settled; nothing where there is none."""
    return f"; {hot:,} row(s) were written each time they were looked at: they are settled at the fence" if hot else ""


def unwatched(count: int) -> str:
    """What is said of rows that look lost and could not be watched; nothing where there is none."""
    if not count:
        return ""
    return (
        f"; {count:,} row(s) look lost, and could not be watched to be sure: another verification or repair was under "
        "way, a shard was late, or lag was too long"
    )


def kinds(count: Count) -> str:
    """`3 row(s) differ: 2 missing, 1 stale`."""
    told = ", ".join(f"{number:,} {kind}" for kind, number in count.by_kind.items() if number)
    return f"{count.open:,} row(s) differ{': ' if told else ''}{told}"


def progress(run: Run) -> str:
    """Where a run is, in a sentence."""
    trouble = f"; {run.message}" if run.message else ""
    return f"run {run.id} has looked at {run.looked_at:,} of about {run.total:,} rows ({run.stage}){trouble}"


def shown(run: Run | None, count: Count, generation: int) -> Verification | None:
    """For the document; None where no run of this generation was begun: one of before says nothing of these rows."""
    if run is None or run.generation != generation:
        return None
    differences = count.open + run.unrecorded
    more = {UNRECORDED: run.unrecorded} if run.unrecorded else {}
    return Verification(
        run=run.id,
        state=run.state.value,
        compared=run.compared,
        total=run.total,
        differences={**count.by_kind, **more},
        open=count.hot + count.unwatched,
        unwatched=count.unwatched,
        upper_bound=upper_bound(run.live, differences),
        began_at=iso(run.began_at),
        finished_at=None if run.finished_at is None else iso(run.finished_at),
        message=progress(run) if run.state is RunState.RUNNING else run.message,
    )


def _holds(reason: str, message: str) -> Condition:
    return Condition(TYPE, True, reason, message)  # noqa: FBT003


def _fails(reason: str, message: str) -> Condition:
    return Condition(TYPE, False, reason, message)  # noqa: FBT003

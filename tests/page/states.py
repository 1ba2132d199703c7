"""Each state that the page must tell, as the service's own functions make its document."""

import time

import msgspec

from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import Paused, Progress, Tail, Verification, document
from daemon.signal.whole import whole
from daemon.switching import Entry, Step, Switch

LIMITS = Limits(5, 60)
LETTERS = {"open": 0, "settled": 12, "retried": 3, "waived": 1}
TAIL = Tail(
    records=1_204_331, applied=1_203_990, expired=341, shards_open=4, shards_ended=3, shards_unowned=0, restarts=1
)
NO_TAIL = Tail(*[0] * 7)
TOTAL = 48_200_000
FOUND = {"missing": 0, "extra": 0, "stale": 0, "changed": 0}
VERIFIED = Verification(3, "finished", TOTAL, TOTAL, FOUND, upper_bound=3 / TOTAL)
EXPORT = "AWS has been making the export for 14 min (ARN …/export/01700000000000-a1b2c3d4)"


def made(
    phase,
    message="",
    *,
    name="orders",
    done=TOTAL,
    total=TOTAL,
    lag=1.2,
    ready=False,
    parts=(64, 64),
    rate=0.0,
    tail=TAIL,
    letters=0,
    paused=Paused(),  # noqa: B008  frozen
    verification=None,
    now=None,
    **migration,
):
    """The document of one table at this moment."""
    now = now or time.time()
    through = None if lag is None else now - lag
    seen = Observation(
        now,
        parts_total=parts[1],
        parts_done=parts[0],
        items_total=total,
        items_done=done,
        part_error=None,
        applied_through=through,
        lag_reason="round 417 of heartbeats has come through every shard" if lag is not None else "no heartbeat yet",
        trouble=None,
        dead_letter=f"{letters} change(s) wait for a decision, the oldest for order#8812" if letters else None,
        applied=done,
        bytes_read=done * 640,
        export=EXPORT if migration.get("pending") else "",
    )
    record = Migration(
        phase=phase, message=message, ready_since=now - 75 if ready else None, caught_up_since=now - 135, **migration
    )
    progress = Progress(417, rate, tail, LETTERS | {"open": letters}, paused, verification)
    return document(name, record, seen, LIMITS, progress, name)


def switching(step, *entries, now=None, **more):
    now = now or time.time()
    steps = list(Step)
    told = [Entry(now - 9 + 2 * index, steps[index], text) for index, text in enumerate(entries)]
    fields = {
        "id": "w1",
        "step": step,
        "began_at": now - 9,
        "deadline": now + 21,
        "journal": told,
        "fenced_at": now - 9,
    }
    return Switch(**fields | more)


JOURNAL = (
    "flag orders.writes says frozen; the lock webhook answered 200 after 212 ms",
    "rounds 418 and 419 came through 4 shards, with no record of the application between them",
    "3,112 keys touched in the last 10 min are equal",
    "node clocks are 1.4 s past the highest version",
    "4 of 4 shard processes say that they apply nothing more",
    "routes.writes is the target; there is no way back by itself",
    "the target's gate is open",
    "writers write to the target",
)


def created():
    return made(Phase.CREATED, "checking both sides", done=0, total=0, parts=(0, 0), lag=None, tail=NO_TAIL)


def exporting():
    words = "the stream is followed while the export is made"
    return made(Phase.ANCHORED, words, done=0, total=0, parts=(0, 0), pending=True)


def backfilling():
    return made(
        Phase.BACKFILLING, "loading 48,200,000 items in 64 part(s)", done=19_881_204, parts=(26, 64), rate=11_842.0
    )


def not_ready():
    return made(Phase.REPLICATING, "CaughtUp does not hold", lag=42.7)


def ready():
    running = msgspec.structs.replace(
        VERIFIED, state="running", compared=30_118_220, upper_bound=3 / 30_118_220, open=2
    )
    words = "ready: lag was proven within 5 s for 60 s"
    return made(Phase.REPLICATING, words, ready=True, verification=running, epoch=1)


def readers_half():
    words = "ready: lag was proven within 5 s for 60 s"
    return made(Phase.REPLICATING, words, ready=True, verification=VERIFIED, epoch=4, routes=Routes(reads_percent=50))


def switching_writers():
    return made(
        Phase.SWITCHING,
        "switching the writers: verifying all that was touched lately",
        verification=VERIFIED,
        epoch=6,
        routes=Routes(100, "source", writes_fenced=True),
        switch=switching(Step.VERIFY, *JOURNAL[:2]),
    )


def switched():
    now = time.time()
    done = switching(Step.DONE, *JOURNAL, now=now - 3600, fenced_at=now - 3609, opened_at=now - 3602.6)
    words = "the writers write to the target since the fence of 6.4 s"
    return made(
        Phase.SWITCHED, words, verification=VERIFIED, epoch=8, routes=Routes(100, "target"), switch=done, now=now
    )


def switch_failed():
    failed = switching(Step.UNFENCE, *JOURNAL[:1], failed="an application record lies between rounds 418 and 419")
    return made(
        Phase.REPLICATING, "replicating again", epoch=7, routes=Routes(100, "source"), switch=failed, ready=True
    )


def needs_resync():
    gap = "records of shardId-0000017 were trimmed before they were read"
    words = f"the stream has lost changes: {gap}. `moveout resync` says how this is healed"
    return made(Phase.NEEDS_RESYNC, words, gap=gap, lag=None)


def aborted():
    return made(Phase.ABORTED, "aborted; the target's table is kept. The source was never changed", lag=None)


def loaded():
    words = "all 48,200,000 items are loaded; nothing that is written from now on will be"
    return made(Phase.LOADED, words, mode="backfill", lag=None, tail=NO_TAIL)


def dead_letters():
    return made(Phase.REPLICATING, "DeadLettersResolved does not hold", letters=2)


def paused():
    halted = Paused(backfill=True, tail=True, trims_in_seconds=5.5 * 3600)
    return made(
        Phase.BACKFILLING, "loading 48,200,000 items in 64 part(s)", done=19_881_204, parts=(26, 64), paused=halted
    )


def several():
    found = msgspec.structs.replace(
        VERIFIED, compared=812_000, total=4_000_000, differences={**FOUND, "stale": 2, "missing": 1}, state="running"
    )
    loads = {"done": 1_900_000, "total": 9_000_000, "parts": (3, 16), "rate": 5300.0}
    return whole(
        "shop",
        [
            made(Phase.REPLICATING, "ready: lag was proven", name="shop.orders", ready=True),
            made(Phase.BACKFILLING, "loading 9,000,000 items in 16 part(s)", name="shop.customers", **loads),
            made(Phase.REPLICATING, "", name="shop.carts", letters=2, verification=found),
        ],
    )


STATES = {
    made_by.__name__: made_by
    for made_by in (
        created,
        exporting,
        backfilling,
        not_ready,
        ready,
        readers_half,
        switching_writers,
        switched,
        switch_failed,
        needs_resync,
        aborted,
        loaded,
        dead_letters,
        paused,
        several,
    )
}

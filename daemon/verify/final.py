"""The last look before the writers go over: both sides are quiet, so what differs now differs, without a tolerance.

Asked behind the fence, the last proof and the drain. It must not take long, for nobody writes meanwhile: all that is
known to be doubtful is looked at, and of the rest as much as fits into LIST_SECONDS and SAMPLE_MAX.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

import structlog

from daemon.app import Parts
from daemon.dead_letter import LetterState
from daemon.source.heartbeat import is_heartbeat
from daemon.source.keys import key_reader
from daemon.verify import rules
from daemon.verify.record import Records
from daemon.verify.rules import Doubt, Expiry, Verdict
from daemon.verify.run import ttl_attribute
from daemon.verify.settle import Sides
from daemon.verify.sides import Tables, Waiting
from sinks.change import Key
from sinks.sink import Readable, Scannable

log = structlog.get_logger()

LIST_SECONDS = 5.0
SAMPLE_MAX = 2000
BATCH_KEYS = 250
NAMED_MAX = 3


def final_check(known: Parts, since: float) -> str | None:
    """Why the writers must not go over yet; None when source and target are equal as far as was looked.

    `since`, in epoch seconds: rows that were written later are looked at first. Keys whose dead letter was waived are
    looked at, told in the log, and stop nothing: a person has decided to go without them. A target that cannot be read
    back stops nothing either. Raises SinkError, ClientError, BotoCoreError.
    """
    sink = known.sink(may_create=False)
    if not isinstance(sink, Readable):
        return None
    sink.open()
    try:
        with closing(known.calls()) as calls:
            waiting = Waiting(lambda: None, known.clock.sleep)
            sides = Tables(sink, calls, known.config.source.table, known.keys, waiting)
            expiry = Expiry(ttl_attribute(known), known.clock.time())
            rows = listed(sink.versions(), known.clock.monotonic) if isinstance(sink, Scannable) else []
            waived = _waived(known)
            # What an earlier run, or a shard's process, has found, and what was too hot to be settled, comes first.
            keys = [*Records(known.control, known.keys).standing(), *waived, *chosen(rows, since)]
            return judged(sides, keys, waived, expiry)
    finally:
        sink.close()


def listed(pages: Iterable[Sequence[tuple[Key, int]]], monotonic: Callable[[], float]) -> list[tuple[Key, int]]:
    """As many rows of the target as can be listed in LIST_SECONDS."""
    rows: list[tuple[Key, int]] = []
    until = monotonic() + LIST_SECONDS
    for page in pages:
        rows += page
        if monotonic() >= until:
            break
    return rows


def chosen(rows: Sequence[tuple[Key, int]], since: float) -> list[Key]:
    """At most SAMPLE_MAX: those that were written lately, then others by chance."""
    recent = [key for key, version in rows if version >= since * 1_000_000 and not is_heartbeat(key)]
    older = [key for key, version in rows if version < since * 1_000_000 and not is_heartbeat(key)]
    random.shuffle(recent)
    random.shuffle(older)
    return [*recent, *older][:SAMPLE_MAX]


def judged(sides: Sides, keys: Iterable[Key], waived: Iterable[Key], expiry: Expiry) -> str | None:
    """Look at all of them once. Raises what the sides raise."""
    excused, asked = set(waived), list(dict.fromkeys(keys))
    differing: list[str] = []
    for start in range(0, len(asked), BATCH_KEYS):
        batch = asked[start : start + BATCH_KEYS]
        source, stored = sides.source(batch), sides.target(batch)
        for key in batch:
            if rules.judge_now(source.get(key), stored.get(key), expiry) is Verdict.SAME:
                continue
            kind = rules.named(source.get(key), stored.get(key), Doubt(key), expiry).kind.value
            if key in excused:
                log.warning("waived_row_differs", key=str(key), kind=kind)
            else:
                differing.append(f"{key} ({kind})")
    log.info("final_check", rows=len(asked), differences=len(differing))
    if not differing:
        return None
    return (
        f"{len(differing):,} of {len(asked):,} rows differ while nobody writes, the first being "
        f"{', '.join(differing[:NAMED_MAX])}. Lift the fence, then `moveout verify start` and `moveout repair`"
    )


def _waived(known: Parts) -> list[Key]:
    read = key_reader(known.keys)
    letters = known.dead_letters.all().values()
    return [read(letter.key.encode()) for letter in letters if letter.state is LetterState.WAIVED]

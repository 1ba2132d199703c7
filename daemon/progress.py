"""How far the parts are, how fast it goes, and how long it will take: pure, from their records and the time.

    shown = progress(parts, at=clock.monotonic())
    …
    shown = progress(parts, at=clock.monotonic(), before=shown)

An ETA is only given when it can be trusted: the size of what is left is known, and so is a rate over 5 s or more. The
rate is exponentially weighted: what lies more than 30 s back has a seventh of the weight.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from daemon.control import Part

MEMORY_SECONDS = 15.0
KNOWN_AFTER_SECONDS = 5.0
# Longer is not told: nobody plans by it.
ETA_SECONDS_MAX = 365 * 86400.0
PACKED = (".gz", ".zst", ".zstd")


class Meter(msgspec.Struct, frozen=True):
    """A rate: sums over time, older terms weighing less. `at` is in seconds of the caller's clock."""

    begun_at: float
    at: float
    position: float
    moved: float = 0.0
    elapsed_seconds: float = 0.0

    def then(self, at: float, position: float) -> "Meter":
        """One look later. A step back (a part that is begun again) is no movement."""
        passed = at - self.at
        if passed <= 0:
            return self
        weight = math.exp(-passed / MEMORY_SECONDS)
        return Meter(
            self.begun_at,
            at,
            position,
            self.moved * weight + max(position - self.position, 0.0),
            self.elapsed_seconds * weight + passed,
        )

    @property
    def per_second(self) -> float | None:
        """None before there are 5 s of data."""
        if self.at - self.begun_at < KNOWN_AFTER_SECONDS:
            return None
        return self.moved / self.elapsed_seconds


class Figures(msgspec.Struct, frozen=True):
    """Of one part, or of all. Bytes are of JSON, unpacked; `size_bytes` is as stored."""

    name: str
    parts: int
    parts_done: int
    items: int  # read
    items_total: int | None  # None: not known
    estimated: bool  # the total is an estimate, no promise
    bytes_read: int
    size_bytes: int | None
    applied: int
    rejected: int
    skipped: int
    done_fraction: float | None  # by bytes where they are known, else by items; None: not known
    items_per_second: float | None
    bytes_per_second: float | None
    eta_seconds: float | None  # 0 when done; None: not known

    @property
    def done(self) -> bool:
        """True when every part is."""
        return self.parts == self.parts_done


class _Meters(msgspec.Struct, frozen=True):
    items: Meter
    bytes: Meter
    work: Meter  # in the unit that the ETA is told by
    unit: str


class Progress(msgspec.Struct, frozen=True):
    """All parts at one time, and what the next look needs of this one."""

    at: float
    total: Figures
    parts: Sequence[Figures]
    meters: Mapping[str, _Meters]


class _Work(msgspec.Struct, frozen=True):
    """What there is to do and what of it is done, in one unit; None: not known."""

    unit: str
    done: float
    total: float | None


TOTAL = ""  # no part has this name


def progress(parts: Sequence[Part], at: float, before: Progress | None = None) -> Progress:
    """How it stands at this time (seconds of any clock that goes forward), `before` being an earlier look."""
    known = before.meters if before is not None else {}
    expansion = _expansion(parts)
    figures, meters = [], {}
    for part in parts:
        work = _work([part], expansion)
        meters[part.name] = _looked(known.get(part.name), at, [part], work)
        figures.append(_figures(part.name, [part], work, meters[part.name]))
    work = _work(parts, expansion)
    meters[TOTAL] = _looked(known.get(TOTAL), at, parts, work)
    return Progress(at, _figures(TOTAL, parts, work, meters[TOTAL]), figures, meters)


def _looked(before: _Meters | None, at: float, parts: Sequence[Part], work: _Work) -> _Meters:
    items, size = sum(part.rows_read for part in parts), sum(part.bytes_read for part in parts)
    # While nothing is read yet there is no rate: a part that waits for its turn has not been slow.
    if before is None or not (items or size):
        return _Meters(Meter(at, at, items), Meter(at, at, size), Meter(at, at, work.done), work.unit)
    same = before.unit == work.unit
    return _Meters(
        before.items.then(at, items),
        before.bytes.then(at, size),
        before.work.then(at, work.done) if same else Meter(at, at, work.done),
        work.unit,
    )


def _figures(name: str, parts: Sequence[Part], work: _Work, meters: _Meters) -> Figures:
    open_parts = [part for part in parts if not part.done]
    items_known = all(part.items for part in open_parts if not part.counted)
    return Figures(
        name=name,
        parts=len(parts),
        parts_done=len(parts) - len(open_parts),
        items=sum(part.rows_read for part in parts),
        items_total=sum(part.items for part in parts) if items_known else None,
        estimated=any(not part.counted for part in open_parts),
        bytes_read=sum(part.bytes_read for part in parts),
        size_bytes=sum(part.size_bytes for part in parts) if all(part.size_bytes for part in parts) else None,
        applied=sum(part.applied for part in parts),
        rejected=sum(part.rejected for part in parts),
        skipped=sum(part.skipped for part in parts),
        done_fraction=_fraction(work, finished=not open_parts),
        items_per_second=meters.items.per_second,
        bytes_per_second=meters.bytes.per_second,
        eta_seconds=0.0 if not open_parts else _eta(work, meters.work),
    )


def _fraction(work: _Work, *, finished: bool) -> float | None:
    if finished:
        return 1.0
    return work.done / work.total if work.total else None


def _eta(work: _Work, meter: Meter) -> float | None:
    rate = meter.per_second
    if work.total is None or not rate:
        return None
    seconds = (work.total - work.done) / rate
    return seconds if seconds <= ETA_SECONDS_MAX else None


def _work(parts: Sequence[Part], expansion: float | None) -> _Work:
    """In bytes as stored where each part has its size, else in items. Not known as soon as one part's share is not."""
    by_bytes = all(part.size_bytes for part in parts)
    done, known = 0.0, True
    for part in parts:
        share = _share(part, expansion)
        known = known and share is not None
        size = part.size_bytes if by_bytes else (part.rows_read if part.done else part.items)
        done += size * (share or 0.0)
    total = sum(part.size_bytes if by_bytes else part.items for part in parts) if known else None
    return _Work("bytes" if by_bytes else "items", done, total)


def _share(part: Part, expansion: float | None) -> float | None:
    """How much of a part is read, 0 to 1; None where that is not known, or an estimate has proven too low."""
    if part.done:
        return 1.0
    if part.counted:
        return min(part.rows_read / part.items, 1.0) if part.items else 0.0
    if part.items:
        return part.rows_read / part.items if part.rows_read < part.items else None
    if not part.size_bytes:
        return None
    ratio = expansion if part.name.endswith(PACKED) else 1.0
    if ratio is None:
        return None if part.bytes_read else 0.0
    share = part.bytes_read / (part.size_bytes * ratio)
    return share if share < 1 else None


def _expansion(parts: Sequence[Part]) -> float | None:
    """Bytes of JSON for a byte as stored, by the packed parts that are done; None before there is one."""
    done = [part for part in parts if part.done and part.size_bytes and part.name.endswith(PACKED)]
    stored = sum(part.size_bytes for part in done)
    return sum(part.bytes_read for part in done) / stored if stored else None

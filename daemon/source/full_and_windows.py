"""A full export and the incremental exports that follow it, as one backfill.

It is for a stream that does not reach back to the full export: windows carry the table on to where it does. Each
export has one version for all its rows:

    full = base - n - 1 < windows = base - n … base - 1, by their ends < base = version_of(end of the last window)

Everything that the last window may lack is in the stream above `base`; what the stream brings below it is in the
windows as well, and loses to them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from daemon.control import Part, Sweep
from daemon.source.export import Export, iso, version_of
from daemon.source.incremental import Window, chain, ranked


class Chain(NamedTuple):
    """All parts, each with its version in microseconds; what is left to sweep; up to when the chain reaches."""

    parts: list[Part]
    base: int
    sweep: Sweep | None
    to_time: float  # epoch seconds


def broken(full: Export, windows: Sequence[Window]) -> str | None:
    """Why the windows do not go on from the full export without a hole; None when they do."""
    first = min(windows, key=lambda window: window.from_time)
    if first.table_arn != full.table_arn:
        return f"{first.manifest} is of the table {first.table_arn}, {full.manifest} of {full.table_arn}"
    if first.from_time > full.exported_at:
        return (
            f"{full.manifest} is as of {iso(full.exported_at)}, the first window, {first.manifest}, begins at "
            f"{iso(first.from_time)}: changes of {first.from_time - full.exported_at:.3f} s are in neither. Take an "
            f"incremental export with ExportFromTime={int(full.exported_at)} as well"
        )
    for window in windows:
        if window.to_time <= full.exported_at:
            # It ranks above the full export and would bring back what its items were before.
            return (
                f"{window.manifest} ends at {iso(window.to_time)}, before {full.manifest} begins to be true, at "
                f"{iso(full.exported_at)}. Leave it out"
            )
    return chain(windows, first.from_time, max(window.to_time for window in windows), margin_seconds=0)


def chained(full: Export, windows: Sequence[Window]) -> Chain:
    """The parts of a chain that is not `broken`.

    An item that was born and deleted inside of one window has no line in it. With exact cuts that does no harm: the
    export before the window does not have it either, for AWS cuts exports that follow each other to the second at one
    place in the table's history, nothing twice and nothing left out (developer guide, "Requesting a table export":
    contiguous exports). Where exports overlap, one may have caught it alive, and it would stay for ever: then the
    rows that the last window has not touched are looked up in the source.
    """
    to_time = max(window.to_time for window in windows)
    base = version_of(to_time)
    order = ranked(windows, base)
    parts = [_at(part, base - len(order) - 1) for part in full.parts]
    parts += [_at(part, version) for window, version in order for part in window.parts]
    return Chain(parts, base, _sweep(full, windows, base), to_time)


def _at(part: Part, version: int) -> Part:
    return msgspec.structs.replace(part, version=version)


def _sweep(full: Export, windows: Sequence[Window], base: int) -> Sweep | None:
    """Where a ghost may be: at every version below the last window's."""
    ordered = sorted(windows, key=lambda window: window.from_time)
    ends = [full.exported_at, *(window.to_time for window in ordered[:-1])]
    exact = all(window.from_time == end for window, end in zip(ordered, ends, strict=True))
    return None if exact else Sweep(below=base - 1, at=base, since=0, ask_source=True)

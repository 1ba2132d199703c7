"""Incremental exports: what changed in a window of time, to heal a gap in the stream with a chain of them.

A window holds one line per item that changed in it: what the item is at the window's end, or that it was deleted.
An item that is missing at the window's begin and at its end has no line, whatever happened in between: where
the target, or another window, has caught such an item in its short life, no window tells of its end. Those
rows (ghosts) are left to a sweep; `ranked` says where they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from daemon.control import Part
from daemon.source.export import ExportUnusable, Summary, iso, read_parts, read_summary
from daemon.source.keys import key_of, key_reader, key_struct
from daemon.source.page import Row
from sinks.attributes import UnreadableItem
from sinks.change import Item, KeySchema

# Both have what an item is now. A view without it would read as the deletion of everything.
VIEWS = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")
# An item holds at least its key, so an empty image is no image; AWS's own loader reads both as a deletion.
NO_IMAGE = (b"null", b"{}")


class Window(msgspec.Struct, frozen=True):
    """An incremental export: which table, from when to before when, and its files."""

    manifest: str  # s3:// URL of the summary
    table_arn: str
    from_time: float  # epoch seconds, inclusive
    to_time: float  # epoch seconds, exclusive
    items: int
    parts: list[Part]


def read_window(s3: Any, manifest: str) -> Window:
    """Read and check the manifest. Raises ExportUnusable, and ClientError or BotoCoreError when S3 is away."""
    summary = read_summary(s3, manifest)
    from_time, to_time = _times(summary, manifest)
    parts = read_parts(s3, manifest, summary, "incremental")
    return Window(manifest, summary.table_arn, from_time, to_time, summary.item_count, parts)


def _times(summary: Summary, manifest: str) -> tuple[float, float]:
    if summary.export_type != "INCREMENTAL_EXPORT":
        raise ExportUnusable(f"{manifest} is of a {summary.export_type}: a gap is healed with incremental exports")
    if summary.output_view not in VIEWS:
        raise ExportUnusable(
            f"{manifest} has the view {summary.output_view}: export again with ExportViewType {VIEWS[0]}"
        )
    begin, end = summary.export_from_time, summary.export_to_time
    if begin is None or end is None or begin >= end:
        raise ExportUnusable(f"{manifest} is of no window of time (from {begin} to {end}): take another export")
    return begin.timestamp(), end.timestamp()


def change_reader(keys: KeySchema) -> Callable[[bytes], Row]:
    """A function from a line `{"Metadata":…,"Keys":{…},"NewImage":{…}}` to a row; it raises UnreadableItem.

    A row is the key with its item, byte for byte, or None when it was deleted. The fields may come in any order.
    Metadata must be there, for a line that has only keys says "deleted"; what it holds, the time of the write, is
    not read (see `ranked`).
    """
    line_type = msgspec.defstruct(
        "Line",
        [
            ("metadata", msgspec.Raw, msgspec.field(name="Metadata")),
            ("keys", key_struct(keys), msgspec.field(name="Keys")),
            ("image", msgspec.Raw, msgspec.field(name="NewImage", default=msgspec.Raw(b"null"))),
        ],
        gc=False,
    )
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(line_type).decode
    to_key, key_in = key_of(keys), key_reader(keys)

    def read(line: bytes) -> Row:
        try:
            found = decode(line)
        except msgspec.MsgspecError as error:
            raise UnreadableItem(f"not a line of an incremental export but {line[:60]!r}: {error}") from error
        key, image = to_key(found.keys), bytes(found.image)
        if image in NO_IMAGE:
            return key, None
        if key_in(image) != key:
            raise UnreadableItem(f"the key {key} and the key in the new image {image[:60]!r} differ")
        return key, Item(image)

    return read


def chain(windows: Sequence[Window], from_time: float, to_time: float, margin_seconds: float) -> str | None:
    """Why the windows do not cover the gap and its margins without a hole; None when they do. In epoch seconds.

    No hole is allowed outside of the gap either: a window apart from the others brings back what its items were
    at its end, and what became of them in the hole is in no window.
    """
    if not windows:
        return f"there is no incremental export at all. {_wanted(from_time - margin_seconds, to_time + margin_seconds)}"
    ordered = sorted(windows, key=lambda window: (window.from_time, window.to_time))
    return (
        _mixed(ordered)
        or _begins_late(ordered[0], from_time, margin_seconds)
        or _hole(ordered)
        or _ends_early(max(ordered, key=lambda window: window.to_time), to_time, margin_seconds)
    )


def _mixed(ordered: Sequence[Window]) -> str | None:
    """Two tables, or a manifest that is listed twice."""
    seen: dict[str, Window] = {}
    for window in ordered:
        if window.table_arn != ordered[0].table_arn:
            return (
                f"{window.manifest} is of the table {window.table_arn}, {ordered[0].manifest} of "
                f"{ordered[0].table_arn}. Leave out those of the other table"
            )
        if window.manifest in seen:
            return f"{window.manifest} is listed twice. Leave it out once; is another one missing?"
        seen[window.manifest] = window
    return None


def _begins_late(first: Window, from_time: float, margin_seconds: float) -> str | None:
    wanted = from_time - margin_seconds
    if first.from_time <= wanted:
        return None
    return (
        f"the gap begins at {iso(from_time)}, the first export, {first.manifest}, at {iso(first.from_time)} (wanted: "
        f"{margin_seconds:.0f} s of overlap). {_wanted(wanted, first.from_time)}"
    )


def _hole(ordered: Sequence[Window]) -> str | None:
    last = ordered[0]
    for window in ordered[1:]:
        if window.from_time > last.to_time:
            return (
                f"{last.manifest} ends at {iso(last.to_time)}, the next one, {window.manifest}, begins at "
                f"{iso(window.from_time)}: changes of {window.from_time - last.to_time:.0f} s are in neither. "
                f"{_wanted(last.to_time, window.from_time)}"
            )
        last = max(last, window, key=lambda one: one.to_time)
    return None


def _ends_early(last: Window, to_time: float, margin_seconds: float) -> str | None:
    wanted = to_time + margin_seconds
    if last.to_time >= wanted:
        return None
    return (
        f"the gap ends at {iso(to_time)}, the last export, {last.manifest}, at {iso(last.to_time)} (wanted: "
        f"{margin_seconds:.0f} s of overlap). {_wanted(last.to_time, wanted)}"
    )


def _wanted(begin: float, end: float) -> str:
    return (
        f"Take incremental exports that cover {iso(begin)} to {iso(end)} (each of 15 minutes to 24 hours; overlaps "
        "do no harm)"
    )


def ranked(windows: Sequence[Window], base: int) -> list[tuple[Window, int]]:
    """Each window with the one version of all its rows, in the order of time: base - n … base - 1, in microseconds.

    Ordered by the windows' ends, for a row says what its item is at the end: a window inside of another one is
    the older of the two, although it begins later.

    A rank and not the record's own microseconds: those are of another clock, up to a minute off, and the stream's
    versions are whole seconds and a count. A record could beat a later write that only the stream brings.

    `base` must lie so that every version applied before the gap is below all the ranks, and that every write which
    the last window may lack comes from the stream at `base` or above.

    Where a sweep finds ghosts: at a version of the stream from the first window's begin on, less the margin of the
    clocks; at a rank below base - 1; or at the backfill's version when its export is younger than that begin.
    """
    ordered = sorted(windows, key=lambda window: (window.to_time, window.from_time, window.manifest))
    return [(window, base - len(ordered) + number) for number, window in enumerate(ordered)]

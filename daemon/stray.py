"""Writes that the application still made at the source after its writers had switched: kept, told, never applied.

A record `stray#<shard>/<sequence>` of the control table each, with both images; what is too large for it lies where
dead letters do. The name makes a replay write the same one again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from daemon.control import Conflict
from daemon.source.stream import Event

if TYPE_CHECKING:
    from daemon.app import Parts

STRAYS = "stray#"
# Of the record as the stream gave it. DynamoDB takes items of 400 KB; JSON in JSON has its quotes escaped.
INLINE_BYTES_MAX = 100_000

# (shard, event, the stream's record as JSON): durable when it returns.
KeepStray = Callable[[str, Event, bytes], None]


class Stray(msgspec.Struct, frozen=True):
    """One write. Images are typed JSON, `null` where there is none, or where they lie at `body`; epoch seconds."""

    event: str
    key: msgspec.Raw
    created_at: float
    version: int
    old: msgspec.Raw = msgspec.Raw(b"null")
    new: msgspec.Raw = msgspec.Raw(b"null")
    body: str = ""


class _Detail(msgspec.Struct):
    keys: msgspec.Raw = msgspec.field(name="Keys")
    new: msgspec.Raw = msgspec.field(name="NewImage", default=msgspec.Raw(b"null"))
    old: msgspec.Raw = msgspec.field(name="OldImage", default=msgspec.Raw(b"null"))


class _Record(msgspec.Struct):
    event: str = msgspec.field(name="eventName")
    detail: _Detail = msgspec.field(name="dynamodb")


def keep(known: "Parts", shard: str, event: Event, json: bytes) -> None:
    """Make it durable. Raises ClientError, BotoCoreError, BoxUnavailable: then nothing may pass it."""
    found = msgspec.json.decode(json, type=_Record)
    small = len(json) <= INLINE_BYTES_MAX
    stray = Stray(
        event=found.event,
        key=found.detail.keys,
        created_at=event.created_at,
        version=event.version,
        old=_image(found.detail.old) if small else msgspec.Raw(b"null"),
        new=_image(found.detail.new) if small else msgspec.Raw(b"null"),
        body="" if small else known.letter_box.put(f"stray-{shard}-{event.sequence}", json + b"\n"),
    )
    try:
        known.control.put(f"{STRAYS}{shard}/{event.sequence}", stray, 0)
    except Conflict:
        return  # a replay, or the answer to our own write was lost


def _image(raw: msgspec.Raw) -> msgspec.Raw:
    """The KCL writes `{}` where there is none."""
    return msgspec.Raw(b"null") if bytes(raw) in (b"{}", b"") else raw


def no_strays(*_: Any) -> None:
    """Where there is no switch of writers."""
    raise AssertionError("a stray write was met where none can be kept")

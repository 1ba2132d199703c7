"""Stream records -> changes, with versions that a replay computes again.

A stream's time has whole seconds, so it cannot order two writes of one second. Hence a hybrid logical
clock per shard lineage, T(e) = max(T(previous record) + 1, creation second * 10^6), whose state is made
durable with the position (daemon/README.md, "One rule of order"). A counter in memory is the bug that
two well-known tools have: after a crash in the middle of a second it deals the same numbers twice.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from daemon.source.heartbeat import MARK, ROUND, is_heartbeat, to_text
from daemon.source.keys import key_of, key_struct
from sinks.attributes import UnreadableItem
from sinks.change import Change, Item, Key, KeySchema

MICROS = 1_000_000


class VersionClock:
    """Deals the version of each record of one shard lineage, in order. State: `last`, in microseconds."""

    def __init__(self, last: int) -> None:
        self.last = last

    def next(self, created_millis: int) -> int:
        """The version of the next record, created at this epoch time in milliseconds."""
        self.last = max(self.last + 1, created_millis // 1000 * MICROS)
        return self.last


class Heartbeat(NamedTuple):
    """A heartbeat item seen in the stream: which key, of which round of proof."""

    key: str
    round: int


class Event(NamedTuple):
    """One stream record: its position, its version, and the change it says; a heartbeat says none."""

    sequence: str
    version: int
    change: Change | None
    heartbeat: Heartbeat | None
    expired: bool = False  # deleted by the table's TTL
    created_at: float = 0.0  # epoch seconds, whole
    before: bytes | None = None  # the old image, where it was asked for: ABSENT, NOT_TOLD, or an item's JSON


def is_application(event: Event) -> bool:
    """Whether the application wrote it: no heartbeat of ours, and no deletion by TTL, which is DynamoDB's own."""
    return event.heartbeat is None and event.change is not None and not event.expired


# Of an event's key before it: there was none; or the stream carries no old images.
ABSENT, NOT_TOLD = b"", b"{}"
# Who deletes what has expired (API reference of DynamoDB Streams, "Record", userIdentity).
TTL_TYPE, TTL_PRINCIPAL = "Service", "dynamodb.amazonaws.com"


class _Identity(msgspec.Struct, gc=False):
    """Who made a change, where that is told: boto3 and KCL differ in case."""

    type: str | None = None
    type_upper: str | None = msgspec.field(name="Type", default=None)
    principal: str | None = msgspec.field(name="principalId", default=None)
    principal_upper: str | None = msgspec.field(name="PrincipalId", default=None)


def record_reader(
    keys: KeySchema, mark: str = "", wants_before: Callable[[Key], bool] | None = None
) -> Callable[[bytes, str, VersionClock], Event]:
    """A function (record JSON as KCL gives it, sequence number, clock) -> Event. It raises UnreadableItem.

    With a `mark`, heartbeats that do not bear it tell no round: they are of another move, or of another anchoring.
    `wants_before`: the keys whose old image is handed on; without it none is looked at.
    """
    old = (
        []
        if wants_before is None
        else [("old", msgspec.Raw, msgspec.field(name="OldImage", default=msgspec.Raw(NOT_TOLD)))]
    )
    detail = msgspec.defstruct(
        "Detail",
        [
            ("created_millis", int, msgspec.field(name="ApproximateCreationDateTime")),
            ("keys", key_struct(keys), msgspec.field(name="Keys")),
            ("image", msgspec.Raw, msgspec.field(name="NewImage", default=msgspec.Raw(b"{}"))),
            *old,
        ],
        gc=False,
    )
    record = msgspec.defstruct(
        "Record",
        [
            ("event", str, msgspec.field(name="eventName")),
            ("detail", detail, msgspec.field(name="dynamodb")),
            ("identity", _Identity | None, msgspec.field(name="userIdentity", default=None)),
        ],
        gc=False,
    )
    decode = msgspec.json.Decoder(record).decode
    to_key = key_of(keys)

    def read(json: bytes, sequence: str, clock: VersionClock) -> Event:
        try:
            found: Any = decode(json)
        except msgspec.MsgspecError as error:
            raise UnreadableItem(f"stream record {sequence} is not as expected: {error}") from error
        version = clock.next(found.detail.created_millis)
        key = to_key(found.detail.keys)
        created_at = found.detail.created_millis / 1000
        if is_heartbeat(key):
            return Event(sequence, version, None, _heartbeat(key, found, mark), created_at=created_at)
        change = Change(key, version, _item(found, sequence))
        before = _before(found) if wants_before is not None and wants_before(key) else None
        return Event(sequence, version, change, None, _expired(found), created_at, before)

    return read


def _item(found: Any, sequence: str) -> Item | None:
    """What the key holds after this record. By event name: absent images come as `{}`, not as absent."""
    if found.event == "REMOVE":
        return None
    image = bytes(found.detail.image)
    if image in (b"{}", b"null"):
        raise UnreadableItem(
            f"stream record {sequence} ({found.event}) has no new image: the stream's view type must be "
            "NEW_IMAGE or NEW_AND_OLD_IMAGES"
        )
    return Item(typed_empties(image))


def _before(found: Any) -> bytes:
    """What the key held before this record, as `Event.before` has it. An item is never empty: it has its key."""
    if found.event == "INSERT":
        return ABSENT
    image = bytes(found.detail.old)
    return NOT_TOLD if image in (NOT_TOLD, b"null") else typed_empties(image)


def _expired(found: Any) -> bool:
    """Deleted by the table's TTL: DynamoDB itself has removed it. A replica of a global table does not tell."""
    who = found.identity
    if who is None or found.event != "REMOVE":
        return False
    return TTL_TYPE in (who.type, who.type_upper) and TTL_PRINCIPAL in (who.principal, who.principal_upper)


def _heartbeat(key: Key, found: Any, mark: str) -> Heartbeat | None:
    if found.event == "REMOVE":
        return None
    item = msgspec.json.decode(found.detail.image, type=dict[str, dict[str, Any]])
    if mark and item.get(MARK) != {"S": mark}:
        return None
    return Heartbeat(to_text(key.partition), int(item[ROUND]["N"]))


def typed_empties(image: bytes) -> bytes:
    """The image with `{}` as a value spelled `{"M":{}}`.

    DynamoDB Local drops the type of an empty map in stream records (facts/kcl §6). The search is cheap
    and the tree is only built where the two characters occur.
    """
    if b"{}" not in image:
        return image
    tree = msgspec.json.decode(image)
    fixed = {name: _typed(value) for name, value in tree.items()}
    return image if fixed == tree else msgspec.json.encode(fixed)


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        return {"M": {}}
    ((kind, raw),) = value.items()
    if kind == "M":
        return {kind: {name: _typed(member) for name, member in raw.items()}}
    if kind == "L":
        return {kind: [_typed(member) for member in raw]}
    return value

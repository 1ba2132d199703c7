"""What a comparison means. Pure: rows in, a verdict out; who reads them, and when, is `settle.py` and `run.py`.

Two rules. **The export's** (facts: a row of the backfill is in the target at one constant version until an event of its
key comes): a row at that version must be the export's row, and a higher one has moved on. Whatever else is a *doubt*,
which is no difference yet. **The window's** settles doubts under live writes; its proof is in `settle.py`.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from daemon.verify.canonical import canonical_item, differing, spelled
from sinks.change import Item, Key
from sinks.sink import Stored

# A target that keeps no versions says so by this one: sinks/dynamodb/ordered.py.
NO_VERSION = 0
# An item about to expire may be gone on one side already: the clocks are not the same.
EXPIRY_MARGIN_SECONDS = 60
# Longer ago DynamoDB takes it for a mistake and keeps the item (developer guide, "Using time to live (TTL)").
FORGOTTEN_SECONDS = 5 * 365 * 86400
DIGEST_BYTES = 16
_WORD = 2**64

_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


class Kind(StrEnum):
    """How a key differs."""

    MISSING = "missing"  # in the source only
    EXTRA = "extra"  # in the target only
    STALE = "stale"  # the target holds a whole item that is known to be older
    CHANGED = "changed"  # in both, with other attributes


class Verdict(StrEnum):
    """What is known after one look."""

    SAME = "same"
    MOVED = "moved on"  # written since the backfill: this look says nothing about it
    DOUBT = "doubt"  # to be settled by the window rule
    AGAIN = "again"  # it was written meanwhile
    DIFFERS = "differs"


class Expiry(NamedTuple):
    """The table's TTL attribute, None without one, and now in epoch seconds."""

    attribute: str | None = None
    now: float = 0.0


class Doubt(NamedTuple):
    """A key to look at again. `version` is the backfill's, `digest` its row's, where there is one.

    `by`: how it was met: export, window (a sample at the source), target (a row that the backfill does not know).
    """

    key: Key
    version: int | None = None
    digest: bytes = b""
    by: str = "window"


class Named(NamedTuple):
    """A difference: its kind, and the attributes that are not equal where both sides hold the key."""

    kind: Kind
    attributes: list[str]


def judge_row(expected: Item | None, version: int, stored: Stored | None, expiry: Expiry) -> Verdict:
    """The export's rule, of one row that was loaded at `version`; no item: the export says that it was deleted.

    Raises NotAnItem, msgspec.MsgspecError for what is no item on either side.
    """
    if stored is None:
        return Verdict.SAME if _spelled(expected, expiry) is None else Verdict.DOUBT
    if stored.version > version:
        return Verdict.MOVED
    if expected is not None and stored.item.json == expected.json and stored.version in (version, NO_VERSION):
        return Verdict.SAME
    equal = _spelled(expected, expiry) == _spelled(stored.item, expiry)
    if stored.version == NO_VERSION:
        return Verdict.SAME if equal else Verdict.MOVED
    return Verdict.SAME if equal and stored.version == version else Verdict.DOUBT


def judge_now(read: Item | None, stored: Stored | None, expiry: Expiry) -> Verdict:
    """Both sides, read one after the other: SAME, or DOUBT where they differ for now. Raises as judge_row."""
    return Verdict.SAME if _equal(read, stored, expiry) else Verdict.DOUBT


def judge_window(first: Stored | None, source: Item | None, second: Stored | None, expiry: Expiry) -> Verdict:
    """The window's rule: target, then source, then a proof that all of before is applied, then the target again.

    SAME, AGAIN or DIFFERS; the last only with a watch where `needs_watch` says so. Raises as judge_row.
    """
    if _equal(source, second, expiry):
        return Verdict.SAME
    return Verdict.DIFFERS if _unmoved(first, second) else Verdict.AGAIN


def needs_watch(stored: Stored | None) -> bool:
    """True where no version tells that nothing was applied between two reads of the target."""
    return stored is None or stored.version == NO_VERSION


def _unmoved(first: Stored | None, second: Stored | None) -> bool:
    if first is None or second is None:
        return first is second
    if NO_VERSION in (first.version, second.version):
        return _spelled(first.item, Expiry()) == _spelled(second.item, Expiry())
    return first.version == second.version


def named(source: Item | None, stored: Stored | None, doubt: Doubt, expiry: Expiry) -> Named:
    """What kind of difference this is. Raises as judge_row.

    Stale is what is *known* to be older: a version below the backfill's, or the backfill's own row where the source
    holds another. (Without a digest, the row at the backfill's version was compared with the export's before.) A later
    update that was lost looks like `changed`: the version tells when the row was written.
    """
    ours, theirs = _spelled(source, expiry), _spelled(stored.item if stored else None, expiry)
    if ours is None:
        return Named(Kind.EXTRA, [])
    if theirs is None or stored is None:
        return Named(Kind.MISSING, [])
    return Named(Kind.STALE if _known_older(stored, doubt) else Kind.CHANGED, differing(ours, theirs))


def _known_older(stored: Stored, doubt: Doubt) -> bool:
    if stored.version == NO_VERSION or doubt.version is None:
        return False
    as_loaded = digest(stored.item) == doubt.digest if doubt.digest else stored.version == doubt.version
    return stored.version < doubt.version or as_loaded


def doubt_of(key: Key, expected: Item | None, version: int) -> Doubt:
    """A row of the backfill that is in doubt. Raises as judge_row."""
    return Doubt(key, version, b"" if expected is None else digest(expected), "export")


def digest(item: Item) -> bytes:
    """Equal exactly when the items are. Raises as judge_row."""
    return blake2b(canonical_item(_decode(item.json)), digest_size=DIGEST_BYTES).digest()


def _equal(source: Item | None, stored: Stored | None, expiry: Expiry) -> bool:
    if source is not None and stored is not None and source.json == stored.item.json:
        return True
    return _spelled(source, expiry) == _spelled(stored.item if stored else None, expiry)


def _spelled(item: Item | None, expiry: Expiry) -> Mapping[str, bytes] | None:
    """None as well for an item that has expired: the source deletes those when it likes, within days."""
    if item is None:
        return None
    attributes = _decode(item.json)
    return None if expired(attributes, expiry) else spelled(attributes)


def expired(attributes: Mapping[str, Mapping[str, Any]], expiry: Expiry) -> bool:
    """True when the item's time has come, or comes within EXPIRY_MARGIN_SECONDS."""
    if expiry.attribute is None:
        return False
    try:
        at = Decimal(attributes[expiry.attribute]["N"])
    except (KeyError, InvalidOperation):
        return False
    return expiry.now - FORGOTTEN_SECONDS < at <= expiry.now + EXPIRY_MARGIN_SECONDS


def hash_of(key: Key) -> int:
    """64 bits, the same in every process. Numbers are canonical in a Key (sinks/change.py)."""
    parts = repr((type(key.partition).__name__, str(key.partition), type(key.sort).__name__, str(key.sort)))
    return int.from_bytes(blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def chosen(hashed: int, run: int, share: float) -> bool:
    """True for this share of all keys, others in each run; what a smaller share chooses, a larger one does too."""
    mixed = (hashed ^ (run * 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9 % _WORD
    mixed = (mixed ^ (mixed >> 31)) * 0x94D049BB133111EB % _WORD
    return mixed < share * _WORD


def upper_bound(compared: int, differences: int) -> float | None:
    """With no difference in n comparisons: the share that differs is at most 3/n, at 95 % (the rule of three).

    None where there is a difference, or nothing was compared.
    """
    return min(1.0, 3 / compared) if compared and not differences else None

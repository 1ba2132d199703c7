"""The independent reader: every item of the source against every row of the target, both ways.

It shares no code with the engine or the sinks, so that their mistakes cannot hide here. It keeps a digest
of each item, not the item, and reads the few that differ again to say how they differ.
"""

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from daemon.verify.canonical import NotAnItem, canonical_item, canonical_value

HEARTBEAT_PREFIX = "moveout#heartbeat#"  # written by the service into the source, never moved
SAMPLES_MAX = 20
DIGEST_BYTES = 16

Item = Mapping[str, Any]


class Difference(StrEnum):
    """How a key differs."""

    MISSING = "missing"  # in the source only
    EXTRA = "extra"  # in the target only
    CHANGED = "changed"  # in both, with other attributes: stale or damaged


class Side(Protocol):
    """One side of the comparison. Items are whole, keys included, in DynamoDB's typed JSON."""

    def items(self) -> Iterator[Item]:
        """Every item, once."""

    def get(self, key: Item) -> Item | None:
        """One item by its key, or None."""


class Sample(NamedTuple):
    """One key that differs, and in which way."""

    key: Item
    detail: str


class Comparison(NamedTuple):
    """What was found. `counts` is complete, `samples` holds the first few of each kind."""

    source_items: int
    target_items: int
    counts: Mapping[Difference, int]
    samples: Mapping[Difference, list[Sample]]

    @property
    def differences(self) -> int:
        """How many keys differ."""
        return sum(self.counts.values())


# Hashable: per key attribute its name, its type, its value. Numbers as Decimal: 1 and 1.0 are one key.
_Key = tuple[tuple[str, str, str | Decimal], ...]


def compare(source: Side, target: Side, key_names: tuple[str, ...]) -> Comparison:
    """Read both sides completely. Nothing may write to them meanwhile. Raises NotAnItem."""
    digests = dict(_digests(source, key_names))
    source_items = len(digests)
    differing: dict[Difference, list[_Key]] = {kind: [] for kind in Difference}
    target_items = 0
    for key, digest in _digests(target, key_names):
        target_items += 1
        # Popped, so that what stays is missing, and a key that the target spells twice is found as extra.
        expected = digests.pop(key, None)
        if expected is None:
            differing[Difference.EXTRA].append(key)
        elif digest != expected:
            differing[Difference.CHANGED].append(key)
    differing[Difference.MISSING] = list(digests)
    return Comparison(
        source_items,
        target_items,
        {kind: len(keys) for kind, keys in differing.items()},
        {kind: _samples(keys, source, target) for kind, keys in differing.items()},
    )


def _digests(side: Side, key_names: tuple[str, ...]) -> Iterator[tuple[_Key, bytes]]:
    for item in side.items():
        key = _key(item, key_names)
        if not str(key[0][2]).startswith(HEARTBEAT_PREFIX):
            yield key, hashlib.blake2b(canonical_item(item), digest_size=DIGEST_BYTES).digest()


def _key(item: Item, key_names: tuple[str, ...]) -> _Key:
    try:
        return tuple(_key_part(name, item[name]) for name in key_names)
    except KeyError as error:
        raise NotAnItem(f"expected the key {key_names}, found an item with {sorted(item)}") from error


def _key_part(name: str, value: Mapping[str, Any]) -> tuple[str, str, str | Decimal]:
    canonical_value(value)  # refuses what is no value
    ((kind, raw),) = value.items()
    return name, kind, Decimal(raw) if kind == "N" else raw


def _typed(key: _Key) -> dict[str, Any]:
    return {name: {kind: format(raw, "f") if isinstance(raw, Decimal) else raw} for name, kind, raw in key}


def _samples(keys: list[_Key], source: Side, target: Side) -> list[Sample]:
    chosen = map(_typed, keys[:SAMPLES_MAX])
    return [Sample(key, _detail(source.get(key), target.get(key))) for key in chosen]


def _detail(in_source: Item | None, in_target: Item | None) -> str:
    """Which attributes differ, and how."""
    if in_source is None or in_target is None:
        return f"in the source: {_brief(in_source)}; in the target: {_brief(in_target)}"
    names = sorted({*in_source, *in_target})
    different = [name for name in names if not _equal(in_source.get(name), in_target.get(name))]
    parts = [f"{name!r}: {_brief(in_source.get(name))} became {_brief(in_target.get(name))}" for name in different]
    return "; ".join(parts) or "equal now: something still writes"


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return canonical_value(one) == canonical_value(other)


def _brief(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.120}"

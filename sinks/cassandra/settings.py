"""Settings of a table under which a deleted row could come back, or a live one vanish, while a move runs.

A row is kept right by its timestamps, and a deletion by its tombstone: an older backfill row that arrives when the
tombstone is gone is the row again (daemon/README.md, "One rule of order"; observed on Cassandra 5.0).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sinks.provision import SchemaStep

GRACE_SECONDS_DEFAULT = 864_000  # gc_grace_seconds of a table that says nothing (CQL: table options)
DAY_SECONDS = 86_400
WINDOW_SECONDS = {"MINUTES": 60, "HOURS": 3600, "DAYS": DAY_SECONDS}


def literal(value: Any) -> str:
    """A table option as CQL writes it: a number, a text, or a map of texts."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(name))}: {_text(str(one))}" for name, one in value.items()) + "}"
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def alter(table: str, setting: str, value: str) -> str:
    """The ALTER that sets one option; `value` is a literal."""
    return f"ALTER TABLE {table} WITH {setting} = {value}"


def unsafe(found: Mapping[str, Any], table: str, keep_seconds: int, *, by_grace: bool = True) -> Iterator[SchemaStep]:
    """The settings that endanger a move which needs deletions for `keep_seconds`, each with the ALTER that mends it.

    `found` are the options of the table as the driver tells them, `table` its quoted name. `by_grace`: tombstones are
    kept for gc_grace_seconds (Cassandra); else another setting decides (scylla.py). A table that purges only repaired
    tombstones (`only_purge_repaired_tombstones`) needs its grace as well: a repair may come before a backfill row.
    """
    grace_seconds = int(found.get("gc_grace_seconds", GRACE_SECONDS_DEFAULT))
    if by_grace and grace_seconds < keep_seconds:
        why = (
            f"gc_grace_seconds is {grace_seconds}: tombstones could be purged before an older backfill row arrives, "
            "and the row would be back"
        )
        yield _set(table, "gc_grace_seconds", keep_seconds, grace_seconds, why)
    live_seconds = int(found.get("default_time_to_live", 0))
    if live_seconds:
        why = f"default_time_to_live is {live_seconds}: moved rows would vanish"
        yield _set(table, "default_time_to_live", 0, live_seconds, why)
    yield from _unsafe_windows(found.get("compaction") or {}, table, keep_seconds)


def _set(table: str, setting: str, value: Any, before: Any, why: str) -> SchemaStep:
    return SchemaStep(alter(table, setting, literal(value)), why, before={setting: literal(before)})


def _unsafe_windows(compaction: Mapping[str, str], table: str, keep_seconds: int) -> Iterator[SchemaStep]:
    """Time windows are by write timestamp, and ours are those of the source: what belongs together is kept apart.

    A window must be longer than the move (facts of the move's protocol: "Tombstone GC, the trap"). Dropping expired
    files without looking at what overlaps them drops tombstones too (Cassandra's documentation of TWCS).
    """
    if not str(compaction.get("class", "")).endswith("TimeWindowCompactionStrategy"):
        return
    faults: list[str] = []
    changed: dict[str, str] = {}
    unit = str(compaction.get("compaction_window_unit", "DAYS")).upper()
    size = int(compaction.get("compaction_window_size", 1))
    if size * WINDOW_SECONDS.get(unit, DAY_SECONDS) < keep_seconds:
        faults.append(
            f"its compaction window of {size} {unit.lower()} is shorter than the move: a row and the tombstone that "
            "covers it would come into windows that are never compacted together"
        )
        days = math.ceil(keep_seconds / DAY_SECONDS)
        changed |= {"compaction_window_unit": "DAYS", "compaction_window_size": str(days)}
    if str(compaction.get("unsafe_aggressive_sstable_expiration", "false")).lower() == "true":
        faults.append("unsafe_aggressive_sstable_expiration drops tombstones with what it takes for expired")
        changed |= {"unsafe_aggressive_sstable_expiration": "false"}
    if faults:
        yield _set(table, "compaction", {**compaction, **changed}, compaction, "; ".join(faults))

"""What is particular to ScyllaDB: when it may purge tombstones. **Not run here**: from its documentation and sources.

`tombstone_gc` (ScyllaDB, CQL reference, "Tombstones GC options"): `timeout` keeps tombstones for gc_grace_seconds,
`repair` (of new tables on tablets) until a repair, `immediate` not at all, and a table with one replica acts as
`immediate` whatever `repair` would say. "disabled ... may be useful when loading data to the database, to avoid
tombstone GC when part of the data is not yet available": that is a move. ScyllaDB Manager sets it for a restore too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sinks.cassandra.settings import alter, literal
from sinks.provision import SchemaStep

SETTING = "tombstone_gc"
DISABLED = {"mode": "disabled"}
# Of new tables on tablets, by the CQL reference; asked for where nobody knows what was there.
AFTERWARDS = {"mode": "repair"}
# A table that says nothing keeps to gc_grace_seconds: so ScyllaDB Manager reads it.
UNSAID = {"mode": "timeout"}
_MODES = ("disabled", "timeout", "repair", "immediate")
# The extension is ScyllaDB's own serialisation of a map of texts: four bytes of length before each.
_DELAY = re.compile(rb"propagation_delay_in_seconds.{4}(\d+)", re.DOTALL)


def is_scylla(metadata: Any) -> bool:
    """True when the driver's metadata are of a ScyllaDB cluster: it has a system table of its own."""
    system = metadata.keyspaces.get("system_schema")
    return system is not None and "scylla_tables" in system.tables


def tombstone_gc(extensions: Mapping[str, Any]) -> Mapping[str, str]:
    """The table's setting, from system_schema.tables.extensions, as ScyllaDB Manager reads it."""
    told = extensions.get(SETTING)
    if told is None:
        return UNSAID
    blob = told.encode() if isinstance(told, str) else bytes(told)
    mode = next((mode for mode in _MODES if mode.encode() in blob), UNSAID["mode"])
    delay = _DELAY.search(blob)
    return {"mode": mode} | ({"propagation_delay_in_seconds": delay[1].decode()} if delay else {})


def unsafe(extensions: Mapping[str, Any], table: str) -> Iterator[SchemaStep]:
    """The ALTER that makes the table keep every tombstone during the move; nothing when it does."""
    found = tombstone_gc(extensions)
    if found["mode"] != DISABLED["mode"]:
        why = (
            f"{SETTING} is {literal(found)}: ScyllaDB could purge a tombstone before an older backfill row arrives, "
            "and the row would be back"
        )
        yield SchemaStep(alter(table, SETTING, literal(DISABLED)), why, before={SETTING: literal(found)})


def for_the_move(table: str) -> SchemaStep:
    """The same for a table that nobody has looked at."""
    why = "on ScyllaDB only: tombstones must stay until the backfill is done and nothing can be replayed"
    return SchemaStep(alter(table, SETTING, literal(DISABLED)), why, by_hand=True)


def created(statement: str) -> str:
    """This CREATE TABLE, keeping its tombstones."""
    joint = "AND" if ") WITH " in statement else "WITH"
    return f"{statement} {joint} {SETTING} = {literal(DISABLED)}"

"""How a keyspace that exists is replicated, against how the configuration describes it. Told, and altered by nobody.

More or fewer replicas need a repair or a clean-up of the nodes afterwards (Cassandra, "Adding, replacing, moving and
removing nodes"; CQL, ALTER KEYSPACE): that is an operator's work, at a time of their choice.
"""

import ast
from collections.abc import Mapping
from typing import Any

from sinks.cassandra.settings import literal
from sinks.provision import SchemaStep

CLASS, FACTOR, BY_DATACENTER = "class", "replication_factor", "NetworkTopologyStrategy"


def difference(keyspace: Any, name: str, described: Mapping[str, str | int]) -> SchemaStep | None:
    """The step that a person may take where they differ. `keyspace` is the driver's metadata, `name` is quoted."""
    strategy = keyspace.replication_strategy
    if strategy is None:  # one that the driver does not know
        return None
    found = ast.literal_eval(strategy.export_for_schema())
    if same(found, described):
        return None
    why = (
        f"keyspace {name} is replicated as {literal(_plain(found))}, target.create_keyspace describes "
        f"{literal(_plain(described))}. Alter it yourself, and let the nodes repair (nodetool repair) after it; or "
        "describe what is there"
    )
    return SchemaStep(f"ALTER KEYSPACE {name} WITH replication = {literal(_plain(described))}", why, by_hand=True)


def same(found: Mapping[str, Any], described: Mapping[str, Any]) -> bool:
    """Whether they mean the same.

    A factor for all data centres is kept by the nodes as one for each (CQL, CREATE KEYSPACE); a class goes by its last
    name.
    """
    there, wanted = _plain(found), _plain(described)
    if wanted[CLASS] != BY_DATACENTER or FACTOR not in wanted or FACTOR in there:
        return there == wanted
    factor = wanted.pop(FACTOR)
    return there == {**dict.fromkeys(there, factor), **wanted}


def _plain(replication: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).rpartition(".")[2] if name == CLASS else str(value) for name, value in replication.items()}

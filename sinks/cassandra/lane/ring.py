"""Which nodes hold a partition, from the driver's view of the cluster: local data centre only.

A table of ScyllaDB that is kept in tablets has another map than the ring: its rows then reach their replicas by way of
another node, which is slower and just as right.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

try:
    from cassandra.cmurmur3 import murmur3
except ImportError:  # a wheel without compiled extensions
    from cassandra.murmur3 import murmur3

MURMUR = "Murmur3Partitioner"
_HALF, _ALL = 1 << 63, (1 << 64) - 1


class Node(NamedTuple):
    """Where a node listens."""

    address: str
    port: int


def token(partition: bytes) -> int:
    """Of a partition key of one column: the murmur3 of its cell."""
    return int(murmur3(partition))


class Ring:
    """Nodes, and who holds which tokens. `owners` are in the order of `tokens`, which rise."""

    def __init__(
        self, nodes: Sequence[Node], tokens: Sequence[int] = (), owners: Sequence[tuple[Node, ...]] = ()
    ) -> None:
        self.nodes, self._tokens, self._owners = tuple(nodes), tokens, owners

    def replicas(self, partition: bytes) -> tuple[Node, ...]:
        """Who holds it, in the data centre; nobody where that is not known. A node has (token before, own token]."""
        if not self._tokens:
            return ()
        place = bisect_left(self._tokens, token(partition))
        return self._owners[place if place < len(self._tokens) else 0]


def ring_of(metadata: Any, keyspace: str, datacenter: str) -> Ring:
    """The Ring in cassandra.metadata.Metadata."""
    nodes = {host: _node(host) for host in metadata.all_hosts() if host.datacenter == datacenter}
    ordered = [nodes[host] for host in sorted(nodes)]
    known, found = metadata.keyspaces.get(keyspace), metadata.token_map
    # With one node there is nothing to choose: its rows need no hash.
    if len(nodes) < 2 or known is None or found is None or not str(metadata.partitioner).endswith(MURMUR):  # noqa: PLR2004
        return Ring(ordered)
    holders = found.replica_map_for_keyspace(known)
    places = sorted((place.value, holders.get(place, ())) for place in found.ring)
    owners = [tuple([nodes[host] for host in hosts if host in nodes]) for _, hosts in places]
    return Ring(ordered, [value for value, _ in places], owners)


def _node(host: Any) -> Node:
    address, port = host.endpoint.resolve()
    return Node(address, port)


def watched(metadata: Any, keyspace: str, datacenter: str) -> Callable[[], Ring]:
    """A function that answers with the Ring of today: made anew when nodes or their tokens have changed."""
    seen: tuple[Any, ...] = ()
    ring = Ring(())

    def today() -> Ring:
        nonlocal seen, ring
        # The driver makes another map when tokens move, and another keyspace when its replication is altered.
        now = (metadata.token_map, metadata.keyspaces.get(keyspace), frozenset(metadata.all_hosts()))
        if not seen or now[0] is not seen[0] or now[1] is not seen[1] or now[2] != seen[2]:
            seen, ring = now, ring_of(metadata, keyspace, datacenter)
        return ring

    return today


class Sharding(NamedTuple):
    """How a ScyllaDB node deals tokens to its cores (its protocol-extensions.md). Not run here: no ScyllaDB."""

    cores: int
    ignored_bits: int
    port: int | None
    own: int

    def of(self, partition: bytes) -> int:
        """The core that a partition belongs to: `biased-token-round-robin`."""
        biased = ((token(partition) + _HALF) << self.ignored_bits) & _ALL
        return (biased * self.cores) >> 64


def sharding(told: Any, *, encrypted: bool) -> Sharding | None:
    """What SUPPORTED says of it; None for a node that is not of ScyllaDB."""
    count = int(_first(told, "SCYLLA_NR_SHARDS") or 0)
    if count < 2 or _first(told, "SCYLLA_SHARDING_ALGORITHM") != "biased-token-round-robin":  # noqa: PLR2004
        return None
    port = _first(told, "SCYLLA_SHARD_AWARE_PORT_SSL" if encrypted else "SCYLLA_SHARD_AWARE_PORT")
    ignored = int(_first(told, "SCYLLA_SHARDING_IGNORE_MSB") or 0)
    return Sharding(count, ignored, int(port) if port else None, int(_first(told, "SCYLLA_SHARD") or 0))


def _first(told: Any, name: str) -> str | None:
    values = told.get(name)
    return values[0] if values else None

"""Several Cassandra nodes on loopback addresses of their own: 127.0.0.1, 127.0.0.2, … (all are Linux's own)."""

from pathlib import Path
from typing import Self

from daemon.demo.servers.cassandra_node import CassandraNode
from daemon.demo.servers.process import free_port

TOKENS = 2**64  # of Murmur3Partitioner, from -2**63 on


class CassandraCluster:
    """One data centre, `datacenter1`, whose nodes own even parts of the ring and share their port numbers."""

    def __init__(self, folder: Path, count: int = 3, heap_mib: int = 384) -> None:
        # The driver asks every node at one port.
        self.port, storage_port = free_port(), free_port()
        seeds = {
            "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
            "parameters": [{"seeds": "127.0.0.1"}],
        }
        shared = {"native_transport_port": self.port, "storage_port": storage_port, "seed_provider": [seeds]}
        self.nodes = [
            CassandraNode(
                folder / f"node{number + 1}",
                heap_mib,
                host=f"127.0.0.{number + 1}",
                settings={**shared, "initial_token": str(number * (TOKENS // count) - TOKENS // 2)},
            )
            for number in range(count)
        ]

    @property
    def hosts(self) -> list[str]:
        """The address of each node."""
        return [node.host for node in self.nodes]

    def start(self) -> Self:
        """Start them one after another: two cannot join at once. Raises ServerFailed."""
        for node in self.nodes:
            node.start()
        return self

    def stop(self) -> None:
        """End them all."""
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        """Started; those that did start do not stay behind when another did not."""
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        """Ended."""
        self.stop()

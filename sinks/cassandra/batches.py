"""Which mutations travel together: those of one partition, in one UNLOGGED BATCH.

Such a batch is one mutation on the replicas, and a node's limits for batches (5 KiB warns, 50 KiB fails) are not for
batches of one partition (seen on Cassandra 5.0.9: 2 x 200 KiB is taken). Bounds of our own keep a failure cheap.
"""

from collections.abc import Iterator, Sequence

from sinks.cassandra.cells import UNSET
from sinks.cassandra.layout import Mutation

ROWS_MAX = 30
BYTES_MAX = 48 * 1024


def size_bytes(mutation: Mutation) -> int:
    """Of its cells. What each needs beside itself is a few bytes: these bounds are not that exact."""
    size = 0
    for step in mutation.steps:
        for cell in step[1]:
            if cell and cell is not UNSET:
                size += len(cell)
    return size


def together(mutations: Sequence[Mutation]) -> Iterator[tuple[list[int], int]]:
    """Places in `mutations` that make one request, and its size in bytes; every place once.

    At most ROWS_MAX and BYTES_MAX a request; a mutation larger than that goes alone.
    """
    open_ones: dict[bytes, tuple[list[int], int]] = {}
    for place, mutation in enumerate(mutations):
        size, partition = size_bytes(mutation), mutation.partition
        known = open_ones.get(partition)
        if known is None:
            open_ones[partition] = ([place], size)
        elif len(known[0]) < ROWS_MAX and known[1] + size <= BYTES_MAX:
            known[0].append(place)
            open_ones[partition] = (known[0], known[1] + size)
        else:
            yield known
            open_ones[partition] = ([place], size)
    yield from open_ones.values()

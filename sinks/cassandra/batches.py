"""Which mutations travel together: those of one partition, in one UNLOGGED BATCH.

Such a batch is one mutation on the replicas, and a node's limits for batches (5 KiB warns, 50 KiB fails) are not for
batches of one partition (seen on Cassandra 5.0.9: 2 x 200 KiB is taken). Bounds of our own keep a failure cheap.
"""

from collections.abc import Iterator, Sequence

from sinks.cassandra.layout import Mutation

ROWS_MAX = 30
BYTES_MAX = 48 * 1024


def size_bytes(mutation: Mutation) -> int:
    """Of its values, as they travel."""
    steps = mutation.steps
    return len(steps[0].values) if len(steps) == 1 else sum([len(step.values) for step in steps])


def apart(mutations: Sequence[Mutation]) -> bool:
    """True when no two are of one partition: each is a request of its own. That is most of a backfill."""
    return len({mutation.partition for mutation in mutations}) == len(mutations)


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

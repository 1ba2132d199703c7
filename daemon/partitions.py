"""Which partitions are the largest: bounded memory over any number of items, and only claims that are true. Pure.

Misra and Gries' frequent items, weighted by bytes, in the form whose summaries can be merged (Agarwal and others,
"Mergeable Summaries", PODS 2012). Beside each counter stands what was truly seen of its partition, and since when.
"""

from collections.abc import Iterable, Sequence

import msgspec

from daemon.apply import Deliver
from sinks.change import Change, KeyValue
from sinks.sink import Rejection

# Every partition with more than 1/10,001 of the bytes is counted: 100 MB of a terabyte. Some 10 MB of memory; with
# keys of 2 KB, DynamoDB's longest, 50 MB.
COUNTED = 10_000


class Partition(msgspec.Struct, frozen=True):
    """One partition: at least so many items and bytes of DynamoDB's JSON; at most `missed_bytes` more."""

    partition: KeyValue
    items: int
    size_bytes: int
    missed_bytes: int

    @property
    def exact(self) -> bool:
        """True when nothing of it was missed."""
        return not self.missed_bytes


class Counter(msgspec.Struct, gc=False):
    """What is counted of one partition."""

    weight: int = 0  # bytes, less what was cut from every counter since
    items: int = 0
    size_bytes: int = 0
    missed_bytes: int = 0  # at most, of before it was counted


class Summary:
    """The bytes and items of the largest partitions among all that was added.

    Held at any time, and after any merges: a partition that is not counted has `cut` bytes at most, and
    cut <= size_bytes / (counted + 1).
    """

    def __init__(self, counted: int = COUNTED) -> None:
        """At most twice `counted` counters, and one batch more, are in memory."""
        self.counted = counted
        self.cut = 0
        self.items = 0
        self.size_bytes = 0
        self.counters: dict[KeyValue, Counter] = {}

    def add(self, changes: Iterable[Change]) -> None:
        """Puts, whose items are counted; a deletion has no size, and is passed over."""
        counters = self.counters
        for change in changes:
            if change.item is None:
                continue
            size = len(change.item.json)
            counter = counters.get(change.key.partition)
            if counter is None:
                counter = counters[change.key.partition] = Counter(missed_bytes=self.cut)
            counter.weight += size
            counter.size_bytes += size
            counter.items += 1
            self.items += 1
            self.size_bytes += size
        self._bound()

    def merge(self, other: "Summary") -> None:
        """With what another has seen of other items, of other workers for instance."""
        for partition, counter in self.counters.items():
            if partition not in other.counters:
                counter.missed_bytes += other.cut
        for partition, seen in other.counters.items():
            counter = self.counters.setdefault(partition, Counter(missed_bytes=self.cut))
            counter.weight += seen.weight
            counter.items += seen.items
            counter.size_bytes += seen.size_bytes
            counter.missed_bytes += seen.missed_bytes
        self.cut += other.cut
        self.items += other.items
        self.size_bytes += other.size_bytes
        self._bound()

    def _bound(self) -> None:
        """Cut the counter behind the largest ones from all: at least counted + 1 of them lose as much as it had."""
        if len(self.counters) <= 2 * self.counted:
            return
        cut = sorted((counter.weight for counter in self.counters.values()), reverse=True)[self.counted]
        kept = {}
        for partition, counter in self.counters.items():
            if counter.weight > cut:
                counter.weight -= cut
                kept[partition] = counter
        self.counters = kept
        self.cut += cut

    def largest(self, number: int) -> list[Partition]:
        """Those with the most bytes, by what was seen of them; fewer where there are not so many."""
        found = sorted(self.counters.items(), key=lambda one: (-one[1].size_bytes, -one[1].items, str(one[0])))
        return [Partition(key, one.items, one.size_bytes, one.missed_bytes) for key, one in found[:number]]

    def unlisted_bytes_max(self, listed: Sequence[Partition]) -> int:
        """What a partition that is not among these largest ones can have at most."""
        if len(listed) == len(self.counters):
            return self.cut
        return listed[-1].size_bytes + self.cut if listed else self.size_bytes


def counting(into: Deliver, summary: Summary) -> Deliver:
    """`into`, and then the summary: a batch that `into` could not take comes again, and counts once."""

    def delivered(changes: Sequence[Change]) -> Sequence[Rejection]:
        rejections = into(changes)
        summary.add(changes)
        return rejections

    return delivered


def spread(names: Sequence[str], sample: int) -> list[str]:
    """So many of the names, evenly over all of them: neighbours in a manifest may be of one hash range."""
    wanted = min(sample, len(names))
    return [names[(2 * number + 1) * len(names) // (2 * wanted)] for number in range(wanted)]

"""A sink that is a dict: for dry runs and tests. The contract at its shortest."""

from collections.abc import Iterator, Mapping, Sequence

from sinks.change import Change, Key
from sinks.sink import Rejection, Stored


class MemorySink:
    """Keeps the newest change of each key, deletions included, in `changes`."""

    def __init__(self) -> None:
        self.changes: dict[Key, Change] = {}

    def open(self) -> None:
        """Nothing to connect to."""

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Keep what is newer than what is here. Rejects nothing."""
        for change in changes:
            known = self.changes.get(change.key)
            if known is None or known.version < change.version:
                self.changes[change.key] = change
        return ()

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What is here for these keys, deleted ones left out."""
        found = (self.changes.get(key) for key in keys)
        return {c.key: Stored(c.version, c.item) for c in found if c is not None and c.item is not None}

    def versions(self) -> Iterator[Sequence[tuple[Key, int]]]:
        """All in one page."""
        yield [(key, change.version) for key, change in self.changes.items() if change.item is not None]

    def close(self) -> None:
        """Nothing to release; what was applied stays readable."""

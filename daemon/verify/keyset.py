"""The keys of an export, as 64-bit hashes in one array: which rows of the target the export does not know."""

from array import array

SLOTS_MIN = 1024


class KeySet:
    """A set of hashes in `slots` words of 8 bytes. It grows by doubling; 0 is stored as 1.

    Two keys of one hash: among n keys, a row that is extra passes for a known one in n of 2^64 cases.
    """

    def __init__(self, expected: int = 0) -> None:
        """Room for so many without growing."""
        self._slots = SLOTS_MIN
        while self._slots < expected * 2:
            self._slots *= 2
        self._table = array("Q", bytes(8 * self._slots))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, hashed: int) -> bool:
        return self._table[self._place(hashed or 1)] != 0

    def add(self, hashed: int) -> None:
        """Remember it; again changes nothing."""
        place = self._place(hashed or 1)
        if self._table[place]:
            return
        self._table[place] = hashed or 1
        self._count += 1
        if self._count * 3 > self._slots * 2:
            self._grow()

    def _place(self, hashed: int) -> int:
        """Where it is, or would be."""
        table, last = self._table, self._slots - 1
        place = hashed & last
        while table[place] not in (0, hashed):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        before = self._table
        self._slots *= 2
        self._table = array("Q", bytes(8 * self._slots))
        for hashed in before:
            if hashed:
                self._table[self._place(hashed)] = hashed

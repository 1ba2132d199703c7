"""A CQL table in memory: cells merged by write timestamp with a real node's tie rules, and an adversary that purges.

The rules were compared with a real node (integration/test_stores_conform.py). A node forgets a tombstone once its
grace is over: `purge` does so, and only then. cql_driver.py lets the sink at it.
"""

from typing import NamedTuple

from simulation.faults import Unsupported

NEVER = -(1 << 63)
INSERT, UPDATE, DELETE = "insert", "update", "delete"


class Write(NamedTuple):
    """One mutation. INSERT also marks the row as there; None among its cells is a dead cell; DELETE takes the row."""

    kind: str
    key: tuple
    timestamp: int
    cells: dict


class Cell(NamedTuple):
    """A value of a column, or its death, and when the node heard of that death."""

    timestamp: int
    dead: bool
    value: object
    dead_since: float


class Row:
    """A row as all its mutations together leave it."""

    __slots__ = ("cells", "deleted", "deleted_since", "marker")

    def __init__(self):
        self.deleted, self.deleted_since = NEVER, 0.0
        self.marker = NEVER
        self.cells = {}

    @property
    def visible(self):
        return self.marker != NEVER or any(not cell.dead for cell in self.cells.values())

    @property
    def blank(self):
        return self.deleted == NEVER and self.marker == NEVER and not self.cells


class CqlStore:
    """One table. `now` gives the node's clock in seconds, which nothing but the age of tombstones depends on.

    tombstone_gc: "timeout" keeps them for gc_grace_seconds (Cassandra), "immediate" does not (ScyllaDB with one
    replica; gc_grace_seconds says nothing about it there), "disabled" keeps them for ever.
    """

    def __init__(self, *, gc_grace_seconds=864_000, tombstone_gc="timeout", now=lambda: 0.0):
        self.gc_grace_seconds = gc_grace_seconds
        self.tombstone_gc = tombstone_gc
        self.now = now
        self.schema = None
        self.skews = (0.0,)  # of the nodes' clocks against `now`, in seconds
        self.rows = {}
        self.late = []

    def insert(self, key, cells, timestamp):
        self.apply(Write(INSERT, key, timestamp, cells))

    def update(self, key, cells, timestamp):
        self.apply(Write(UPDATE, key, timestamp, cells))

    def delete(self, key, timestamp):
        self.apply(Write(DELETE, key, timestamp, {}))

    def read(self, key):
        """The cells that a SELECT shows, or None when there is no row. What was never written is not among them."""
        row = self.rows.get(key)
        if row is None or not row.visible:
            return None
        return {name: cell.value for name, cell in row.cells.items() if not cell.dead}

    def visible(self):
        """Every row that a SELECT shows, by its key."""
        shown = ((key, self.read(key)) for key in self.rows)
        return {key: cells for key, cells in shown if cells is not None}

    def apply_together(self, writes):
        """The writes of one batch within one partition: nobody sees one without the others."""
        for write in writes:
            self.apply(write)

    def apply(self, write):
        """Merge one mutation, whenever it arrives."""
        row = self.rows.get(write.key)
        if row is None:
            row = self.rows[write.key] = Row()
        if write.kind == DELETE:
            self._bury(row, write.timestamp)
        elif write.timestamp > row.deleted:  # a tombstone covers what is as old as itself
            self._cells(row, write)
        elif row.blank:
            del self.rows[write.key]

    def _bury(self, row, timestamp):
        row.deleted, row.deleted_since = max((row.deleted, row.deleted_since), (timestamp, self.now()))
        if row.marker <= row.deleted:
            row.marker = NEVER
        row.cells = {name: cell for name, cell in row.cells.items() if cell.timestamp > row.deleted}

    def _cells(self, row, write):
        timestamp = write.timestamp
        if write.kind == INSERT and timestamp > row.marker:
            row.marker = timestamp
        for name, value in write.cells.items():
            cell = Cell(timestamp, value is None, value, self.now() if value is None else 0.0)
            known = row.cells.get(name)
            if known is None or self.wins(cell, known):
                row.cells[name] = cell

    @staticmethod
    def wins(cell, known):
        """Larger timestamp; of two as old, the dead one; of two alive, the larger bytes."""
        if cell.timestamp != known.timestamp:
            return cell.timestamp > known.timestamp
        if cell.dead or known.dead:
            return (cell.dead, cell.dead_since) > (known.dead, known.dead_since)
        return _bytes(cell.value) > _bytes(known.value)

    def purge(self, chance, rate=1.0):
        """Forget tombstones whose grace is over, each with this probability; how many.

        What they covered is gone already: a node that purges a tombstone drops with it what it covers. Only what
        arrives from now on is no longer held back.
        """
        dropped = 0
        for key in list(self.rows):
            row = self.rows[key]
            if row.deleted != NEVER and self._forgotten(row.deleted_since) and chance.random() < rate:
                row.deleted = NEVER
                dropped += 1
            for name, cell in list(row.cells.items()):
                if cell.dead and self._forgotten(cell.dead_since) and chance.random() < rate:
                    del row.cells[name]
                    dropped += 1
            if row.blank:
                del self.rows[key]
        return dropped

    def _forgotten(self, since):
        match self.tombstone_gc:
            case "immediate":
                return True
            case "timeout":
                return since + self.gc_grace_seconds <= self.now()
            case "disabled":
                return False
        raise Unsupported(f"tombstone_gc {self.tombstone_gc!r}")

    def land(self, n=0):
        """The n-th of the late mutations arrives now."""
        self.apply_together(self.late.pop(n))


def _bytes(value):
    """A value as it lies on the node's disk, for the comparison of two."""
    match value:
        case str():
            return value.encode()
        case int():
            return value.to_bytes(8, signed=True)
        case bytes():
            return value
    raise Unsupported(f"a tie between cells of {type(value).__name__}")

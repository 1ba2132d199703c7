"""As much of the CQL driver as the sink uses, and its transport, over a CqlStore: one table, and faults.

The statements are read as text, as a node reads them: a sink that says something else is told so, loudly.
"""

import re
from decimal import Decimal
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

from cassandra import ConsistencyLevel, InvalidRequest, OperationTimedOut, Unavailable, WriteTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.cqltypes import BooleanType, BytesType, DecimalType, IntegerType, LongType, UTF8Type
from cassandra.protocol import OverloadedErrorMessage, ServerError
from cassandra.query import BoundStatement, SimpleStatement
from simulation.cql_store import Write
from simulation.faults import Fault, Unsupported

from sinks.cassandra.cells import UNSET
from sinks.cassandra.errors import as_sink_error
from sinks.cassandra.sink import CLOCK
from sinks.change import Key

KEYSPACE = "moved"
KEY_BYTES_MAX = 65_535
SCAN_ROWS = 7  # small, so that there is a second page
FAULTS = tuple(fault for fault in Fault if fault is not Fault.CONFLICT)

NAME = r'"(?:[^"]|"")+"'
# Read by these, never sent: nothing can be injected (S608).
TABLE = rf"(?P<table>{NAME}\.{NAME})"
# By the driver's own decoders: what a node would read in our cells.
TYPES = {
    "text": UTF8Type,
    "decimal": DecimalType,
    "blob": BytesType,
    "bigint": LongType,
    "varint": IntegerType,
    "boolean": BooleanType,
}
INTO = rf"{TABLE} \((?P<names>{NAME}(?:, {NAME})*)\)"
INSERT = re.compile(rf"INSERT INTO {INTO} VALUES \([?, ]+\) USING TIMESTAMP \?")  # noqa: S608
WHERE = rf"WHERE (?P<names>{NAME} = \?(?: AND {NAME} = \?)*)"
DELETE = re.compile(rf"DELETE FROM {TABLE} USING TIMESTAMP \? {WHERE}")  # noqa: S608
SELECT = re.compile(rf"SELECT (?P<shown>{NAME}(?:, {NAME})*) FROM {TABLE} {WHERE}")  # noqa: S608
SCAN = re.compile(rf"SELECT (?P<shown>{NAME}(?:, {NAME})*) FROM {TABLE}")  # noqa: S608
CREATE = re.compile(
    rf"CREATE TABLE IF NOT EXISTS {TABLE} \(\s*(?P<columns>(?:{NAME} \w+,\s*)+)"
    rf"PRIMARY KEY \(\((?P<partition>{NAME})\)(?:, (?P<sort>{NAME}))?\)\s*\)"
)


class Schema(NamedTuple):
    """The table as `"keyspace"."name"`, column name -> CQL type, and the names of the key."""

    table: str
    columns: dict
    key: tuple


class Statement(NamedTuple):
    """What a prepared statement does, and the names of the values that it takes, in their order."""

    kind: str
    table: str
    takes: tuple
    shown: tuple = ()


class Bound(NamedTuple):
    """A statement with its values."""

    statement: Statement
    values: dict


PROTOCOL = 4
TIMESTAMP = "[timestamp]"  # as a node calls that marker


@lru_cache
def parsed(text):
    """The statement that this text is. Raises Unsupported."""
    if found := INSERT.fullmatch(text):
        return Statement("insert", found["table"], (*_names(found["names"]), TIMESTAMP))
    if found := DELETE.fullmatch(text):
        return Statement("delete", found["table"], (TIMESTAMP, *_names(found["names"])))
    if found := SCAN.fullmatch(text):
        return Statement("scan", found["table"], (), _names(found["shown"]))
    if found := SELECT.fullmatch(text):
        return Statement("select", found["table"], _names(found["names"]), _names(found["shown"]))
    raise Unsupported(f"no node was asked what it makes of: {text}")


@lru_cache
def created(text):
    """The Schema of this DDL. Raises Unsupported."""
    found = CREATE.fullmatch(text)
    if found is None:
        raise Unsupported(f"no node was asked what it makes of: {text}")
    columns = {_name(name): kind for name, kind in re.findall(rf"({NAME}) (\w+),", found["columns"])}
    key = [found["partition"]] + ([found["sort"]] if found["sort"] else [])
    return Schema(found["table"], columns, tuple(map(_name, key)))


def _names(text):
    return tuple(map(_name, re.findall(NAME, text)))


def _name(quoted):
    return quoted[1:-1].replace('""', '"')


class Cluster:
    """cassandra.cluster.Cluster: connects to the one store there is."""

    def __init__(self, store, faults):
        self._store, self._faults = store, faults
        self.metadata = SimpleNamespace(keyspaces={})

    def connect(self):
        if self._faults.next("connect", None) is not None:
            raise NoHostAvailable("Unable to connect to any servers", {"simulated": ConnectionRefusedError()})
        return Session(self._store, self._faults)

    def refresh_schema_metadata(self):
        tables = {}
        if self._store.schema is not None:
            _, table = _names(self._store.schema.table)
            tables[table] = self._described()
        self.metadata.keyspaces = {KEYSPACE: SimpleNamespace(tables=tables)}

    def _described(self):
        schema = self._store.schema
        found = {name: SimpleNamespace(name=name, cql_type=kind) for name, kind in schema.columns.items()}
        return SimpleNamespace(
            partition_key=[found[schema.key[0]]],
            clustering_key=[found[name] for name in schema.key[1:]],
            columns=found,
            options={"gc_grace_seconds": self._store.gc_grace_seconds, "default_time_to_live": 0},
        )

    def shutdown(self):
        """Nothing is open."""


class Prepared:
    """cassandra.query.PreparedStatement, as far as a BoundStatement with cells as its values looks into it."""

    consistency_level = serial_consistency_level = fetch_size = custom_payload = retry_policy = None
    column_metadata = ()
    is_idempotent = False

    def __init__(self, statement):
        self.statement = statement


class Session:
    """cassandra.cluster.Session: every statement is answered before the call returns, in order."""

    def __init__(self, store, faults):
        self._store, self._faults = store, faults
        self.hosts = [SimpleNamespace(is_up=True, datacenter="here", skew=skew) for skew in store.skews]

    def prepare(self, text):
        self._outage("prepare", None)
        statement = parsed(text)
        _check_names(self._store, statement)
        return Prepared(statement)

    def execute(self, statement, paging_state=None, host=None):
        if statement == CLOCK:
            self._outage("select", None)
            return SimpleNamespace(one=lambda: (int((self._store.now() + host.skew) * 1000),))
        if isinstance(statement, BoundStatement):
            return self._select(_bound(self._store, statement.prepared_statement.statement, statement.values))
        if isinstance(statement, SimpleStatement):
            return self._scan(statement, paging_state or 0)
        self._outage("schema", None)
        self._store.schema = self._store.schema or created(statement)
        return None

    def execute_async(self, statement):
        return SimpleNamespace(result=lambda: self.execute(statement))

    def _select(self, bound):
        if bound.statement.kind != "select":
            raise Unsupported(f"a lone {bound.statement.kind}")
        key = _key(self._store, bound)
        self._outage("select", Key(*key))
        found = self._store.read(key)
        row = None if found is None else tuple([found.get(name) for name in bound.statement.shown])
        return SimpleNamespace(one=lambda: row)

    def _scan(self, statement, start):
        scan = parsed(statement.query_string)
        if scan.kind != "scan":
            raise Unsupported(statement.query_string)
        self._outage("scan", None)
        rows = [
            {**dict(zip(self._store.schema.key, key, strict=True)), **cells}
            for key, cells in sorted(self._store.visible().items())
        ]
        shown = [tuple([row.get(name) for name in scan.shown]) for row in rows]
        end = start + min(statement.fetch_size, SCAN_ROWS)
        return SimpleNamespace(current_rows=shown[start:end], paging_state=end if end < len(shown) else None)

    def _outage(self, operation, key):
        """A request that changes nothing can only fail."""
        fault = self._faults.next(operation, key)
        if fault is not None:
            raise _error(self._faults, fault)


class Transport:
    """sinks.cassandra.transport.Transport: every mutation is answered before the call returns, in order."""

    def __init__(self, store, faults, statements):
        self._store, self._faults = store, faults
        self._statements = [self._prepared(text) for text in statements]

    def _prepared(self, text):
        fault = self._faults.next("prepare", None)
        if fault is not None:
            raise as_sink_error(_error(self._faults, fault))
        statement = parsed(text)
        _check_names(self._store, statement)
        return statement

    def write(self, mutations):
        return [self._answered(mutation) for mutation in mutations]

    def close(self):
        """Nothing is open."""

    def _answered(self, mutation):
        try:
            return self._write(mutation)
        except Exception as error:  # noqa: BLE001  the driver too hands over whatever a statement raised
            return error

    def _write(self, mutation):
        steps = [_bound(self._store, self._statements[step.statement], step.cells) for step in mutation.steps]
        key = _key(self._store, steps[0])
        if any(_key(self._store, step) != key for step in steps):
            raise Unsupported("a batch of several rows")
        fault = self._faults.next("batch" if len(steps) > 1 else steps[0].statement.kind, Key(*key))
        if fault in (Fault.AWAY, Fault.THROTTLED, Fault.LOST):
            raise _error(self._faults, fault)
        writes = [self._mutation(step, key) for step in steps]  # refused as a whole, before any of them is applied
        if fault is Fault.LATE:
            self._store.late.append(writes)
        else:
            self._store.apply_together(writes)
        if fault is not None:
            raise _error(self._faults, fault)

    def _mutation(self, bound, key):
        """What this statement does to the table. Raises InvalidRequest for what no row can be."""
        _check(key)
        values, kind = bound.values, bound.statement.kind
        names = self._store.schema.key
        cells = {name: value for name, value in values.items() if name not in names and name != TIMESTAMP}
        body = " ".join([cells["attrs"], *cells]) if cells else None  # an attribute may be a column's name
        if self._faults.poison is not None and self._faults.poison(Key(*key), body):
            raise InvalidRequest("Mutation of 17825792-bytes is too large for the maximum size of 16777216")
        return Write(kind, key, values[TIMESTAMP], cells)


def _error(faults, fault):
    match fault:
        case Fault.AWAY:
            nobody = NoHostAvailable("Unable to complete the operation", {"simulated": ConnectionShutdown("shut")})
            short = Unavailable("not enough replicas", ConsistencyLevel.LOCAL_QUORUM, 2, 1)
            return faults.one_of((short, nobody))
        case Fault.THROTTLED:
            return OverloadedErrorMessage(0x1001, "too many requests", None)
        case Fault.LOST | Fault.APPLIED | Fault.LATE:
            slow = WriteTimeout("timed out", write_type=0, consistency=ConsistencyLevel.LOCAL_QUORUM)
            return faults.one_of((slow, OperationTimedOut(), ConnectionShutdown("cut")))
        case Fault.FAILED_APPLIED:
            return ServerError(0x0000, "java.lang.RuntimeException", None)
    raise Unsupported(f"{fault} in CQL")


def _bound(store, statement, cells):
    """The statement with what a node would read in its cells; what is UNSET is not there."""
    columns = store.schema.columns
    kinds = ("bigint" if name == TIMESTAMP else columns[name] for name in statement.takes)
    values = zip(statement.takes, kinds, cells, strict=True)
    return Bound(
        statement,
        {name: TYPES[kind].from_binary(cell, PROTOCOL) for name, kind, cell in values if cell is not UNSET},
    )


def _key(store, bound):
    return tuple([bound.values[name] for name in store.schema.key])


def _check_names(store, statement):
    """Raises InvalidRequest where the table has not what the statement names."""
    if store.schema is None or store.schema.table != statement.table:
        raise InvalidRequest("unconfigured table")
    unknown = {*statement.takes, *statement.shown} - {TIMESTAMP, *store.schema.columns}
    if unknown:
        raise InvalidRequest(f"Undefined column name {unknown}")


def _check(key):
    """Raises InvalidRequest, as a node does, for a key that no row can have."""
    if None in key:
        raise InvalidRequest("Invalid null value in condition for a key column")
    if key[0] in ("", b""):
        raise InvalidRequest("Key may not be empty")
    for part in key:
        if isinstance(part, str) and len(part) > KEY_BYTES_MAX // 4:
            part = part.encode()  # noqa: PLW2901  measured where it matters only: this runs for every write
        if not isinstance(part, Decimal) and len(part) > KEY_BYTES_MAX:
            raise InvalidRequest(f"Key length of {len(part)} is longer than maximum of {KEY_BYTES_MAX}")

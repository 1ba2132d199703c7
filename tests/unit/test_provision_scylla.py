"""A CQL target on ScyllaDB, with metadata as its documentation and its Manager describe them. ScyllaDB was not run."""

import re
from types import SimpleNamespace

import pytest

from sinks.cassandra import schema, scylla
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import KeyAttribute, KeySchema
from sinks.provision import SourceTable
from sinks.sink import SinkMisconfigured

KEYS = KeySchema(KeyAttribute("id", "S"))
OPTIONS = CassandraOptions(contact_points=["n"], local_datacenter="dc", keyspace="k", table="t")
COLUMNS = {"id": "text", "attrs": "text", "version": "bigint"}


class Scylla:
    """cassandra.cluster.Cluster and its session: runs what is said about one table, if it knows it."""

    def __init__(self, mode=None):
        self.ran = []
        self.tables = {}
        if mode is not None:
            self._make(mode)

    def __call__(self, *_, **__):
        return self

    def connect(self):
        return self

    def refresh_schema_metadata(self):
        system = SimpleNamespace(tables={"scylla_tables": None})
        ours = SimpleNamespace(tables=dict(self.tables), views={})
        self.metadata = SimpleNamespace(keyspaces={"system_schema": system, "k": ours})

    def shutdown(self):
        """Nothing is open."""

    def execute(self, statement):
        self.ran.append(statement)
        mode = next(mode for mode in ("disabled", "timeout", "repair") if f"'{mode}'" in statement)
        self._make(mode)

    def _make(self, mode):
        columns = {name: SimpleNamespace(name=name, cql_type=kind) for name, kind in COLUMNS.items()}
        self.tables["t"] = SimpleNamespace(
            partition_key=[columns["id"]],
            clustering_key=[],
            columns=columns,
            # A grace that Cassandra would be refused with: here it decides nothing.
            options={"gc_grace_seconds": 0, "default_time_to_live": 0, "compaction": {}},
            extensions={} if mode == "unsaid" else {"tombstone_gc": b"\x01\0\0\0\x04\0\0\0mode" + mode.encode()},
        )


def sink(cluster):
    return CassandraSink(OPTIONS, KEYS, cluster)


def test_a_missing_table_is_made_so_that_it_keeps_its_tombstones():
    cluster = Scylla()
    made = sink(cluster)
    made.apply_schema(made.schema_steps(SourceTable({})))
    assert cluster.ran == [scylla.created(schema.create_statement(OPTIONS, KEYS))]
    assert made.hazards() == []


@pytest.mark.parametrize("mode", ["repair", "unsaid"])
def test_a_table_that_may_purge_is_refused_altered_and_given_back(mode):
    cluster = Scylla(mode)
    made = sink(cluster)
    with pytest.raises(SinkMisconfigured, match=re.escape("tombstone_gc = {'mode': 'disabled'}")):
        made.open()
    (step,) = made.schema_steps(SourceTable({}))
    made.apply_schema([step])
    assert made.hazards() == []
    made.restore(step.before, lambda _: None)
    was = "repair" if mode == "repair" else "timeout"
    assert cluster.ran[-1] == f"ALTER TABLE \"k\".\"t\" WITH tombstone_gc = {{'mode': '{was}'}}"


def test_a_table_whose_former_mode_nobody_noted_purges_again_after_repairs():
    cluster = Scylla("disabled")
    told = []
    sink(cluster).restore({}, told.append)
    assert cluster.ran == ["ALTER TABLE \"k\".\"t\" WITH tombstone_gc = {'mode': 'repair'}"]
    sink(cluster).restore({}, told.append)
    assert (len(cluster.ran), len(told)) == (1, 1)

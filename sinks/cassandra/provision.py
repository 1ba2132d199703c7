"""What a CQL target needs before, during and after a move: keyspace, table, settings, views (sinks/provision.py)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sinks.cassandra import replication, schema, scylla, settings, views
from sinks.cassandra.driver import Cluster, Session
from sinks.cassandra.errors import as_sink_error
from sinks.cassandra.options import CassandraOptions
from sinks.change import KeySchema
from sinks.provision import SchemaStep, SourceTable
from sinks.sink import SinkMisconfigured, SinkUnavailable, TargetMissing

RESTORED = ("gc_grace_seconds", "default_time_to_live", "compaction", scylla.SETTING)
REPLICATION_EXAMPLE_FACTOR = 3


class Node:
    """The way to the schema of a cluster, over a connection that its maker closes."""

    def __init__(self, session: Session, cluster: Cluster) -> None:
        self._session, self._cluster = session, cluster

    def metadata(self) -> Any:
        """The driver's, as they are now. Raises SinkError."""
        try:
            self._cluster.refresh_schema_metadata()
        except Exception as error:
            raise as_sink_error(error) from error
        return self._cluster.metadata

    def execute(self, statement: str) -> None:
        """A statement about the schema; returns when the nodes agree, or the wait is over. Raises SinkError."""
        try:
            self._session.execute(statement)
        except Exception as error:
            raise as_sink_error(error) from error


class Target:
    """One table, as the options describe it, on the cluster of `node`. Every method may raise SinkError."""

    def __init__(self, node: Node, options: CassandraOptions, keys: KeySchema) -> None:
        self._node, self._options, self._keys = node, options, keys
        self._name = schema.qualified(options)

    def steps(self, source: SourceTable) -> list[SchemaStep]:
        """As Provisioned.schema_steps."""
        metadata = self._node.metadata()
        keyspace = metadata.keyspaces.get(self._options.keyspace)
        present = list(keyspace.views) if keyspace is not None else []
        views_proposed = proposed(self._options, self._keys, source, present)
        return [*self._needed(metadata), *self._replicated(keyspace), *views_proposed]

    def apply(self, steps: Sequence[SchemaStep]) -> None:
        """As Provisioned.apply_schema: what was done meanwhile is not done again."""
        for step in self._missing(self._node.metadata()):
            if step.by_hand:
                raise _told_missing(step, self._name)
        for step in steps:
            if not step.by_hand and step.statement in self._lacking():
                self._node.execute(step.statement)
        late = self._lacking() & {step.statement for step in steps if not step.by_hand}
        if late:
            raise SinkUnavailable(f"not in force yet on all nodes, run it again: {'; '.join(sorted(late))}")

    def ready(self, *, may_create: bool) -> None:
        """The table is there and can take the move; made if it may be. Raises TargetMissing, SinkMisconfigured."""
        missing = list(self._missing(self._node.metadata()))
        for step in missing:
            if step.by_hand or not may_create:
                raise _told_missing(step, self._name)
            self._node.execute(step.statement)
        metadata = self._node.metadata()
        faults = [*map(str, self._differences(metadata)), *self._altered(metadata)]
        if faults:
            raise SinkMisconfigured(
                f"table {self._name} cannot take the move: "
                + "; ".join(faults)
                + ". `moveout schema` shows what can be mended, `moveout schema --apply` does it"
            )

    def hazards(self) -> list[SchemaStep]:
        """As Guarded.hazards; a table that is gone is one."""
        metadata = self._node.metadata()
        return list(self._missing(metadata)) or list(self._unsafe(metadata))

    def restore(self, before: Mapping[str, str], told: Callable[[str], None]) -> None:
        """As Guarded.restore. Raises SinkMisconfigured where it finds no table, or is asked for what no move alters."""
        metadata = self._node.metadata()
        if any(self._missing(metadata)):
            raise SinkMisconfigured(f"table {self._name} does not exist: nothing can be given back to it")
        unknown = sorted(set(before) - set(RESTORED))
        if unknown:
            raise SinkMisconfigured(f"no move alters {', '.join(unknown)}: known are {', '.join(RESTORED)}")
        for setting, value in {**self._unnoted(metadata), **before}.items():
            self._node.execute(settings.alter(self._name, setting, value))
            told(f"{setting} of {self._name} is {value} again")

    def _unnoted(self, metadata: Any) -> Mapping[str, str]:
        """What only a move sets, and what it becomes where nobody noted what it was."""
        if not scylla.is_scylla(metadata):
            return {}
        disabled = scylla.tombstone_gc(self._table(metadata).extensions) == scylla.DISABLED
        return {scylla.SETTING: settings.literal(scylla.AFTERWARDS)} if disabled else {}

    def _lacking(self) -> set[str]:
        return {step.statement for step in self._needed(self._node.metadata()) if not step.by_hand}

    def _needed(self, metadata: Any) -> list[SchemaStep]:
        missing = list(self._missing(metadata))
        if missing:
            return missing
        differences = list(self._differences(metadata))
        unmendable = [str(one) for one in differences if not one.statement]
        if unmendable:
            raise SinkMisconfigured(f"table {self._name} cannot be made to take the move: {'; '.join(unmendable)}")
        columns = [SchemaStep(one.statement, one.what) for one in differences]
        return [*columns, *self._unsafe(metadata)]

    def _missing(self, metadata: Any) -> Iterator[SchemaStep]:
        keyspace = metadata.keyspaces.get(self._options.keyspace)
        if keyspace is None:
            yield keyspace_step(self._options)
        if keyspace is None or self._options.table not in keyspace.tables:
            statement = schema.create_statement(self._options, self._keys)
            keeps = scylla.created(statement) if scylla.is_scylla(metadata) else statement
            yield SchemaStep(keeps, f"table {self._name} does not exist")

    def _replicated(self, keyspace: Any) -> Iterator[SchemaStep]:
        """How a keyspace that is there differs from the one that is described: for a person to look at."""
        described = self._options.create_keyspace
        if keyspace is None or described is None:
            return
        found = replication.difference(keyspace, schema.quoted(self._options.keyspace), described.replication)
        if found is not None:
            yield found

    def _unsafe(self, metadata: Any) -> Iterator[SchemaStep]:
        table, keep_seconds = self._table(metadata), int(self._options.gc_grace_days_min * settings.DAY_SECONDS)
        on_scylla = scylla.is_scylla(metadata)
        yield from settings.unsafe(table.options, self._name, keep_seconds, by_grace=not on_scylla)
        if on_scylla:
            yield from scylla.unsafe(table.extensions, self._name)

    def _differences(self, metadata: Any) -> Iterator[schema.Difference]:
        return schema.differences(self._table(metadata), self._options, self._keys)

    def _altered(self, metadata: Any) -> Iterator[str]:
        return (sentence(step) for step in self._unsafe(metadata))

    def _table(self, metadata: Any) -> Any:
        return metadata.keyspaces[self._options.keyspace].tables[self._options.table]


def sentence(step: SchemaStep) -> str:
    """What is wrong, and what mends it."""
    return f"{step.why}. {step.statement}"


def ddl(options: CassandraOptions, keys: KeySchema, source: SourceTable) -> list[SchemaStep]:
    """As Described.ddl: asks nobody."""
    made = SchemaStep(schema.create_statement(options, keys), "the table")
    kept = scylla.for_the_move(schema.qualified(options))
    return [keyspace_step(options), made, kept, *proposed(options, keys, source, ())]


def proposed(
    options: CassandraOptions, keys: KeySchema, source: SourceTable, present: Sequence[str]
) -> Iterator[SchemaStep]:
    """What is left to a person: a view for each index that is not `present`."""
    return views.proposals(source, options, keys, schema.attribute_columns(options, keys), present)


def keyspace_step(options: CassandraOptions) -> SchemaStep:
    """Make the keyspace, where it is described; else a proposal, since how data is replicated is not ours to choose."""
    described = options.create_keyspace
    replication: Mapping[str, Any] = {
        "class": "NetworkTopologyStrategy",
        options.local_datacenter: REPLICATION_EXAMPLE_FACTOR,
    }
    why = "its replication is yours to choose: run this, or describe it as target.create_keyspace"
    if described is not None:
        replication, why = described.replication, "as target.create_keyspace describes it"
    name = schema.quoted(options.keyspace)
    statement = f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {settings.literal(replication)}"
    return SchemaStep(statement, f"keyspace {options.keyspace!r}: {why}", by_hand=described is None)


def _told_missing(step: SchemaStep, table: str) -> SinkMisconfigured:
    if step.by_hand:
        return SinkMisconfigured(f"its keyspace does not exist: {sentence(step)}")
    return TargetMissing(
        f"{table} is not there: {step.why}. Set target.create_table: true, or `moveout schema --apply`, "
        f"or create it:\n{step.statement}"
    )

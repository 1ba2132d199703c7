"""The CQL sink: last write wins by a timestamp that we give, so order of arrival does not matter.

Why it is sound: daemon/README.md, "One rule of order". Never a lightweight transaction: CQL forbids
user timestamps there.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sinks.cassandra import access, handshake, provision, schema
from sinks.cassandra.driver import (
    EXEC_PROFILE_DEFAULT,
    BoundStatement,
    Cluster,
    ConsistencyLevel,
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    ExecutionProfile,
    FallthroughRetryPolicy,
    NoHostAvailable,
    PlainTextAuthProvider,
    Session,
    SimpleStatement,
    TokenAwarePolicy,
    cassandra,
)
from sinks.cassandra.errors import UNBINDABLE, as_sink_error, is_rejection, nobody_listens
from sinks.cassandra.lane.dial import Access
from sinks.cassandra.lane.lane import LaneTransport, Limits
from sinks.cassandra.lane.ring import watched
from sinks.cassandra.layout import DocumentLayout, Layout, Mutation
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.provision import Node, Target
from sinks.cassandra.transport import StockTransport, Transport
from sinks.change import Change, Key, KeySchema, newest
from sinks.provision import SchemaStep, SourceTable
from sinks.sink import Rejection, SinkError, SinkMisconfigured, SinkUnavailable, Stored

PAGE_ROWS = 5000
READS_AT_ONCE = 64
RECONNECT_SECONDS = 2.0
# In milliseconds. The function has this name in Cassandra up to 5 and in ScyllaDB.
CLOCK = "SELECT toUnixTimestamp(now()) AS at FROM system.local"


def sent_by(session: Session, statements: Sequence[str], options: CassandraOptions) -> Transport:
    """The configured way to the nodes. Raises SinkError when it does not get there."""
    if options.transport == "driver":
        return StockTransport(session, statements, options.concurrency, options.request_timeout_seconds)
    return lane(session, statements, options)


def lane(session: Session, statements: Sequence[str], options: CassandraOptions) -> Transport:
    """Rows over connections of our own. Where the nodes are and what lets us in, the driver knows. Raises SinkError."""
    cluster = session.cluster
    login, tls = cluster.auth_provider, cluster.ssl_context
    consistency = ConsistencyLevel.name_to_value[options.consistency]
    secrets = None if login is None else (login.username, login.password)
    name = (cluster.ssl_options or {}).get("server_hostname")
    access_to_nodes = Access(statements, consistency, options.request_timeout_seconds, secrets, tls, name)
    today = watched(cluster.metadata, options.keyspace, options.local_datacenter)
    return LaneTransport(today, access_to_nodes, Limits(options.in_flight, int(options.in_flight_mib * 2**20)))


def laid_out(options: CassandraOptions, keys: KeySchema, clock: Callable[[], float]) -> Layout:
    """The configured layout; `clock` tells the seconds since 1970, which only a time to live asks for.

    Raises SinkMisconfigured when the options do not suit the key.
    """
    made: Layout
    if options.layout == "columns":
        from sinks.cassandra.columns import ColumnsLayout

        made = ColumnsLayout(options, keys)
    else:
        made = DocumentLayout(options, keys)
    if options.ttl is None or options.ttl.as_ == "data":
        return made
    from sinks.cassandra.ttl import ExpiringLayout

    return ExpiringLayout(made, options.ttl.attribute, clock)


class CassandraSink:
    """Writes changes to one table. `cluster` makes the driver's Cluster, `transport` what sends rows: its ways out.

    `clock` tells the seconds since 1970. Raises SinkMisconfigured when the options do not suit the key.
    """

    def __init__(
        self,
        options: CassandraOptions,
        keys: KeySchema,
        cluster: Callable[..., Cluster] = Cluster,
        transport: Callable[[Session, Sequence[str], CassandraOptions], Transport] = sent_by,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._keys = keys
        self._layout: Layout = laid_out(options, keys, clock)
        self._make_cluster = cluster
        self._make_transport = transport
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._transport: Transport | None = None

    def open(self) -> None:
        """Connect, create the table if asked to, check it, prepare the statements."""
        self._session = self._connect()
        try:
            self._check_table(may_create=self._options.create_table)
            self._transport = self._make_transport(self._session, self._layout.statements, self._options)
            self._select = self._prepare(self._layout.select)
        except Exception:
            self.close()
            raise

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """One mutation per key, at the change's version, all in flight together."""
        rejections: list[Rejection] = []
        mutations, sent = [], []
        for change in newest(changes):
            try:
                mutations.append(self._layout.mutation(change))
                sent.append(change)
            except UNBINDABLE as error:
                rejections.append(Rejection(change, f"the value cannot be written as CQL: {error}"))
        answers = zip(sent, self._write(mutations), strict=True)
        failures = [(change, failure) for change, failure in answers if failure is not None]
        lasting = next((failure for _, failure in failures if not is_rejection(failure)), None)
        if lasting is not None:
            raise _told(lasting, [*(change for change, _ in failures), *(known.change for known in rejections)])
        if failures:
            # A missing table or column raises the same error as a row that is too large.
            self._check_table(may_create=False)
        return rejections + [Rejection(change, f"the target refuses this row: {why}") for change, why in failures]

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Stored]:
        """What the table holds for these keys, as whole items."""
        return {
            key: self._layout.stored(key, row)
            for start in range(0, len(keys), READS_AT_ONCE)
            for key, row in self._rows(keys[start : start + READS_AT_ONCE])
            if row is not None
        }

    def versions(self) -> Iterator[Sequence[tuple[Key, int]]]:
        """Key and version of every row, by pages of PAGE_ROWS."""
        statement = SimpleStatement(schema.versions_statement(self._options, self._keys), fetch_size=PAGE_ROWS)
        state = None
        while True:
            try:
                page = self._active().execute(statement, paging_state=state)
            except Exception as error:
                raise as_sink_error(error) from error
            yield [(self._layout.keys.key(row), row[-1]) for row in page.current_rows]
            state = page.paging_state
            if state is None:
                return

    def clocks(self) -> Sequence[int]:
        """As Clocked: of every node of the data centre that is up; a node's clock counts milliseconds."""
        session = self._active()
        hosts = [host for host in session.hosts if host.is_up and host.datacenter == self._options.local_datacenter]
        try:
            return [int(session.execute(CLOCK, host=host).one()[0]) * 1000 for host in hosts]
        except Exception as error:
            raise as_sink_error(error) from error

    def drop(self, told: Callable[[str], None]) -> None:
        """As Droppable: the table, not its keyspace."""
        with self._asked():
            statement = f"DROP TABLE IF EXISTS {schema.qualified(self._options)}"
            try:
                self._active().execute(statement)
            except Exception as error:
                raise as_sink_error(error) from error
            told(statement)

    def ddl(self, source: SourceTable) -> Sequence[SchemaStep]:
        """As Described: needs no cluster."""
        return provision.ddl(self._options, self._keys, source)

    def schema_steps(self, source: SourceTable) -> Sequence[SchemaStep]:
        """As Provisioned."""
        with self._asked() as target:
            return target.steps(source)

    def apply_schema(self, steps: Sequence[SchemaStep], told: Callable[[str], None] = lambda _: None) -> None:
        """As Provisioned; the nodes answer when a statement is in force, so there is nothing to tell of waiting."""
        del told
        with self._asked() as target:
            target.apply(steps)

    def hazards(self) -> Sequence[SchemaStep]:
        """As Guarded."""
        with self._asked() as target:
            return target.hazards()

    def restore(self, before: Mapping[str, str], told: Callable[[str], None]) -> None:
        """As Guarded."""
        with self._asked() as target:
            target.restore(before, told)

    def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            self._transport.close()
        if self._cluster is not None:
            self._cluster.shutdown()
        self._cluster = self._session = self._transport = None

    def _connect(self) -> Session:
        options = self._options
        balance = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=options.local_datacenter))
        profile = ExecutionProfile(
            load_balancing_policy=balance,
            # The engine retries whole batches and shows that it does; the driver must not do so in secret.
            retry_policy=FallthroughRetryPolicy(),
            consistency_level=ConsistencyLevel.name_to_value[options.consistency],
            request_timeout=options.request_timeout_seconds,
        )
        context = access.ssl_context(options)
        login = self._credentials()
        try:
            self._cluster = self._make_cluster(
                options.contact_points,
                port=options.port,
                execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                # The driver's own pauses double up to ten minutes, and until it has reconnected each batch fails at
                # once: lag would stay for as long again as the outage was.
                reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
                auth_provider=login,
                ssl_context=context,
                ssl_options=access.wrapping(options) if context is not None else None,
                protocol_version=4,  # ScyllaDB speaks 4; Cassandra 3.11 to 5 take it
                connect_timeout=options.request_timeout_seconds,
            )
            return self._cluster.connect()
        except Exception as error:
            self.close()
            raise self._explained(error, context) from error

    def _credentials(self) -> PlainTextAuthProvider | None:
        known = access.credentials(self._options)
        return None if known is None else PlainTextAuthProvider(*known)

    def _explained(self, error: Exception, context: ssl.SSLContext | None) -> Exception:
        options = self._options
        known = as_sink_error(error)
        nobody = isinstance(error, NoHostAvailable | cassandra.UnresolvableContactPoints)
        if not (nobody and isinstance(known, SinkUnavailable)):
            return known
        misunderstood = None if nobody_listens(error) else handshake.misunderstanding(options, context)
        if misunderstood is not None:
            return SinkMisconfigured(misunderstood)
        points = ", ".join(f"{host}:{options.port}" for host in options.contact_points)
        return SinkUnavailable(
            f"no CQL node answers at {points} in data centre {options.local_datacenter!r}: {error}. "
            "Check contact_points, port, local_datacenter and the network path"
        )

    def _check_table(self, *, may_create: bool) -> None:
        self._target().ready(may_create=may_create)

    def _target(self) -> Target:
        session = self._active()
        assert self._cluster is not None  # noqa: S101  a session has its cluster
        return Target(Node(session, self._cluster), self._options, self._keys)

    @contextmanager
    def _asked(self) -> Iterator[Target]:
        """The target's schema, over a connection of its own where the sink is not open."""
        was_open = self._session is not None
        self._session = self._session or self._connect()
        try:
            yield self._target()
        finally:
            if not was_open:
                self.close()

    def _prepare(self, statement: str) -> Any:
        try:
            return self._active().prepare(statement)
        except Exception as error:
            raise as_sink_error(error) from error

    def _active(self) -> Session:
        if self._session is None:
            raise SinkUnavailable("the sink is not open")
        return self._session

    def _write(self, mutations: Sequence[Mutation]) -> Sequence[Exception | None]:
        if self._transport is None:
            raise SinkUnavailable("the sink is not open")
        return self._transport.write(mutations)

    def _rows(self, keys: Sequence[Key]) -> Sequence[tuple[Key, Any]]:
        """The rows of so many keys, asked for together; None where there is none."""
        session = self._active()
        try:
            asked = [(key, session.execute_async(bound)) for key, bound in self._bound(keys)]
            return [(key, answer.result().one()) for key, answer in asked]
        except Exception as error:
            raise as_sink_error(error) from error

    def _bound(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Any]]:
        for key in keys:
            bound = BoundStatement(self._select)
            try:
                bound.values = list(self._layout.keys.cells(key))
            except UNBINDABLE:
                continue  # its changes are rejected, so it is not there
            yield key, bound


def _told(failure: Exception, left: Sequence[Change]) -> SinkError:
    """The engine's word for it, with what of the batch is to be sent again."""
    error = as_sink_error(failure)
    if isinstance(error, SinkUnavailable):
        error.left = left
    error.__cause__ = failure
    return error

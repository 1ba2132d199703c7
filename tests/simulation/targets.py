"""The real sinks over the stores, in one thread. Planted bugs derive from these as they would from the real ones."""

from simulation import cql_driver
from simulation.dynamodb_wire import Client, Inline, SimulatedCalls, SimulatedExchange, Wire
from simulation.faults import Faults

from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.dynamodb.connect import Connected
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.ordered import OrderedDynamoDbSink
from sinks.dynamodb.sink import DynamoDbSink
from sinks.dynamodb.table import prepare

TABLE = "orders"
ALTERNATOR = {"flavor": "alternator", "endpoint_url": "http://scylla"}


class SimulatedCassandra(CassandraSink):
    """The CQL sink over a CqlStore."""

    def __init__(self, store, keys, faults=None, **options):
        faults = faults or Faults()
        place = {"contact_points": ["simulated"], "local_datacenter": "here", "keyspace": cql_driver.KEYSPACE}
        settings = CassandraOptions(**place, **{"table": TABLE, "create_table": True, **options})
        super().__init__(
            settings,
            keys,
            lambda *_, **__: cql_driver.Cluster(store, faults),
            lambda _, statements, __: cql_driver.Transport(store, faults, statements),
        )


class SimulatedDynamoDb(DynamoDbSink):
    """The DynamoDB sink over a DynamoStore."""

    def __init__(self, store, keys, faults=None, **options):
        super().__init__(dynamodb_options(options), keys, connecting(store, faults or Faults()))


class SimulatedOrdered(OrderedDynamoDbSink):
    """The DynamoDB sink of mode `ordered` over a DynamoStore."""

    def __init__(self, store, keys, faults=None, **options):
        super().__init__(dynamodb_options({**options, "mode": "ordered"}), keys, connecting(store, faults or Faults()))


def dynamodb_options(options):
    settings = {"kind": "dynamodb", "table": TABLE, "region": "simulated", "create_table": True, **options}
    return DynamoDbOptions(**settings)


def connecting(store, faults):
    """The way out of a DynamoDB sink, without pauses."""

    def connect(known, wanted):
        prepare(Client(store, faults), known, wanted)
        wire = Wire(store, faults)
        return Connected(SimulatedCalls(wire), Inline(), SimulatedExchange(wire), sleep=lambda _: None)

    return connect

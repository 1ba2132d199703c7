"""A move into ScyllaDB's Alternator, which has no transactions."""

from simulation.dynamodb_store import DynamoStore
from simulation.faults import Unsupported
from simulation.targets import ALTERNATOR
from simulation.world import World


class WithoutTransactions(DynamoStore):
    """What ScyllaDB has not, nobody may ask for."""

    def execute(self, operation, request):
        if operation in ("TransactWriteItems", "BatchWriteItem"):
            raise Unsupported(operation)
        return super().execute(operation, request)


class AlternatorWorld(World):
    """The target is a cluster of ScyllaDB's, behind its DynamoDB API."""

    def __init__(self, seed, **settings):
        super().__init__(seed, sink="dynamodb", **settings)

    def _make_target(self, kind, rate):
        super()._make_target(kind, rate)
        self.target = WithoutTransactions(page_items=3)
        self.sink_options = ALTERNATOR

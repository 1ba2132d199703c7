"""The sink of each mode."""

from sinks.change import KeySchema
from sinks.dynamodb.connect import Connect, connected
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.ordered import OrderedDynamoDbSink
from sinks.dynamodb.sink import DynamoDbSink
from sinks.dynamodb.throughput import LimitOf, no_limit


def sink(
    options: DynamoDbOptions, keys: KeySchema, connect: Connect = connected, limit: LimitOf = no_limit
) -> DynamoDbSink | OrderedDynamoDbSink:
    """Not open yet."""
    kind = OrderedDynamoDbSink if options.mode == "ordered" else DynamoDbSink
    return kind(options, keys, connect, limit)


__all__ = ["connected", "sink"]

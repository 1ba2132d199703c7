"""Builds the parts from the configuration. The only module that knows everyone."""

import random
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from daemon import aws, preflight
from daemon.clock import SYSTEM, Clock
from daemon.config import Config
from daemon.control import Control
from daemon.dead_letter import DeadLetters
from daemon.letter_box import LetterBox, letter_box
from daemon.preflight import SourceFacts, TableFacts
from daemon.settings import LiveSettings
from daemon.write_limit import write_limit
from sinks import access
from sinks.cassandra.options import CassandraOptions
from sinks.change import KeySchema
from sinks.custom import CustomOptions, loaded
from sinks.dynamodb.call import Calls
from sinks.jsonl.options import JsonlOptions
from sinks.sink import Sink

if TYPE_CHECKING:
    from daemon.fence import Fence


class Parts:
    """The parts of one migration, each made when it is first asked for."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock: Clock = SYSTEM
        self.chance = random.Random()

    @cached_property
    def dynamodb(self) -> Any:
        """DynamoDB on the source's side."""
        return aws.client("dynamodb", aws.source(self.config))

    def calls(self) -> Calls:
        """DynamoDB on the source's side, for answers that boto3 is not to take apart. The caller closes it."""
        return aws.calls(aws.source(self.config))

    @cached_property
    def streams(self) -> Any:
        """DynamoDB Streams."""
        return aws.client("dynamodbstreams", aws.stream(self.config))

    @cached_property
    def s3(self) -> Any:
        """S3."""
        return aws.client("s3", aws.bucket(self.config))

    @cached_property
    def control(self) -> Control:
        """The control table: on the source's side, unless the configuration says otherwise."""
        return self.control_of(self.config.name)

    def control_of(self, name: str) -> Control:
        """The records of another move in the same table, or of the whole migration of several."""
        return Control(self.control_client, self.config.control.table, name)

    @cached_property
    def control_client(self) -> Any:
        """DynamoDB where the control table is."""
        place = aws.state(self.config)
        return self.dynamodb if place == aws.source(self.config) else aws.client("dynamodb", place)

    @cached_property
    def settings(self) -> LiveSettings:
        """What a person has set while it runs."""
        return LiveSettings(self.control, self.clock)

    @cached_property
    def table(self) -> TableFacts:
        """The source table, as it was when first asked, with a stream or without. Raises CheckFailed."""
        return preflight.table(self.config, self.dynamodb)

    @cached_property
    def facts(self) -> SourceFacts:
        """The source table and its stream, as they were when first asked. Raises CheckFailed."""
        return preflight.source(self.config, self.dynamodb, self.streams)

    @property
    def keys(self) -> KeySchema:
        """The primary key of source and target."""
        return self.table.keys

    @property
    def letter_box(self) -> LetterBox:
        """Where dead letters are written."""
        return letter_box(self.s3, self.config.dead_letters_to)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """The changes that the target refused."""
        return DeadLetters(
            self.control,
            self.letter_box,
            self.keys,
            migration=self.config.name,
            sink=self.config.target.kind,
            limit=self.config.dead_letters.limit,
            now=self.clock.time,
        )

    def fences(self) -> "list[Fence]":
        """What keeps the application from writing while its writers switch, beside the published route."""
        from daemon.fence import fences

        return fences(self.config, self.dynamodb)

    def sink(self, *, may_create: bool = True, writers: int | None = None) -> Sink:
        """A new sink on the target, not open yet. `writers`: it is held to its share of what a backfill may write.

        Raises SinkMisconfigured for one from outside that is none.
        """
        options = self.config.target
        if isinstance(options, CustomOptions):
            return loaded(options, self.keys)
        if isinstance(options, JsonlOptions):
            from sinks.jsonl import bucket
            from sinks.jsonl.sink import JsonlSink

            as_migration = partial(bucket.connected, session_name=access.session_name(self.config.migration))
            return JsonlSink(options, self.keys, as_migration)
        create = options.create_table and may_create
        # Imported when needed: a shard process carries one driver, not two.
        if isinstance(options, CassandraOptions):
            from sinks.cassandra.sink import CassandraSink

            return CassandraSink(options.model_copy(update={"create_table": create}), self.keys)
        from sinks.dynamodb import target, throughput

        limit = throughput.no_limit if writers is None else partial(write_limit, self.settings, options, writers)
        as_migration = partial(target.connected, session_name=access.session_name(self.config.migration))
        return target.sink(options.model_copy(update={"create_table": create}), self.keys, as_migration, limit)


def parts(config: Config) -> Parts:
    """The parts of the migration that this file describes."""
    return Parts(config)

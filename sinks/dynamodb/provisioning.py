"""What a target table has to look like: the same for both modes. sinks/wrapping.py lends it to their sinks."""

from collections.abc import Callable, Sequence

from sinks.dynamodb.options import DynamoDbOptions
from sinks.provision import SchemaStep, SourceTable


class Provisioning:
    """Described and Provisioned. What it takes is imported when it is asked: no process that moves rows asks."""

    def __init__(self, options: DynamoDbOptions) -> None:
        self._options = options

    def schema_steps(self, source: SourceTable) -> Sequence[SchemaStep]:
        """The steps to a copy of the source: as Provisioned says."""
        from sinks.dynamodb import clone

        return clone.steps_of(self._options, source)

    def ddl(self, source: SourceTable) -> Sequence[SchemaStep]:
        """Every step, as if nothing were there: as Described says."""
        from sinks.dynamodb import clone

        return clone.every_step(self._options, source)

    def apply_schema(self, steps: Sequence[SchemaStep], told: Callable[[str], None] = lambda _: None) -> None:
        """Do them, and wait: as Provisioned says. `told` hears of the waiting."""
        from sinks.dynamodb import clone

        clone.apply_steps(self._options, steps, told)

    def drop(self, told: Callable[[str], None]) -> None:
        """Delete the table, and the one of tombstones: as Droppable says."""
        from sinks.dynamodb import drop

        beside = [] if self._options.mode == "ordered" else [self._options.tombstones]
        drop.drop_tables(self._options, [self._options.table, *beside], told)

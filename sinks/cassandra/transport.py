"""How mutations reach the nodes. Every mutation is idempotent by its timestamps: sent again, it changes nothing."""

from collections.abc import Sequence
from typing import Any, Protocol

from sinks.cassandra.cells import UNSET
from sinks.cassandra.driver import UNSET_VALUE, BatchStatement, BatchType, BoundStatement, Session
from sinks.cassandra.errors import as_sink_error
from sinks.cassandra.layout import Mutation, Step


class Transport(Protocol):
    """Sends prepared statements."""

    def write(self, mutations: Sequence[Mutation]) -> Sequence[Exception | None]:
        """What became of each, in their order: None is durable at the configured consistency.

        Every one has been answered, or given up, when this returns. Raises SinkError when nothing was sent.
        """

    def close(self) -> None:
        """Drop what it opened. Safe to call twice."""


class StockTransport:
    """The CQL driver's own way: an object per row, `concurrency` in flight."""

    def __init__(self, session: Session, statements: Sequence[str], concurrency: int) -> None:
        """Raises SinkError when a statement cannot be prepared."""
        self._session, self._concurrency = session, concurrency
        try:
            self._prepared = [session.prepare(statement) for statement in statements]
        except Exception as error:
            raise as_sink_error(error) from error

    def write(self, mutations: Sequence[Mutation]) -> Sequence[Exception | None]:
        """One EXECUTE or BATCH each."""
        results = self._session.execute_concurrent(
            [(self._statement(mutation), ()) for mutation in mutations],
            concurrency=self._concurrency,
            raise_on_first_error=False,
        )
        return [None if success else result for success, result in results]

    def close(self) -> None:
        """The session is its maker's."""

    def _statement(self, mutation: Mutation) -> Any:
        if len(mutation.steps) == 1:
            return self._bound(mutation.steps[0])
        batch = BatchStatement(BatchType.UNLOGGED)
        for step in mutation.steps:
            batch.add(self._bound(step))
        return batch

    def _bound(self, step: Step) -> Any:
        bound = BoundStatement(self._prepared[step.statement])
        # Bytes already: the driver's own binding is left out.
        bound.values = [UNSET_VALUE if cell is UNSET else cell for cell in step.cells]
        return bound

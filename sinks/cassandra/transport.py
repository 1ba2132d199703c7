"""How mutations reach the nodes. Every mutation is idempotent by its timestamps: sent again, it changes nothing."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cassandra import InvalidRequest, OperationTimedOut, WriteTimeout

from sinks.cassandra.batches import together
from sinks.cassandra.cells import UNSET
from sinks.cassandra.driver import (
    UNSET_VALUE,
    BatchStatement,
    BatchType,
    BoundStatement,
    OverloadedErrorMessage,
    Session,
)
from sinks.cassandra.errors import as_sink_error
from sinks.cassandra.layout import Mutation, Step
from sinks.cassandra.window import Window, pause_seconds

# The node may take it a moment later. Our own patience with it (OperationTimedOut) is over when it is over.
BUSY = (OverloadedErrorMessage, WriteTimeout)


class Transport(Protocol):
    """Sends prepared statements."""

    def write(self, mutations: Sequence[Mutation]) -> Sequence[Exception | None]:
        """What became of each, in their order: None is durable at the configured consistency.

        Every one has been answered, or given up, when this returns. Raises SinkError when nothing was sent.
        """

    def close(self) -> None:
        """Drop what it opened. Safe to call twice."""


class StockTransport:
    """The CQL driver's own way: an object per row, at most `concurrency` in flight, fewer while the node is busy."""

    def __init__(
        self,
        session: Session,
        statements: Sequence[str],
        concurrency: int,
        timeout_seconds: float = 10.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises SinkError when a statement cannot be prepared."""
        self._session, self._timeout_seconds = session, timeout_seconds
        self._window = Window(concurrency)
        self._clock, self._sleep = clock, sleep
        try:
            self._prepared = [session.prepare(statement) for statement in statements]
        except Exception as error:
            raise as_sink_error(error) from error

    def write(self, mutations: Sequence[Mutation]) -> Sequence[Exception | None]:
        """One EXECUTE or BATCH for the mutations of one partition; again, after a pause, what a busy node refused."""
        results: list[Exception | None] = [None] * len(mutations)
        waiting = [places for places, _ in together(mutations)]
        deadline, attempts = self._clock() + self._timeout_seconds, 0
        while waiting:
            busy: list[list[int]] = []
            apart: list[list[int]] = []
            for places, error in zip(waiting, self._sent(mutations, waiting), strict=True):
                if isinstance(error, BUSY):
                    busy.append(places)
                elif isinstance(error, InvalidRequest) and len(places) > 1:
                    apart += [[place] for place in places]  # only the one that is refused is to blame
                    continue
                for place in places:
                    results[place] = error
            pause = pause_seconds(attempts, random.random()) if busy else 0.0
            if busy and self._clock() + pause >= deadline:
                busy = []
            if busy:
                self._sleep(pause)
            waiting, attempts = busy + apart, attempts + 1
        return results

    def _sent(self, mutations: Sequence[Mutation], requests: Sequence[Sequence[int]]) -> Sequence[Exception | None]:
        """What became of each request, in their order."""
        concurrency = self._window.allowed
        answers = self._session.execute_concurrent(
            [(self._statement([mutations[place] for place in places]), ()) for places in requests],
            concurrency=concurrency,
            raise_on_first_error=False,
        )
        results = [None if success else result for success, result in answers]
        refused = sum([isinstance(result, (*BUSY, OperationTimedOut)) for result in results])
        self._window.answered(len(results) - refused)
        if refused:
            self._window.overloaded(0)  # one round is one word
        return results

    def close(self) -> None:
        """The session is its maker's."""

    def _statement(self, mutations: Sequence[Mutation]) -> Any:
        steps = [step for mutation in mutations for step in mutation.steps]
        if len(steps) == 1:
            return self._bound(steps[0])
        batch = BatchStatement(BatchType.UNLOGGED)
        for step in steps:
            batch.add(self._bound(step))
        return batch

    def _bound(self, step: Step) -> Any:
        bound = BoundStatement(self._prepared[step.statement])
        # Bytes already: the driver's own binding is left out.
        bound.values = [UNSET_VALUE if cell is UNSET else cell for cell in step.cells]
        return bound

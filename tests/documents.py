"""Documents as a leader publishes them, for whoever passes them on."""

import msgspec

from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.phase import Phase
from daemon.routes import Routes
from daemon.signal.document import Progress, Tail, document

LETTERS = {"open": 0, "settled": 0, "retried": 0, "waived": 0}


def published(
    now=1000.0,
    *,
    name="orders",
    epoch=0,
    phase=Phase.REPLICATING,
    ready=False,
    routes=None,
    switch=None,
    table="orders",
):
    """Of one table, observed at `now`."""
    migration = Migration(
        phase=phase, epoch=epoch, ready_since=now if ready else None, routes=routes or Routes(), switch=switch
    )
    seen = Observation(now, 1, 1, 1, 1, None, 0.5, "", None)
    return document(name, migration, seen, Limits(1, 1), Progress(1, 1.0, Tail(*[0] * 7), LETTERS), table)


def decoded(text):
    """A document again."""
    return msgspec.json.decode(text, type=type(published()))

"""What the server is shown of the service."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from daemon.page.history import Sample
from daemon.signal.document import Document


class View(NamedTuple):
    """What the server may look at; each is asked at each request."""

    document: Callable[[], Document | None]
    not_ready: Callable[[], str | None]  # why the data path does not work; None: it does
    looped_at: Callable[[], float]  # time.monotonic() of the last turn of the main loop
    metrics: CollectorRegistry
    samples: Callable[[], Sequence[Sample]] = tuple  # the page's chart begins with them

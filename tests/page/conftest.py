import os
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from chromium import Chromium, chromium
from debian import Missing
from page.states import made

from daemon import metrics
from daemon.demo.servers.process import free_port
from daemon.metrics import ProcessHealth
from daemon.page.history import History
from daemon.phase import Phase
from daemon.server import View, serving

SHOTS = "MOVEOUT_SCREENSHOTS"  # a folder: screenshots are left there


class Served:
    """The real server on one port for as long as the test runs; it can go away, and come back."""

    def __init__(self):
        self.make = None  # makes the document, anew for each request, as the service does
        self.why_not = None
        self.history = History()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._up = ExitStack()
        health = ProcessHealth(leader=True, jvm_restarts=0, worker_restarts=0, observed_at=1.0)
        self._view = View(
            self.document,
            lambda: self.why_not,
            time.monotonic,
            metrics.registry(self.document, lambda: health),
            self.history.samples,
        )

    def document(self):
        return self.make() if self.make else None

    def comes(self):
        self._up.enter_context(serving(self._view, "127.0.0.1", self.port))
        for _ in range(200):
            try:
                with urllib.request.urlopen(self.url + "/livez", timeout=5):  # noqa: S310  our own server
                    return
            except OSError:
                time.sleep(0.05)

    def goes(self):
        self._up.close()

    def lived(self, *, now=None):
        """As if it had run for 15 minutes: a load that ends, a peak of lag, a gap in which nobody looked."""
        now = now or time.time()
        for back in range(900, 0, -3):
            if 380 < back < 430:
                continue
            phase = Phase.BACKFILLING if back > 640 else Phase.REPLICATING
            peak = 3.1 if 200 < back < 230 else 0
            lag = 0.9 + 0.4 * ((back * 7919) % 13) / 13 + peak
            self.history.saw(made(phase, lag=lag, now=now - back))


@pytest.fixture
def served():
    made_here = Served()
    made_here.comes()
    yield made_here
    made_here.goes()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    try:
        chromium()
    except Missing as missing:
        pytest.skip(str(missing))
    with Chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def tab(browser, served):
    """Opens our page in a tab of its own."""
    pages = []

    def opened(*, drawn=True, **how):
        page = browser.page(**how)
        pages.append(page)
        page.open(served.url + "/")
        if drawn:
            page.until("Number(document.body?.dataset.drawn) > 0")
        return page

    yield opened
    for page in pages:
        page.close()


@pytest.fixture
def shot(tmp_path):
    """Leaves a screenshot where the environment says, else where pytest keeps its last folders."""
    folder = Path(os.environ.get(SHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(folder / f"{name}.png")

"""The target falls silent for half a minute while the application goes on writing."""

import time

import pytest
from e2e.watched import Watched, ready

from daemon.demo.servers.process import free_port
from daemon.demo.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(800)]
OUTAGE_SECONDS = 30


def test_an_outage_of_the_target_is_told_waited_out_and_loses_nothing(tmp_path):
    with Stage(tmp_path, "cassandra") as stage:
        stage.open()
        stage.load(1, 1000, lambda _: None)
        stage.wait_for_servers()
        stage.start_application(1, 1000)
        time.sleep(2)
        listen = f"127.0.0.1:{free_port()}"
        service = Watched(stage.configure(stage.export(), listen), listen, tmp_path / "service.log")
        try:
            service.wait(ready)
            node = stage._cassandra.result()
            node.freeze()
            time.sleep(OUTAGE_SECONDS)
            silent = service.document()
            assert not ready(silent)
            assert silent["message"].startswith("waiting for TargetAvailable")
            assert silent["lag"]["seconds"] > OUTAGE_SECONDS / 2
            assert service.get("/readyz")[0] == 503
            node.thaw()
            service.wait(ready)
            stage.stop_application()
            stopped = time.time()
            service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - stopped)
            assert stage.compare().differences == 0
            assert service.document()["tail"]["restarts"] == 0
        finally:
            service.process.terminate()
            service.process.wait(60)

"""What is scraped can be read: by promtool as text, by prometheus_client's own parser as OpenMetrics."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from served import published, served, several

from daemon.phase import Phase
from daemon.signal.document import Verification
from deploy import promtool

# Word for word what Prometheus 2.42 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
DOCUMENTS = {
    "nothing is known yet": None,
    "one table": published(verification=Verification(2, "running", 50, 90, {"missing": 1, "stale": 0}, open=3)),
    "several tables": several(published(table="orders"), published(table="carts", phase=Phase.BACKFILLING, lag=9)),
}


@pytest.fixture
def service():
    with served() as made:
        yield made


@pytest.mark.parametrize("name", DOCUMENTS)
def test_who_accepts_openmetrics_gets_it_and_a_strict_reader_reads_all_of_it(service, name):
    service.document = DOCUMENTS[name]
    answer = service.ask("/metrics", headers={"Accept": PROMETHEUS})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert answer.headers["Vary"] == "Accept"
    assert answer.body.endswith("# EOF\n")
    found = {family.name: family for family in text_string_to_metric_families(answer.body)}
    (build,) = found["moveout_build"].samples
    assert (found["moveout_build"].type, build.name, set(build.labels)) == (
        "info",
        "moveout_build_info",
        {"version", "python"},
    )
    assert found["moveout_process_restarts"].type == "counter"
    assert ("moveout_lag_seconds" in found) == (service.document is not None)


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/html", "application/openmetrics-text;version=x,"])
def test_everybody_else_gets_text_or_an_answer_at_least(service, accept):
    service.document = DOCUMENTS["one table"]
    answer = service.ask("/metrics", headers={"Accept": accept} if accept else None)
    assert answer.status == 200
    assert 'moveout_lag_seconds{migration="orders",table="customers"} 1.0' in answer.body
    if accept is None or "openmetrics" not in accept:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "# EOF" not in answer.body


def test_both_ways_tell_the_same(service):
    service.document = DOCUMENTS["several tables"]
    text = service.ask("/metrics").body.splitlines()
    other = service.ask("/metrics", headers={"Accept": PROMETHEUS}).body.splitlines()
    assert {line for line in text if told(line)} == {line for line in other if told(line)}


def told(line):
    """A sample that does not change from one request to the next."""
    return not line.startswith("#") and "memory_bytes" not in line


@pytest.mark.server
@pytest.mark.parametrize("name", DOCUMENTS)
def test_promtool_finds_nothing_to_say_about_the_page(service, name):
    service.document = DOCUMENTS[name]
    read = promtool.ran("check", "metrics", stdin=service.ask("/metrics").body)
    assert (read.returncode, read.stdout + read.stderr) == (0, "")


@pytest.mark.server
def test_promtool_would_have_said_something(service):
    service.document = DOCUMENTS["one table"]
    page = service.ask("/metrics").body.replace("moveout_process_restarts_total", "moveout_process_restarts")
    assert promtool.ran("check", "metrics", stdin=page).returncode == 3

"""The dashboard is one that Grafana can draw, and asks only for what there is. No Grafana was at hand to import it."""

import re
import time

import pytest
import yaml
from deploy.test_metrics_named import checked
from served import served

from daemon import metrics_doc
from deploy import dashboard, monitoring, promtool

PANELS = dashboard.panels()
# Point by point what the dashboard is to show: words of a title, and a metric that must be asked for there.
WANTED = [
    ("Phase", "moveout_phase"),
    ("Proven lag", "moveout_lag_seconds"),
    ("Applied through", "moveout_applied_through_timestamp_seconds"),
    ("Tail: throughput", "moveout_stream_records_total"),
    ("Items loaded", "moveout_backfill_items_done"),
    ("Time left", "moveout_backfill_eta_seconds"),
    ("Until the stream forgets", "moveout_stream_trims_in_seconds"),
    ("Shards by owner", "moveout_shards_owned"),
    ("Retries at the target", "moveout_target_retries_total"),
    ("Dead letters", "moveout_dead_letters"),
    ("Differences", "moveout_verification_differences"),
    ("Restarts", "moveout_process_restarts_total"),
    ("Memory", "moveout_process_resident_memory_bytes"),
]


@pytest.mark.parametrize(("title", "metric"), WANTED)
def test_what_an_operator_looks_for_has_a_panel(title, metric):
    assert any(name == title and metric in asked for name, asked in dashboard.expressions())


@pytest.mark.parametrize(("title", "expression"), dashboard.expressions())
def test_every_metric_label_and_value_of_a_panel_is_one_that_the_code_declares(title, expression):
    assert "moveout_" in expression, title
    checked(expression, variables=("$migration", "$table"))


@pytest.mark.parametrize("panel", dashboard.shown(), ids=lambda panel: panel["title"])
def test_legends_name_labels_that_the_series_have(panel):
    for target in panel["targets"]:
        used = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = re.search(r"^\(?\w+ by \(([^)]*)\)|max by \(([^)]*)\)", target["expr"])
        if grouped:
            assert used <= set(re.findall(r"\w+", grouped[1] or grouped[2]))
        else:
            assert used <= {"pod", "instance", "process"}


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = {}
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert taken.setdefault(cell, panel["title"]) == panel["title"]


def test_the_targets_of_a_panel_have_names_of_their_own():
    for panel in dashboard.shown():
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names) > 0


def test_no_data_source_is_named_but_the_one_that_is_chosen():
    used = dashboard.datasources(dashboard.board())
    assert len(used) > len(dashboard.shown())
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in used)
    assert dashboard.board()["id"] is None  # or it would replace whatever has it


def test_data_source_migration_and_table_can_be_chosen():
    variables = dashboard.variables()
    assert list(variables) == ["datasource", "migration", "table"]  # in this order: each is needed by the next
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    for name in ("migration", "table"):
        series, label = dashboard.asked_for(variables[name])
        assert label == name
        checked(series, variables=("$migration",))


@pytest.mark.server
def test_prometheus_can_read_every_query_of_a_panel(tmp_path):
    asked = dashboard.expressions()
    rules = [{"record": f"panel_{at}", "expr": dashboard.filled(text)} for at, (_, text) in enumerate(asked)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    read = promtool.ran("check", "rules", path)
    assert read.returncode == 0, read.stdout + read.stderr
    assert f"{len(asked)} rules found" in read.stdout


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """The port of a Prometheus that has scraped a service in which everything is told."""
    with served() as service:
        service.document = metrics_doc.example()
        with monitoring.prometheus(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{service.port}") as port:
            end = time.monotonic() + 60
            # A rate needs two scrapes.
            while not monitoring.asked(port, "query", query="rate(moveout_stream_records_total[1m])")["result"]:
                assert time.monotonic() < end, monitoring.asked(port, "targets")
                time.sleep(0.2)
            yield port


@pytest.mark.server
def test_prometheus_answers_every_query_of_a_panel_and_what_can_be_chosen(scraped):
    filled = [(title, dashboard.filled(text, "orders", "orders")) for title, text in dashboard.expressions()]
    silent = {title for title, text in filled if not monitoring.asked(scraped, "query", query=text)["result"]}
    # Nobody has paused, and every shard has an owner.
    assert silent == {"Paused", "Shards by owner"}
    for name in ("migration", "table"):
        series, label = dashboard.asked_for(dashboard.variables()[name])
        found = monitoring.asked(scraped, "series", **{"match[]": series.replace("$migration", "orders")})
        assert {one[label] for one in found} == {"orders"}

"""Metrics by name: what rules, dashboard and run book speak of is what the code declares, with these labels and values.

A name in a PromQL expression is one of ours when it begins with `moveout_`, alone or behind a recording rule's level.
"""

import re
from pathlib import Path

import documents
import pytest
from deploy.alert_cases import CASES

from daemon import metrics_doc
from daemon.control import Migration
from daemon.cutover import Limits, Observation, conditions
from daemon.phase import Phase
from deploy import promtool

DEPLOY = Path(__file__).parents[2] / "deploy"
README = (DEPLOY / "README.md").read_text()
ALERTS, RECORDED = promtool.alerts(), promtool.recorded()
FAMILIES = metrics_doc.families()
DECLARED = {sample.name: set(sample.labels) for family in FAMILIES for sample in family.samples}
# Prometheus or Kubernetes add these at the scrape.
ADDED = {"namespace", "job", "instance", "pod"}
NAME = r"(?:[a-z_]+:)?moveout_\w+(?::\w+)?"


def values():
    """label -> what it may be, for the labels whose values the code names."""
    found = {}
    for family in FAMILIES:
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    seen = Observation(1.0, 1, 1, 1, 1, None, 0.5, "", None)
    each = [conditions(Migration(phase=phase), seen, Limits(1, 1)) for phase in Phase]
    found["condition"] |= {one.type for some in each for one in some}
    return found


VALUES = values()


def checked(expression, *, variables=()):
    """Nothing, or an assertion that says which name is not declared."""
    for name, matchers in re.findall(rf"({NAME})(?:\{{([^}}]*)\}})?", expression):
        labels = known(name)
        for label, sign, value in re.findall(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"', matchers):
            assert label in labels, f"{name} has no label {label}"
            for one in [] if value in variables else value.split("|"):
                assert one in VALUES[label], f"{name}: {label} is never {one!r} ({sign})"
    for joined in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        assert set(re.findall(r"\w+", joined)) <= ADDED | set.union(*DECLARED.values()), joined


def known(name):
    """The labels of a metric, or of what is recorded of one."""
    if ":" in name:
        assert name in RECORDED, f"{name} is not recorded"
        (grouped, *_) = re.findall(r"by \(([^)]*)\)", RECORDED[name])
        return set(re.findall(r"\w+", grouped))
    assert name in DECLARED, f"{name} is not declared by daemon/metrics.py"
    return DECLARED[name] | ADDED


@pytest.mark.parametrize("name", [*ALERTS, *RECORDED])
def test_every_metric_label_and_value_of_a_rule_is_one_that_the_code_declares(name):
    expression = ALERTS[name]["expr"] if name in ALERTS else RECORDED[name]
    assert re.search(NAME, expression)
    checked(expression)


@pytest.mark.parametrize(
    "wrong",
    [
        "moveout_lag_second > 1",
        'moveout_lag_seconds{kind="readers"}',
        'moveout_phase{phase="replicated"}',
        'moveout_phase{phase=~"replicating|done"}',
        "max by (migration, tabel) (moveout_lag_seconds)",
        "migration_table:moveout_lag_seconds:min",
        'migration_table:moveout_lag_seconds:max{phase="replicating"}',
    ],
)
def test_a_name_label_or_value_that_the_code_does_not_know_is_noticed(wrong):
    with pytest.raises(AssertionError):
        checked(wrong)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_histories_in_which_it_fires_and_in_which_it_does_not(alert):
    told = [case.told is not None for case in CASES if case.alert == alert]
    assert {True, False} == set(told)


def test_histories_are_of_alerts_that_exist_and_of_series_that_the_service_tells():
    assert {case.alert for case in CASES} == set(ALERTS)
    for case in CASES:
        for series in case.series:
            checked(series.replace('pod="a"', "").replace('pod="b"', ""), variables=("shop", "orders", "carts"))


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_it_means_what_to_do_and_links_to_an_answer_that_exists(name):
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    notes = ALERTS[name]["annotations"]
    assert all(notes[kind] for kind in promtool.ANNOTATIONS)
    assert "{{" not in notes["description"] + notes["action"]
    page, anchor = notes["runbook_url"].split("#")
    assert (page, anchor in anchors) == ("deploy/README.md", True)
    assert ALERTS[name]["labels"]["severity"] in ("warning", "critical")


def test_the_run_book_lists_every_alert_and_none_that_does_not_exist():
    assert set(re.findall(r"Moveout[A-Z]\w+", README)) == set(ALERTS)


@pytest.mark.parametrize("page", ["README.md", "metrics.md"])
def test_every_metric_that_a_page_speaks_of_is_declared(page):
    named = re.findall(r"\bmoveout_\w+(?:…)?", (DEPLOY / page).read_text())
    assert named
    for name in named:
        bare = name.rstrip("…")
        assert any(one.startswith(bare) if name.endswith("…") else bare == one for one in DECLARED), name


def test_the_page_of_metrics_is_what_the_code_makes():
    assert (DEPLOY / "metrics.md").read_text() == metrics_doc.page(), "python -m daemon.metrics_doc > deploy/metrics.md"


def test_every_metric_is_told_by_the_example_with_a_line_of_its_own():
    rows = [metrics_doc.told(family) for family in FAMILIES]
    assert len({row.name for row in rows}) == len(rows) == len(FAMILIES)
    assert all(row.meaning and row.example.startswith(row.name) for row in rows)
    # A lone zero says nothing of how the figure is written; of these it is the normal state.
    silent = {row.name for row in rows if row.example.endswith(" 0.0")}
    assert {name for name in silent if "lag" in name or "backfill_items" in name} == set()


def test_what_is_scraped_is_what_the_page_of_metrics_tells_of():
    document = documents.published()
    scraped = {family.name for family in metrics_doc.metrics.registry(lambda: document, lambda: HEALTH).collect()}
    assert scraped == {family.name for family in FAMILIES}


HEALTH = metrics_doc.ProcessHealth(leader=True, jvm_restarts=0, worker_restarts=0, observed_at=1.0)

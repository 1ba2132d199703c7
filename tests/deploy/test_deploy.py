"""What is deployed is what the code knows: metrics, options, commands and links."""

import re
from pathlib import Path

import pytest
import yaml

from daemon import metrics
from daemon.cli import app
from daemon.config import Config, load, load_all
from daemon.control import Migration
from daemon.cutover import Limits, Observation
from daemon.metrics import ProcessHealth
from daemon.phase import Phase
from daemon.service import STOP_GRACE_SECONDS
from daemon.signal.document import Paused, Progress, Tail, Verification, document

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "moveout.rules.yaml").read_text())["groups"][0]["rules"]
MANIFESTS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (DEPLOY / "kubernetes" / "base").glob("*.yaml")
    if path.stem in ("deployment", "backfill-job")
}


def samples(now=1.0, applied_through=0.5, unowned=0, trims_in=None, differences=0):
    seen = Observation(now, 1, 1, 1, 1, None, applied_through, "", None)
    found = Verification(1, "finished", 10, 10, {"missing": differences, "stale": 0})
    made = document(
        "m",
        Migration(phase=Phase.REPLICATING),
        seen,
        Limits(1, 1),
        Progress(
            1,
            1.0,
            Tail(0, 0, 0, 4, 0, unowned, 0),
            {"open": 0, "settled": 0, "retried": 0, "waived": 0},
            Paused(trims_in_seconds=trims_in),
            found,
        ),
    )
    health = ProcessHealth(leader=True, jvm_restarts=0, worker_restarts=0, observed_at=1.0)
    found = metrics.registry(lambda: made, lambda: health).collect()
    return [sample for metric in found for sample in metric.samples]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_metric_and_label_of_an_alert_is_one_that_the_code_declares(rule):
    declared = {sample.name: sample.labels for sample in samples()}
    used = set(re.findall(r"\bmoveout_\w+", rule["expr"]))
    assert used
    assert used <= set(declared)
    for name, matchers in re.findall(r"(moveout_\w+)\{([^}]*)\}", rule["expr"]):
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            assert value in {s.labels.get(label) for s in samples() if s.name == name}


def fires(alert, now, found):
    """As much of PromQL as these rules need: one series at a time, comparisons and `and`."""
    (expression,) = [rule["expr"] for rule in RULES if rule["alert"] == alert]

    def worth(match):
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
        values = [s.value for s in found if s.name == match[1] and wanted.items() <= s.labels.items()]
        return repr(max(values)).replace("inf", "float('inf')")

    told = re.sub(r"(moveout_\w+)(\{[^}]*\})?", worth, expression)
    return eval(re.sub(r"on \([^)]*\)", "", told).replace("time()", str(now)))  # noqa: S307  our own rules


@pytest.mark.parametrize(
    ("alert", "calm", "alarming"),
    [
        ("MoveoutLagProofStale", {"now": 1000.0, "applied_through": 941.0}, {"now": 1000.0, "applied_through": 939.0}),
        ("MoveoutLagProofStale", {"now": 1000.0, "applied_through": None}, {"now": 1000.0, "applied_through": 1.0}),
        ("MoveoutSixHoursToTrim", {"trims_in": None}, {"trims_in": 21_599.0}),
        ("MoveoutSixHoursToTrim", {"trims_in": 21_600.0}, {"trims_in": 0.0}),
        ("MoveoutShardUnowned", {}, {"unowned": 1}),
        ("MoveoutVerificationDifferences", {}, {"differences": 1}),
    ],
)
def test_an_alert_fires_when_it_should_and_not_before(alert, calm, alarming):
    assert not fires(alert, calm.get("now", 1.0), samples(**calm))
    assert fires(alert, alarming.get("now", 1.0), samples(**alarming))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_means_and_links_to_an_answer_that_exists(rule):
    headings = re.findall(r"^## (.*)$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"].split("#")[1] in anchors


@pytest.mark.parametrize("name", ["deployment", "backfill-job"])
def test_manifests_run_commands_that_exist(name):
    container = MANIFESTS[name]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][0] in {command.name or command.callback.__name__ for command in app.registered_commands}
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_grace_of_a_pod_is_longer_than_our_drain():
    assert (
        MANIFESTS["deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > STOP_GRACE_SECONDS + 10
    )


def test_the_job_cuts_the_work_into_as_many_shares_as_it_has_pods():
    job = MANIFESTS["backfill-job"]["spec"]
    arguments = job["template"]["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--of") + 1] == str(job["completions"])


def test_the_configuration_in_the_manifests_is_good_and_leaves_the_files_to_the_job():
    assert load(DEPLOY / "kubernetes" / "base" / "moveout.yaml").backfill.workers == 0


def test_the_image_uses_files_that_exist():
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE):
        for name in line.split():
            assert (DEPLOY.parent / name).exists(), name


EXAMPLE = (DEPLOY / "moveout.example.yaml").read_text()
# A section that is commented out as a whole: what is uncommented replaces the section of that name.
ALTERNATIVES = re.findall(r"^# [a-z_]+:.*\n(?:^#   .*\n)*", EXAMPLE, re.MULTILINE)


@pytest.mark.parametrize("text", ALTERNATIVES, ids=lambda text: " ".join(text.split()[1:4]))
def test_every_alternative_of_the_example_is_a_good_one(tmp_path, text):
    chosen = yaml.safe_load("\n".join(line.removeprefix("# ") for line in text.splitlines()))
    path = tmp_path / "moveout.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(EXAMPLE), **chosen}))
    assert load_all(path)


def test_the_example_shows_every_way_in_every_target_and_every_section_once():
    shown = "\n".join(ALTERNATIVES) + EXAMPLE
    for option in ("windows:", "export:", "export_arn:", "from: scan", "from: files", "kind: dynamodb", "kind: jsonl"):
        assert f" {option}" in shown
    for section in Config.model_fields.keys() - {"one_of"} | {"tables"}:
        assert re.search(rf"^(# )?{section}:", EXAMPLE, re.MULTILINE), section

"""What is deployed is what the code knows: options, commands and links. Metrics: test_metrics_named.py."""

import re
from pathlib import Path

import pytest
import yaml

from daemon.cli import app
from daemon.config import Config, load, load_all
from daemon.service import STOP_GRACE_SECONDS

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (DEPLOY / "kubernetes" / "base").glob("*.yaml")
    if path.stem in ("deployment", "backfill-job")
}


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

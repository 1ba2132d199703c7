"""deploy/iam and deploy/terraform are what the table of rights makes, word for word (unit/test_rights.py)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.rights import files, policies, table
from daemon.rights.table import ROLES

ROOT = Path(__file__).parents[2]
IAM, TERRAFORM = ROOT / "deploy" / "iam", ROOT / "deploy" / "terraform"
MADE = files.files()


def test_the_files_are_those_that_the_table_makes_and_no_others():
    found = {str(path.relative_to(IAM)): path.read_text() for path in IAM.rglob("*") if path.is_file()}
    assert found == MADE, "python -m daemon.rights --write"


def test_the_run_book_names_every_folder_of_policies():
    told = (ROOT / "deploy" / "README.md").read_text()
    for name in {f"iam/{path.split('/')[0]}" for path in MADE if "/" in path} | {
        "python -m daemon.rights",
        "terraform/",
    }:
        assert name in told, name


# Terraform: only what needs no provider runs here, for `init` would fetch one.


@pytest.fixture
def terraform():
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("no terraform on the path")
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1"}

    def run(*words, folder=TERRAFORM, said=None):
        return subprocess.run(
            [found, *words],
            cwd=folder,
            input=said,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def evaluated(terraform, tmp_path):
    """What Terraform makes of an expression, with these variables."""

    def ask(expression, **variables):
        folder = tmp_path / "deploy" / "terraform"
        shutil.rmtree(tmp_path / "deploy", ignore_errors=True)
        shutil.copytree(IAM, tmp_path / "deploy" / "iam")
        folder.mkdir()
        for name in ("variables.tf", "policies.tf"):
            shutil.copy(TERRAFORM / name, folder)
        (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
        done = terraform("console", folder=folder, said=f"jsonencode({expression})\n")
        assert done.returncode == 0, done.stderr
        return json.loads(json.loads(done.stdout))

    return ask


def test_terraform_is_formatted_as_its_own_tool_does(terraform):
    done = terraform("fmt", "-check", "-diff", "-recursive")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("sides", [table.SIDES, ("source", "control"), ("target",)], ids=" ".join)
def test_terraform_makes_the_same_policies_of_the_same_statements(evaluated, sides):
    made = evaluated("local.policies", values=dict(files.EXAMPLE), sides=list(sides), options=list(table.OPTIONS))
    expected = {role: policies.document(role, files.EXAMPLE, sides, table.OPTIONS) for role in ROLES}
    assert {role: json.loads(text) for role, text in made.items()} == {
        role: document for role, document in expected.items() if document["Statement"]
    }


def test_terraform_makes_the_same_trust_policy(evaluated):
    trusted = files.role_arn(files.OWN, "service")
    made = evaluated(
        "local.trusts", values=dict(files.EXAMPLE), trusted={"service": [trusted]}, external_id=files.EXTERNAL_ID
    )
    assert json.loads(made["service"]) == json.loads(MADE["cross-account/trust-policy.json"])

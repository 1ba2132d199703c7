"""What Kubernetes would be given: kustomize's folders and Helm's chart, rendered by the real programs."""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import go_programs
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
CHART = DEPLOY / "helm" / "moveout"
OVERLAYS = ("small", "large")
COMPONENTS = tuple(sorted(folder.name for folder in (DEPLOY / "kubernetes" / "components").iterdir()))
HELM_VERSION = "v3.22.0"
KUBERNETES = "1.34.0"  # Helm built by `go install` takes an old one for the cluster's
TOLD = ("--kube-version", KUBERNETES)
HELM_SECONDS = go_programs.BUILD_SECONDS  # 141 s on two idle cores


def kustomized(overlay, components=(), **files):
    """The objects of an overlay with components, by kubectl. `files`: a folder of one's own on top of it, by name."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "kubernetes"
        shutil.copytree(DEPLOY / "kubernetes", root)
        mine = root / "mine"
        mine.mkdir()
        named = {"resources": [f"../{overlay}"], "components": [f"../components/{one}" for one in components]}
        for name, text in ({"kustomization.yaml": yaml.safe_dump(named)} | files).items():
            (mine / name).write_text(text)
        return objects(run([Path(sys.executable).with_name("kubectl"), "kustomize", mine]))


@cache
def _overlaid(overlay, components):
    return json.dumps(kustomized(f"overlays/{overlay}", components))


def overlaid(overlay, components=()):
    """As kustomized, made once."""
    return json.loads(_overlaid(overlay, tuple(components)))


def helmed(helm, *values, release="moveout", namespace="moveout"):
    """The objects of the chart, with further words for `helm template`."""
    return objects(run([helm, "template", release, CHART, "--namespace", namespace, *TOLD, *values]))


def refused(helm, *values):
    """What Helm says, when it refuses."""
    command = [helm, "template", "moveout", CHART, *TOLD, *values]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def objects(text):
    """Of YAML with several documents."""
    return [one for one in yaml.safe_load_all(text) if one]


def run(command):
    """What it prints. It has neither failed nor warned."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # what is deprecated is told there
    return done.stdout


def helm(*, build):
    """The path of Helm of the one version that is tested; skips where there is none."""
    module = f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"
    return go_programs.program("helm", HELM_VERSION, lambda _: ["install", module], build=build)

"""What Kubernetes would be given: kustomize's folders and Helm's chart, rendered by the real programs."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
CHART = DEPLOY / "helm" / "moveout"
OVERLAYS = ("small", "large")
COMPONENTS = tuple(sorted(folder.name for folder in (DEPLOY / "kubernetes" / "components").iterdir()))
HELM_VERSION = "v3.22.0"
KUBERNETES = "1.34.0"  # Helm built by `go install` takes an old one for the cluster's
TOLD = ("--kube-version", KUBERNETES)
HELM_SECONDS = 1800  # 141 s on two idle cores


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
        return objects(_run([Path(sys.executable).with_name("kubectl"), "kustomize", mine]))


@cache
def _overlaid(overlay, components):
    return json.dumps(kustomized(f"overlays/{overlay}", components))


def overlaid(overlay, components=()):
    """As kustomized, made once."""
    return json.loads(_overlaid(overlay, tuple(components)))


def helmed(helm, *values, release="moveout", namespace="moveout"):
    """The objects of the chart, with further words for `helm template`."""
    return objects(_run([helm, "template", release, CHART, "--namespace", namespace, *TOLD, *values]))


def refused(helm, *values):
    """What Helm says, when it refuses."""
    command = [helm, "template", "moveout", CHART, *TOLD, *values]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def objects(text):
    """Of YAML with several documents."""
    return [one for one in yaml.safe_load_all(text) if one]


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # what is deprecated is told there
    return done.stdout


def helm():
    """The path of Helm of the one version that is tested, built once into a cache; skips where it cannot be."""
    folder = Path(os.environ.get("MOVEOUT_CACHE") or Path.home() / ".cache" / "moveout")
    found = folder / f"helm-{HELM_VERSION}" / "helm"
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "helm.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
            if not found.exists():
                _build_helm(found)
    return found


def _build_helm(to):
    """By Go's module proxy, which checks what it gives against the checksum database."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"no Helm {HELM_VERSION} in the cache, and no Go (1.26, or one that fetches it) to build it with")
    module = f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"
    with tempfile.TemporaryDirectory(dir=to.parents[1]) as making:
        environment = {**os.environ, "GOBIN": making}
        try:
            done = subprocess.run(
                [go, "install", module],
                env=environment,
                capture_output=True,
                text=True,
                timeout=HELM_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"`go install {module}` took longer than {HELM_SECONDS} s")
        if done.returncode != 0:
            pytest.skip(f"`go install {module}` failed: {done.stderr.strip()[-300:]}")
        to.parent.mkdir(exist_ok=True)
        (Path(making) / "helm").replace(to)

"""What deploy/ says of records and hooks is what works: the manifests' rights suffice, the receiver receives."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import documents
import pytest
import yaml
from certificates import Authority
from kubernetes_api import KubernetesApi

from daemon.config import load
from daemon.sections import ConfigMap, Hook
from daemon.signal import events
from daemon.signal.configmap import LABELS, ConfigMapPublisher
from daemon.signal.hooks import deliver

DEPLOY = Path(__file__).parents[2] / "deploy"
README = (DEPLOY / "README.md").read_text()


def manifest(name):
    return yaml.safe_load((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())


def test_the_rights_and_the_empty_map_of_the_manifests_are_all_that_publishing_needs(tmp_path):
    (rule,) = manifest("components/signal/role")["rules"]
    empty = manifest("components/signal/configmap")
    assert rule["resourceNames"] == [empty["metadata"]["name"]]
    authority = Authority(tmp_path)
    (tmp_path / "token").write_text("token-1")
    with KubernetesApi(authority) as api:
        api.answer("POST", "/api/v1/namespaces/moveout/configmaps", "token-1", empty)
        api.verbs = set(rule["verbs"])
        options = ConfigMap(
            name=empty["metadata"]["name"],
            namespace="moveout",
            api_url=api.url,
            token_file=tmp_path / "token",
            ca_file=authority.file,
        )
        publisher = ConfigMapPublisher(options, {})
        publisher.publish(documents.published(1000.0))
        publisher.publish(documents.published(1001.0, ready=True))
        assert api.maps["moveout-signal"]["data"]["ready-readers"] == "true"
    assert empty["metadata"]["labels"].items() <= LABELS.items()


def test_the_binding_gives_the_role_to_the_account_that_the_pods_have():
    binding = manifest("components/signal/role-binding")
    assert binding["roleRef"]["name"] == manifest("components/signal/role")["metadata"]["name"]
    account = manifest("base/deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    assert [subject["name"] for subject in binding["subjects"]] == [account]


def test_the_hooks_of_the_run_book_are_good_ones(tmp_path):
    (shown,) = re.findall(r"```yaml\n(hooks:\n.*?)```", README, re.DOTALL)
    path = tmp_path / "moveout.yaml"
    path.write_text((DEPLOY / "kubernetes" / "base" / "moveout.yaml").read_text() + shown)
    assert [hook.pre for hook in load(path).hooks] == [False, True]


@pytest.fixture
def receiver(tmp_path):
    """The run book's receiver, as a process of its own."""
    (shown,) = re.findall(r"```python\n((?:(?!```).)*?HTTPServer\((?:(?!```).)*)```", README, re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "HOOK_SECRET": "shared"}
    process = subprocess.Popen(
        [sys.executable, "-c", shown], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    for _ in range(600):
        with socket.socket() as tried:
            # A socket that asks for a port of nobody's may be given that very port, and meet itself.
            if tried.connect_ex(("127.0.0.1", port)) == 0 and tried.getsockname() != tried.getpeername():
                break
        time.sleep(0.05)
    yield process, f"http://127.0.0.1:{port}/"
    process.kill()
    process.communicate()


def test_the_receiver_of_the_run_book_takes_what_is_signed_once_and_can_say_no(receiver, tmp_path, monkeypatch):
    process, url = receiver
    monkeypatch.setenv("RIGHT", "shared")
    monkeypatch.setenv("WRONG", "another")
    signed, forged, unsigned = (
        Hook(on=["route"], webhook={"url": url, **given})
        for given in ({"secret_env": "RIGHT"}, {"secret_env": "WRONG"}, {})
    )
    happened = events.since({}, documents.published(1.0, ready=True))
    assert [deliver(signed, event) for event in (*happened, *happened)] == [None] * 4
    assert deliver(forged, happened[0]) == deliver(unsigned, happened[0]) == "it answers 401"
    asked = events.before("orders", 0, events.ROUTE_READERS, "10", 1.0)
    assert deliver(signed, asked) is None
    (tmp_path / "freeze").touch()
    assert deliver(signed, asked) == "it answers 409"
    process.terminate()
    said = process.stdout.read().decode().splitlines()
    assert [line.split(" - ")[0] for line in said] == ["moveout.phase replicating", "moveout.ready.readers true"]


def test_the_values_that_the_run_book_names_are_those_that_are_written():
    (row,) = (line for line in README.splitlines() if line.startswith("| `signal.dynamodb_item`"))
    from daemon.sections import ITEM_ATTRIBUTES

    assert set(re.findall(r"`([a-z_]+)`", row.split("|")[2])) <= ITEM_ATTRIBUTES

"""The decision in a ConfigMap, against an API server that answers as Kubernetes documents it, over TLS."""

import json
import shutil
import subprocess

import documents
import pytest
import yaml
from certificates import Authority
from kubernetes_api import KubernetesApi

from daemon.phase import Phase
from daemon.routes import Routes
from daemon.sections import ConfigMap
from daemon.signal.configmap import ATTEMPTS, ConfigMapPublisher
from daemon.signal.publisher import Outdated, PublishFailed

NAME = "orders-move"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def api(authority):
    with KubernetesApi(authority) as server:
        yield server


@pytest.fixture
def account(tmp_path, authority):
    """The volume of a pod's service account."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("token-1\n")
    (folder / "namespace").write_text("moveout")
    (folder / "ca.crt").write_bytes(authority.file.read_bytes())
    return folder


@pytest.fixture
def publisher(api, account):
    def made(environment=None, **options):
        given = {"name": NAME, "token_file": account / "token", "ca_file": account / "ca.crt", **options}
        return ConfigMapPublisher(ConfigMap(**given), environment or _environment(api))

    return made


def _environment(api):
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": api.url.rpartition(":")[2]}


def test_it_is_made_where_there_is_none_and_tells_the_decision_in_its_keys(api, publisher):
    told = documents.published(ready=True, epoch=3, routes=Routes(reads_percent=25))
    publisher().publish(told)
    data, metadata = api.maps[NAME]["data"], api.maps[NAME]["metadata"]
    assert documents.decoded(data.pop("document.json")) == told
    assert data == {
        "phase": "replicating",
        "epoch": "3",
        "ready-readers": "true",
        "ready-writers": "false",
        "reads-percent": "25",
        "writes": "source",
        "writes-fenced": "false",
        "published-at": told.published_at,
        "valid-until": told.ready.valid_until,
    }
    assert metadata["annotations"]["moveout/epoch"] == "3"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "moveout"


def test_the_next_decision_replaces_it_and_what_others_put_there_stays(api, publisher):
    publisher(labels={"team": "shop"}).publish(documents.published())
    api.maps[NAME]["metadata"]["labels"]["theirs"] = "kept"
    api.maps[NAME]["metadata"]["annotations"]["theirs/note"] = "kept"
    api.change(NAME, theirs="kept")
    publisher(labels={"team": "shop"}).publish(documents.published(1005.0, ready=True))
    found = api.maps[NAME]
    assert (found["data"]["theirs"], found["data"]["ready-readers"]) == ("kept", "true")
    assert (found["metadata"]["labels"]["theirs"], found["metadata"]["labels"]["team"]) == ("kept", "shop")
    assert found["metadata"]["annotations"]["theirs/note"] == "kept"


@pytest.mark.parametrize("stale", [{"epoch": 4, "now": 2000.0}, {"epoch": 5, "now": 999.0}])
def test_a_leader_of_before_overwrites_nothing_newer(api, publisher, stale):
    publisher().publish(documents.published(1000.0, epoch=5))
    before = api.maps[NAME]
    with pytest.raises(Outdated, match="epoch 5"):
        publisher().publish(documents.published(ready=True, **stale))
    assert api.maps[NAME] == before


def test_a_leader_of_before_that_reads_first_and_writes_late_overwrites_nothing(api, publisher):
    publisher().publish(documents.published(1000.0, epoch=1))

    def somebody_is_quicker():
        api.before_put = None
        publisher().publish(documents.published(1001.0, epoch=2))

    api.before_put = somebody_is_quicker
    with pytest.raises(Outdated, match="epoch 2"):
        publisher().publish(documents.published(1002.0, epoch=1, ready=True))
    assert api.maps[NAME]["data"]["epoch"] == "2"


def test_whoever_writes_a_label_meanwhile_loses_nothing(api, publisher):
    publisher().publish(documents.published(1000.0))

    def labelled():
        api.before_put = None
        api.change(NAME, theirs="kept")

    api.before_put = labelled
    publisher().publish(documents.published(1001.0, phase=Phase.NEEDS_RESYNC))
    assert (api.maps[NAME]["data"]["theirs"], api.maps[NAME]["data"]["phase"]) == ("kept", "needs-resync")


def test_a_map_that_changes_all_the_time_is_given_up_for_now(api, publisher):
    publisher().publish(documents.published(1000.0))
    api.before_put = lambda: api.change(NAME, theirs=str(len(api.asked)))
    with pytest.raises(PublishFailed, match=f"{ATTEMPTS} attempts"):
        publisher().publish(documents.published(1001.0))


def test_one_that_is_made_or_deleted_at_the_same_moment_is_looked_at_again(api, publisher):
    publisher().publish(documents.published(1000.0))

    def deleted():
        api.before_put = None
        del api.maps[NAME]

    api.before_put = deleted
    publisher().publish(documents.published(1001.0))
    assert api.maps[NAME]["data"]["epoch"] == "0"


def test_one_of_another_migration_is_left_alone(api, publisher):
    publisher().publish(documents.published(name="customers"))
    with pytest.raises(PublishFailed, match="migration customers"):
        publisher().publish(documents.published(1005.0, epoch=9))
    assert '"customers"' in api.maps[NAME]["data"]["document.json"]


def test_an_empty_one_that_somebody_made_is_filled_so_that_no_right_to_create_is_needed(api, publisher):
    api._create(None, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}})
    api.verbs = {"get", "update"}
    publisher().publish(documents.published())
    assert api.maps[NAME]["data"]["phase"] == "replicating"


def test_a_token_that_is_renewed_is_read_again(api, account, publisher):
    made = publisher()
    made.publish(documents.published(1000.0))
    api.token = "token-2"
    with pytest.raises(PublishFailed, match="token_file") as told:
        made.publish(documents.published(1001.0))
    assert "token-1" not in str(told.value)
    (account / "token").write_text("token-2")
    made.publish(documents.published(1002.0))


def test_a_right_that_is_missing_names_the_manifest_that_grants_it(api, publisher):
    api.verbs = {"get"}
    with pytest.raises(PublishFailed, match=r"403.*cannot create.*deploy/kubernetes/components/signal"):
        publisher().publish(documents.published())


def test_a_namespace_that_is_missing_is_named(publisher):
    with pytest.raises(PublishFailed, match=r"404.*elsewhere.*signal\.configmap\.namespace"):
        publisher(namespace="elsewhere").publish(documents.published())


def test_a_server_of_another_authority_is_not_spoken_to(api, tmp_path, publisher):
    other = Authority(tmp_path / "other").file
    with pytest.raises(PublishFailed, match="CERTIFICATE_VERIFY_FAILED"):
        publisher(ca_file=other).publish(documents.published())
    assert api.asked == []


def test_outside_of_a_pod_it_says_what_to_set(publisher):
    with pytest.raises(PublishFailed, match=r"signal\.configmap\.api_url"):
        publisher(environment={"HOME": "/"}).publish(documents.published())


def test_a_missing_token_is_told_and_not_a_crash(publisher, tmp_path):
    with pytest.raises(PublishFailed, match="mount the service account's token"):
        publisher(namespace="moveout", token_file=tmp_path / "absent").publish(documents.published())


def test_kubectl_reads_it_and_waits_for_it(api, account, publisher, tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed here; the wire format is held by the tests above")
    publisher().publish(documents.published(ready=True))
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"server": api.url, "certificate-authority": str(account / "ca.crt")}
    known = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "token-1"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "moveout"}}],
        "current-context": "x",
    }
    kubeconfig.write_text(yaml.safe_dump(known))

    def kubectl(*arguments):
        place = {"HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/usr/local/bin"}
        return subprocess.run(
            ["kubectl", *arguments], env=place, capture_output=True, text=True, timeout=60, check=False
        )

    shown = kubectl("get", "configmap", NAME, "-o", "json")
    assert json.loads(shown.stdout)["data"]["epoch"] == "0", shown.stderr
    waited = kubectl("wait", f"configmap/{NAME}", "--for=jsonpath={.data.ready-readers}=true", "--timeout=10s")
    assert "condition met" in waited.stdout, waited.stderr

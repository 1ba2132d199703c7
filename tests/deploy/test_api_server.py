"""The manifests and the chart, given to the real API server of Kubernetes; and our signal, published to it."""

import copy

import documents
import kube_apiserver
import manifests
import pytest
from manifest_rules import UNCHECKED, of_kind, pods
from manifests import BASE, CHART, COMPONENTS, OVERLAYS, overlaid

from daemon.sections import ConfigMap
from daemon.signal.configmap import ConfigMapPublisher
from daemon.signal.publisher import PublishFailed

pytestmark = [pytest.mark.server, pytest.mark.timeout(manifests.HELM_SECONDS + 600)]
SPACE = ("-n", "moveout")
SIGNAL = "moveout-signal"


@pytest.fixture(scope="session")
def programs(request):
    return kube_apiserver.programs(build=request.config.getoption("--deploy"))


@pytest.fixture
def cluster(programs, tmp_path):
    with kube_apiserver.running(tmp_path, programs) as made:
        made.namespace("moveout")
        yield made


def known(objects):
    """Without the kinds of the Prometheus Operator, which a cluster has where that is installed."""
    return [one for one in objects if one["kind"] not in UNCHECKED]


def named(one):
    return f"{one['kind']}/{one['metadata']['name']}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_taken_without_a_warning_and_twice(cluster, overlay):
    objects = known(overlaid(overlay, COMPONENTS))
    for _ in range(2):
        cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", given=objects)
    for one in objects:
        assert cluster.read(*SPACE, one["kind"], one["metadata"]["name"])["metadata"]["labels"], named(one)


def test_its_pods_are_admitted_under_pod_security_restricted_and_others_are_not(cluster):
    objects = known(overlaid("small", COMPONENTS))
    cluster.kubectl("apply", "-f", "-", given=objects)
    for name, template in pods(objects):
        metadata = {**template["metadata"], "name": name, "namespace": "moveout"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        cluster.kubectl("create", "-f", "-", given=[pod])
        rooted = copy.deepcopy(pod)
        rooted["metadata"]["name"] += "-as-root"
        rooted["spec"]["securityContext"].pop("runAsNonRoot")
        assert 'violates PodSecurity "restricted' in cluster.asked("create", "-f", "-", given=[rooted]).stderr


@pytest.fixture
def publisher(cluster, tmp_path):
    """With a token of the service account that the pods have."""
    cluster.kubectl("apply", "-f", "-", given=known(overlaid("small", ("signal",))))
    (tmp_path / "token").write_text(cluster.kubectl(*SPACE, "create", "token", "moveout"))

    def made(name):
        options = ConfigMap(
            name=name,
            namespace="moveout",
            api_url=cluster.url,
            token_file=tmp_path / "token",
            ca_file=cluster.authority.file,
        )
        return ConfigMapPublisher(options, {})

    return made


def test_the_signal_is_published_with_the_rights_of_the_manifests_and_outlives_another_apply(cluster, publisher):
    publisher(SIGNAL).publish(documents.published(1000.0))
    publisher(SIGNAL).publish(documents.published(1001.0, ready=True))
    cluster.kubectl("apply", "-f", "-", given=known(overlaid("small", ("signal",))))
    cluster.kubectl(*SPACE, "wait", f"configmap/{SIGNAL}", "--for=jsonpath={.data.ready-readers}=true", "--timeout=10s")
    publisher(SIGNAL).publish(documents.published(1002.0))
    assert cluster.read(*SPACE, "configmap", SIGNAL)["data"]["ready-readers"] == "false"


def test_the_pods_account_may_get_and_update_that_map_and_nothing_else(cluster, publisher):
    account = "--as=system:serviceaccount:moveout:moveout"
    shown = cluster.kubectl(*SPACE, "auth", "can-i", "--list", account)
    ours = [line.split() for line in shown.splitlines() if "selfsubject" not in line and "[/" not in line]
    assert ours[1:] == [["configmaps", "[]", f"[{SIGNAL}]", "[get", "update]"]]
    with pytest.raises(PublishFailed, match=r"answers 403: .*cannot get resource .configmaps.*components/signal"):
        publisher("another").publish(documents.published(1000.0))


def test_another_configuration_rolls_the_service_and_needs_the_job_to_be_deleted_first(cluster):
    cluster.kubectl("apply", "-f", "-", given=known(overlaid("small")))
    mine = {
        "kustomization.yaml": "resources: [../overlays/small]\nconfigMapGenerator:\n"
        "  - {name: moveout, namespace: moveout, behavior: replace, files: [moveout.yaml]}\n",
        "moveout.yaml": (BASE / "moveout.yaml").read_text() + "# changed\n",
    }
    changed = known(manifests.kustomized("overlays/small", **mine))
    refused = cluster.asked("apply", "-f", "-", given=changed).stderr
    assert 'The Job "moveout-backfill" is invalid' in refused
    assert "field is immutable" in refused
    cluster.kubectl(*SPACE, "delete", "job", "moveout-backfill")
    cluster.kubectl("apply", "-f", "-", given=changed)
    (wanted,) = (one["metadata"]["name"] for one in of_kind(changed, "ConfigMap") if "data" in one)
    for kind, name in (("deployment", "moveout"), ("job", "moveout-backfill")):
        volumes = cluster.read(*SPACE, kind, name)["spec"]["template"]["spec"]["volumes"]
        assert wanted in [one.get("configMap", {}).get("name") for one in volumes]


def test_the_chart_is_installed_upgraded_and_leaves_nothing_behind(cluster, request):
    helm = manifests.helm(build=request.config.getoption("--deploy"))
    words = [f"--kubeconfig={cluster.configured}", *SPACE, "--set-file", f"config={BASE / 'moveout.yaml'}"]
    size = [CHART, "-f", CHART / "values-small.yaml", "--set", "signal=true"]
    for verb in ("install", "upgrade"):
        assert "STATUS: deployed" in manifests.run([helm, verb, "moveout", *words, *size])
    kinds = "deployment,job,service,configmap,serviceaccount,role,rolebinding,networkpolicy,poddisruptionbudget"
    selected = (*SPACE, kinds, "-l", "app.kubernetes.io/instance=moveout")
    assert len(cluster.read(*selected)["items"]) >= 9
    manifests.run([helm, "uninstall", "moveout", *words[:3]])
    assert cluster.read(*selected)["items"] == []

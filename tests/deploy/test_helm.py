"""The chart renders the objects of kustomize's overlays, and refuses what they could not run. Helm is built once."""

import re
import subprocess
import tomllib

import pytest
import yaml
from kubernetes_validate import validate
from manifest_rules import UNCHECKED, cql_ports, faults, of_kind
from manifests import (
    BASE,
    CHART,
    COMPONENTS,
    DEPLOY,
    HELM_SECONDS,
    OVERLAYS,
    TOLD,
    helm,
    helmed,
    objects,
    overlaid,
    refused,
)

pytestmark = pytest.mark.timeout(HELM_SECONDS + 300)  # whoever is first builds it
CONFIG = ("--set-file", f"config={BASE / 'moveout.yaml'}")
ROLE = ("--set", "serviceAccount.roleArn=arn:aws:iam::111122223333:role/moveout")
SWITCHES = {"signal": "signal", "pod-monitor": "podMonitor", "prometheus-rule": "prometheusRule"}
HASHED = re.compile(r"^(moveout|moveout-backfill)-[a-z0-9]{10}$")  # named by what is in them, each tool in its own way


@pytest.fixture(scope="module")
def program(request):
    return helm(build=request.config.getoption("--deploy"))


def values(size):
    return ("-f", str(CHART / f"values-{size}.yaml"))


def switched(*components):
    return [word for one in components for word in ("--set", f"{SWITCHES[one]}=true")]


def normal(objects):
    """By kind and name. What may differ: hashes in names, the order of variables, comments in the configuration."""
    return {(one["kind"], one["metadata"]["name"]): one for one in map(_normal, objects)}


def _normal(value):
    if isinstance(value, dict):
        told = {key: _normal(found) for key, found in value.items()}
        if "env" in told:
            told["env"] = sorted(told["env"], key=lambda variable: variable["name"])
        return told
    if isinstance(value, list):
        return [_normal(found) for found in value]
    return HASHED.sub(r"\1", value) if isinstance(value, str) else value


@pytest.mark.parametrize("size", OVERLAYS)
@pytest.mark.parametrize("components", [(), *((one,) for one in SWITCHES), tuple(SWITCHES)], ids="+".join)
def test_the_chart_has_the_very_objects_of_the_overlay(program, size, components):
    charted = normal(helmed(program, *CONFIG, *ROLE, *values(size), *switched(*components)))
    kustomized = normal(overlaid(size, components))
    assert charted.keys() == kustomized.keys()
    for name, one in kustomized.items():
        assert charted[name] == one, name


def test_the_chart_with_pod_identity_has_the_very_objects_of_the_component(program):
    charted = normal(helmed(program, *CONFIG, *values("small"), "--set", "podIdentity=true"))
    assert charted == normal(overlaid("small", ("pod-identity",)))
    assert {*SWITCHES, "pod-identity"} == set(COMPONENTS)


@pytest.mark.parametrize("size", OVERLAYS)
def test_lint_finds_nothing(program, size):
    command = [program, "lint", "--strict", *TOLD, *CONFIG, *values(size), CHART]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


CONFIGURED = yaml.safe_load((BASE / "moveout.yaml").read_text())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"server": {"listen": "127.0.0.1:8080"}}, "nothing outside of the pod reaches it"),
        ({"server": {}}, "nothing outside of the pod reaches it"),
        ({"backfill": {**CONFIGURED["backfill"], "workers": 2}}, "set backfill.workers: 0"),
        ({"mode": "backfill"}, "run the image as a Job"),
        ("migration: [", "config is not YAML"),
        ("", "config is missing"),
    ],
)
def test_a_configuration_that_the_objects_cannot_run_is_refused(program, tmp_path, changed, told):
    path = tmp_path / "moveout.yaml"
    path.write_text(changed if isinstance(changed, str) else yaml.safe_dump({**CONFIGURED, **changed}))
    assert told in refused(program, "--set-file", f"config={path}")


def test_a_chart_without_a_configuration_says_what_is_missing(program):
    assert "config is missing: --set-file config=moveout.yaml" in refused(program)


@pytest.mark.parametrize(
    "wrong",
    [
        "replica=2",
        "replicas=0",
        "backfill.pods=0",
        "terminationGracePeriodSeconds=20",
        "serviceAccount.roleArn=moveout",
        "networkPolicy.reader=x",
        "resources.limits=null",
        "env.jvm=x",
    ],
)
def test_a_value_that_the_schema_does_not_know_is_refused(program, wrong):
    assert "values don't meet the specifications of the schema" in refused(program, *CONFIG, "--set", wrong)


def test_ports_are_those_of_the_configuration_of_all_tables(program, tmp_path):
    path = tmp_path / "moveout.yaml"
    tables = [{"source": {"table": "a"}, "target": {"port": 9142}}, {"source": {"table": "b"}}]
    path.write_text(yaml.safe_dump({**CONFIGURED, "server": {"listen": "0.0.0.0:9090"}, "tables": tables}))
    made = helmed(program, "--set-file", f"config={path}")
    assert faults(made) == []
    assert cql_ports(yaml.safe_load(path.read_text())) == {9042, 9142}
    assert of_kind(made, "Service")[0]["spec"]["ports"][0]["port"] == 9090


def test_a_target_of_dynamodb_opens_no_port_of_cql(program, tmp_path):
    target = {"kind": "dynamodb", "table": "orders-moved", "region": "us-east-1"}
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump({"config": {**CONFIGURED, "target": target}, "secretName": ""}))
    made = helmed(program, "-f", path)
    assert faults(made) == []
    egress = of_kind(made, "NetworkPolicy")[0]["spec"]["egress"]
    assert {port["port"] for rule in egress for port in rule["ports"]} == {53, 443}
    (deployment,) = of_kind(made, "Deployment")
    assert "secrets" not in {volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]}


def test_every_value_makes_objects_that_kubernetes_knows(program, tmp_path):
    peers = [{"ipBlock": {"cidr": "10.0.0.0/16"}}]
    given = {
        "image": {"repository": "registry.internal/moveout", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"name": "mover"},
        "nodeSelector": {"disk": "none"},
        "monitorLabels": {"release": "kube-prometheus-stack"},
        "tolerations": [{"key": "moves", "operator": "Exists"}],
        "networkPolicy": {"dns": peers, "https": peers, "target": peers, "readers": peers, "scrapers": []},
        **dict.fromkeys((*SWITCHES.values(), "podIdentity"), True),
    }
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(given))
    made = helmed(program, *CONFIG, "-f", path, release="orders", namespace="moves")
    assert faults(made) == []
    assert {one["metadata"]["namespace"] for one in made} == {"moves"}
    assert {one["kind"] for one in made if "release" in one["metadata"].get("labels", {})} == set(UNCHECKED)
    for one in made:
        if one["kind"] not in UNCHECKED:
            validate(one, TOLD[1], strict=True)


def test_two_releases_in_one_namespace_do_not_take_each_others_pods(program):
    together = [made for release in ("orders", "customers") for made in helmed(program, *CONFIG, release=release)]
    assert len({(one["kind"], one["metadata"]["name"]) for one in together}) == len(together)
    deployments = of_kind(together, "Deployment")
    for one in (*deployments, *of_kind(together, "PodDisruptionBudget")):
        wanted = one["spec"]["selector"]["matchLabels"].items()
        assert [wanted <= found["spec"]["template"]["metadata"]["labels"].items() for found in deployments].count(
            True
        ) == 1


def test_other_pods_make_another_job_and_the_same_ones_the_same(program):
    def job(*words):
        (found,) = of_kind(helmed(program, *CONFIG, *words), "Job")
        return found["metadata"]["name"]

    assert job() == job("--set", "replicas=3")
    assert (
        len({job(), job("--set", "backfill.pods=5"), job("--set", "image.tag=v2"), job("--set", "secretName=x")}) == 4
    )


def test_the_version_of_the_chart_is_that_of_moveout():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    assert chart["version"] == chart["appVersion"] == version
    image = yaml.safe_load((BASE / "kustomization.yaml").read_text())["images"][0]
    assert image["newTag"] == version
    assert image["newName"] == yaml.safe_load((CHART / "values.yaml").read_text())["image"]["repository"]


def test_the_helm_that_is_shown_in_the_run_book_works(program):
    readme = (DEPLOY / "README.md").read_text()
    (shown,) = re.findall(r"^helm install (.*?)\n```", readme, re.DOTALL | re.MULTILINE)
    words = shown.replace("\\\n", " ").replace("config=moveout.yaml", CONFIG[1]).split()
    assert words[:4] == ["moveout", "deploy/helm/moveout", "-n", "moveout"]
    command = [program, "template", *TOLD, *words]
    made = objects(subprocess.run(command, cwd=DEPLOY.parent, capture_output=True, text=True, check=True).stdout)
    assert faults(made) == []
    assert of_kind(made, "PodMonitor")

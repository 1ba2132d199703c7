"""Rules for Kubernetes objects that no schema has: each takes rendered objects and yields its faults, a line each.

Pod Security: Kubernetes documentation, "Pod Security Standards", profiles Baseline and Restricted. What a selector
selects: "Labels and Selectors". Ports and probes by name: "Service", "Configure Probes".
"""

import yaml

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = ("RuntimeDefault", "Localhost")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
UNCHECKED = ("PodMonitor", "PrometheusRule")  # kinds of the Prometheus Operator, not of Kubernetes


def of_kind(objects, *kinds):
    return [one for one in objects if one["kind"] in kinds]


def pods(objects):
    """(name, template) of all that makes pods."""
    return [(one["metadata"]["name"], one["spec"]["template"]) for one in of_kind(objects, "Deployment", "Job")]


def containers(template):
    return [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]


def configuration(objects):
    """What moveout.yaml in the ConfigMap says."""
    (text,) = (one["data"]["moveout.yaml"] for one in of_kind(objects, "ConfigMap") if "data" in one)
    return yaml.safe_load(text)


def restricted(objects):
    """Pod Security `restricted`, and what we ask for beyond it: nothing is writable but what has a limit."""
    for name, template in pods(objects):
        spec = template["spec"]
        security = spec.get("securityContext", {})
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(forbidden):
                yield f"{name}: {forbidden}"
        if security.get("seccompProfile", {}).get("type") not in SECCOMP:
            yield f"{name}: seccomp is not confined"
        if security.get("runAsNonRoot") is not True or security.get("runAsUser", 1) == 0:
            yield f"{name}: may run as root"
        yield from (f"{name}: {fault}" for volume in spec.get("volumes", []) for fault in _volume(volume))
        yield from (f"{name}: {fault}" for container in containers(template) for fault in _container(container))


def _volume(volume):
    (kind,) = set(volume) - {"name"}
    if kind not in VOLUMES:
        yield f"volume {volume['name']} is a {kind}"
    if kind == "emptyDir" and "sizeLimit" not in volume[kind]:
        yield f"volume {volume['name']} may fill the node"


def _container(container):
    security = container.get("securityContext", {})
    capabilities = security.get("capabilities", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may get more privileges"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "has capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "has a port of the node"
    given = container.get("resources", {})
    if "memory" not in given.get("requests", {}) or "memory" not in given.get("limits", {}):
        yield "has no bound for memory"


def named(objects):
    """What an object names is there too, in the same namespace. A Secret may be missing where the pod starts."""
    there = {(one["kind"], one["metadata"]["name"]) for one in objects}
    if len(there) != len(objects):
        yield "two objects of one kind and name"
    if len({one["metadata"].get("namespace") for one in objects}) != 1:
        yield "several namespaces"
    for name, template in pods(objects):
        for kind, wanted in _wanted(template):
            if (kind, wanted) not in there:
                yield f"{name}: there is no {kind} {wanted}"
    for binding in of_kind(objects, "RoleBinding"):
        for one in (binding["roleRef"], *binding["subjects"]):
            if (one["kind"], one["name"]) not in there:
                yield f"{binding['metadata']['name']}: there is no {one['kind']} {one['name']}"
        if any(one.get("namespace") != binding["metadata"]["namespace"] for one in binding["subjects"]):
            yield f"{binding['metadata']['name']}: its subjects are of another namespace"


def _wanted(template):
    spec = template["spec"]
    yield "ServiceAccount", spec["serviceAccountName"]
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume and not volume["secret"].get("optional"):
            yield "Secret", volume["secret"]["secretName"]
    mounted = {mount["name"] for container in containers(template) for mount in container.get("volumeMounts", [])}
    for missing in mounted - {volume["name"] for volume in spec.get("volumes", [])}:
        yield "volume", missing


def selected(objects):
    """Each selector selects the pods that it is for, and no others."""
    labels = {name: template["metadata"]["labels"] for name, template in pods(objects)}
    services = {one["metadata"]["name"] for one in of_kind(objects, "Deployment")}
    for whose, selector, wanted in _selectors(objects, services, set(labels)):
        found = {name for name, has in labels.items() if selector and selector.items() <= has.items()}
        if found != wanted:
            yield f"{whose} selects {sorted(found)}, not {sorted(wanted)}"


def _selectors(objects, services, everything):
    for one in objects:
        whose, spec = f"{one['kind']} {one['metadata']['name']}", one.get("spec", {})
        if one["kind"] == "Service":
            yield whose, spec["selector"], services
        if one["kind"] in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
            yield whose, spec["selector"]["matchLabels"], services
        if one["kind"] == "NetworkPolicy":
            wanted = everything if "Egress" in spec["policyTypes"] else services
            yield whose, spec["podSelector"]["matchLabels"], wanted
        if one["kind"] == "Deployment":
            for spread in spec["template"]["spec"]["topologySpreadConstraints"]:
                yield f"{whose}, {spread['topologyKey']},", spread["labelSelector"]["matchLabels"], services


def ports(objects):
    """Each port that is named is one of the pods, and theirs is the one that the configuration listens on."""
    host, _, listened = configuration(objects)["server"]["listen"].rpartition(":")
    if host != "0.0.0.0":  # noqa: S104  a pod's network is its own
        yield f"nothing outside of the pod reaches {host}"
    ((_, template),) = [(name, made) for name, made in pods(objects) if "backfill" not in name]
    (container,) = template["spec"]["containers"]
    known = {port["name"]: port["containerPort"] for port in container["ports"]}
    if set(known.values()) != {int(listened)}:
        yield f"the pod has {known}, the configuration listens on {listened}"
    for whose, port in _named_ports(objects, container):
        if port not in known:
            yield f"{whose} is on port {port}, the pod has {sorted(known)}"


def _named_ports(objects, container):
    for probe in PROBES:
        yield probe, container[probe]["httpGet"]["port"]
    for service in of_kind(objects, "Service"):
        yield from (("the Service", port["targetPort"]) for port in service["spec"]["ports"])
    for monitor in of_kind(objects, "PodMonitor"):
        yield from (("the PodMonitor", endpoint["port"]) for endpoint in monitor["spec"]["podMetricsEndpoints"])
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            yield from (("a NetworkPolicy", port["port"]) for port in rule["ports"])


def reached(objects):
    """What the configuration speaks to is open, nobody but named peers comes in."""
    policies = [one["spec"] for one in of_kind(objects, "NetworkPolicy")]
    if not any({"Ingress", "Egress"} <= set(spec["policyTypes"]) for spec in policies):
        yield "no policy closes what is not opened"
    out = {
        (port["protocol"], port["port"])
        for spec in policies
        for rule in spec.get("egress", [])
        for port in rule["ports"]
    }
    for wanted in {("UDP", 53), ("TCP", 53), ("TCP", 443)} | {
        ("TCP", port) for port in cql_ports(configuration(objects))
    }:
        if wanted not in out:
            yield f"{wanted[0]} {wanted[1]} is closed"
    for rule in (rule for spec in policies for rule in spec.get("egress", [])):
        if not rule.get("ports"):
            yield "every port is open"
    for rule in (rule for spec in policies for rule in spec.get("ingress", [])):
        if not rule.get("from") or any(not peer for peer in rule["from"]):
            yield "everybody may come in"


def cql_ports(configured):
    """Of all tables of a configuration."""
    tables = [configured.get("target", {}) | one.get("target", {}) for one in configured.get("tables", [{}])]
    return {target.get("port", 9042) for target in tables if target.get("kind") == "cassandra"}


def kept_apart(objects):
    """A Service of our name would set variables in the name space of our options; the token is for the signal alone."""
    signal = bool(of_kind(objects, "Role"))
    for name, template in pods(objects):
        if template["spec"].get("enableServiceLinks") is not False:
            yield f"{name}: the cluster's services set its variables"
        if template["spec"].get("automountServiceAccountToken") is not (signal and "backfill" not in name):
            yield f"{name}: the API's token is {'missing' if signal else 'mounted'}"


def shared_out(objects):
    """The Job cuts the work into as many shares as it has pods, and the service loads nothing itself."""
    for job in of_kind(objects, "Job"):
        spec = job["spec"]
        arguments = spec["template"]["spec"]["containers"][0]["args"]
        if not str(spec["completions"]) == str(spec["parallelism"]) == arguments[arguments.index("--of") + 1]:
            yield f"{arguments} for {spec['completions']} pods"
        if configuration(objects)["backfill"]["workers"] != 0:
            yield "the service loads too"


RULES = (restricted, named, selected, ports, reached, kept_apart, shared_out)


def faults(objects):
    """Of all rules."""
    return [fault for rule in RULES for fault in rule(objects)]

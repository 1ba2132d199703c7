"""The real API server of Kubernetes on Debian's etcd: no controllers, no nodes, so nothing runs in it.

What it takes or refuses is what a cluster does: schemas, admission, Pod Security, RBAC, resourceVersion.
"""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import debian
import go_programs
import yaml
from certificates import Authority

from daemon.demo.servers.process import ServerProcess, free_port

VERSION = "1.34.4"
STAMP = f"-s -w -X k8s.io/component-base/version.gitVersion=v{VERSION}"  # Helm asks for it
SOURCES = Path(__file__).parent / "deploy" / "kube_apiserver"
START_SECONDS = 120
ADMIN = "an-administrator"
KUBECTL = Path(sys.executable).with_name("kubectl")


def programs(*, build):
    """etcd and the API server, or the test is skipped and says why."""
    server = go_programs.program(
        "kube-apiserver",
        VERSION,
        lambda folder: [
            "build",
            "-trimpath",
            "-mod=readonly",
            f"-ldflags={STAMP}",
            "-o",
            f"{folder}/kube-apiserver",
            ".",
        ],
        build=build,
        cwd=SOURCES,
    )
    return debian.needed("etcd", "etcd-server"), server


class Cluster:
    """As its administrator sees it. `authority` has signed the server's certificate."""

    def __init__(self, folder, port, authority):
        self.url, self.authority, self._folder = f"https://127.0.0.1:{port}", authority, folder
        self.configured = self._configured("admin", ADMIN)

    def _configured(self, name, token):
        path = self._folder / f"{name}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.authority.file)}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": name}}],
            "current-context": "it",
        }
        path.write_text(yaml.safe_dump(told))
        return path

    def asked(self, *words, given=None):
        """kubectl, whatever it answers. `given`: objects for its standard input."""
        command = [KUBECTL, f"--kubeconfig={self.configured}", f"--cache-dir={self._folder / 'cache'}", *words]
        stdin = None if given is None else yaml.safe_dump_all(given)
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)

    def kubectl(self, *words, given=None):
        """What it prints. It has neither refused nor warned."""
        done = self.asked(*words, given=given)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def namespace(self, name):
        """With Pod Security `restricted`, enforced and warned of."""
        labels = {f"pod-security.kubernetes.io/{how}": "restricted" for how in ("enforce", "warn")}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.kubectl("create", "-f", "-", given=[space])

    def read(self, *words):
        """An object, as `kubectl get` has it."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))


@contextmanager
def running(folder, programs):
    """A cluster of nothing but its API, and of its own."""
    etcd, server = programs
    authority = Authority(folder / "authority")
    stores, peers, port = free_port(), free_port(), free_port()
    store, api = ServerProcess("etcd", folder / "etcd.log"), ServerProcess("kube-apiserver", folder / "api.log")
    (folder / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n")
    try:
        store.start(_etcd(etcd, folder, stores, peers))
        api.start(_api(server, folder, authority, stores, port))
        cluster = Cluster(folder, port, authority)
        api.wait_until(lambda: cluster.asked("get", "--raw", "/readyz").stdout == "ok", START_SECONDS)
        yield cluster
    finally:
        api.stop()
        store.stop()


def _etcd(program, folder, port, peers):
    url, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return [
        str(program),
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def _api(program, folder, authority, etcd_port, port):
    certificate, key = authority.issue("api-server", hosts=("127.0.0.1",))
    public, signing = authority.issue("service-accounts")
    return [
        str(program),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--cert-dir={folder}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={signing}",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]

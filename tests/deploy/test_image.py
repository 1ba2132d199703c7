"""The image: built from the Dockerfile, searched, and run as a cluster would run it, a whole move included."""

import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import containers
import pytest
from e2e.watched import ready
from test_tidy import PROJECT

from daemon import __version__
from daemon.demo.processes import tree
from daemon.demo.servers.process import free_port
from daemon.demo.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]
NAME = "localhost/moveout:test"
MARK = "of-the-build-alone"
HARDENED = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:size=64m",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=1g",
    "--network=host",
]
FORBIDDEN = re.compile(
    r"(^|/)s?bin/(gcc|g\+\+|cc|c\+\+|clang|ld|make|javac|pip3?)(-?[0-9.]+)?$"
    r"|ecj[^/]*\.jar$|opt/moveout/.*site-packages/(pip|setuptools)/"
    r"|(^|/)\.cache/.|^cache/.|\.deb$|var/lib/apt/lists/.|^etc/pip\.conf$|^run/ca\.crt$|^src/"
)
ITEMS, READY_SECONDS_MAX, GRACE_SECONDS = 300, 400, 60


@pytest.fixture(scope="module")
def store(deploy_only, tmp_path_factory):  # noqa: ARG001  asked first: nothing is installed without it
    made = containers.Containers(tmp_path_factory.mktemp("containers"))
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def image(store, tmp_path_factory):
    pip, bundle = containers.secrets(tmp_path_factory.mktemp("secrets"), MARK)
    given = {"PYTHON_IMAGE": store.base(), "REVISION": "0123abc", "SOURCE": "https://example.org/moveout"}
    store.buildah(
        "bud",
        "--format=docker",  # the OCI format knows no HEALTHCHECK
        "--pull-never",
        "--isolation=chroot",
        *(f"--build-arg={name}={value}" for name, value in given.items()),
        f"--secret=id=pip,src={pip}",
        f"--secret=id=ca,src={bundle}",
        f"--tag={NAME}",
        str(PROJECT),
        timeout=1200,
    )
    return NAME


def said(store, image, *command):
    """What the shell in a container says, as locked down as it can be."""
    return store.podman("run", "--rm", *HARDENED, "--entrypoint", "sh", image, "-c", *command)


def test_it_says_what_it_is_and_runs_moveout_as_nobody_in_particular(store, image):
    found = store.inspected(image)["Config"]
    labels = {name.rpartition(".")[2]: value for name, value in found["Labels"].items()}
    assert (labels["version"], labels["revision"]) == (__version__, "0123abc")
    assert labels["source"] == "https://example.org/moveout"
    assert (found["User"], found["Entrypoint"], found["Cmd"]) == ("10001:10001", ["moveout"], ["run"])
    assert store.podman("run", "--rm", *HARDENED, image, "--version") == __version__
    assert "Touches nothing" in store.podman("run", "--rm", *HARDENED, image, "check", "--help")


def test_it_needs_no_root_no_capability_and_no_writable_file(store, image):
    assert said(store, image, "id -u") == "10001"
    status = said(store, image, "cat /proc/self/status")
    assert re.findall(r"^(?:CapEff|CapPrm|CapBnd):\s+(\w+)$", status, re.MULTILINE) == ["0" * 16] * 3
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert said(store, image, "touch /opt/x /opt/moveout/x /home/x 2>/dev/null || echo refused") == "refused"
    limits = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true"
    assert str(1 << 30) in said(store, image, limits).split()


def test_no_layer_has_a_compiler_a_cache_a_secret_or_the_name_of_a_mirror(store, image, tmp_path):
    wanted = [MARK.encode(), *(host.encode() for host in containers.mirrors())]
    names, found = 0, []
    for layer in store.layers(image, tmp_path / "image.tar"):
        for member in layer:
            names += 1
            if FORBIDDEN.search(member.name.removeprefix("./")) and not member.isdir():
                found.append(member.name)
            content = layer.extractfile(member).read() if member.isfile() else b""
            found += [(member.name, word) for word in wanted if word in content]
    assert found == []
    assert names > 5000  # it was the image that was searched
    assert MARK not in json.dumps(store.inspected(image))


def test_what_it_contains_is_what_the_table_in_the_repository_says(store, image):
    shown = said(store, image, "cat /opt/moveout/LICENSES.md")
    assert shown == (PROJECT / "deploy/image/LICENSES.md").read_text().strip()
    listed = json.loads(said(store, image, "cat /opt/moveout/sbom.json"))["components"]
    assert len(listed) == shown.count("\n| ") - 1  # the head


def test_bytecode_is_there_and_asks_for_no_time_of_a_file(store, image):
    found = said(store, image, "find /opt/moveout/venv -name '*.py' -path '*/daemon/*' | wc -l")
    program = (
        "import glob;"
        "files = glob.glob('/opt/moveout/venv/lib/**/daemon/**/*.pyc', recursive=True);"
        "heads = [open(file, 'rb').read(8)[4] for file in files];"
        "print(len(heads), set(heads))"  # PEP 552: 1 is a hash that is not checked
    )
    assert said(store, image, f'python -c "{program}"') == f"{found} {{1}}"


def stop(store, container, grace_seconds):
    """SIGTERM; the exit code, which is 137 for whoever does not end in time."""
    store.podman("stop", "-t", str(grace_seconds), container, timeout=grace_seconds + 60)
    return json.loads(store.podman("inspect", container))[0]["State"]["ExitCode"]


class Contained:
    """`moveout run` in a container, seen over HTTP and through /proc."""

    def __init__(self, store, image, config, *command):
        self._store = store
        self._listen = re.search(r"^  listen: (\S+)$", config.read_text(), re.MULTILINE)[1]
        aws = [f"--env={name}" for name in os.environ if name.startswith("AWS_") and "BUNDLE" not in name]
        mounted = f"--volume={config}:/etc/moveout/moveout.yaml:ro"
        self.container = store.podman("run", "--detach", *HARDENED, *aws, mounted, image, *command)

    def pid(self):
        """Of its process 1, as the machine numbers it."""
        return json.loads(self._store.podman("inspect", self.container))[0]["State"]["Pid"]

    def logs(self):
        done = subprocess.run(
            [*self._store.podman_command(), "logs", "--tail", "30", self.container],
            env=self._store.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def status(self):
        """What it says at /v1/migration, in the network of this machine; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self._listen}/v1/migration", timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def is_ready(self):
        found = self.status()
        return found is not None and "ready" in found and ready(found)

    def wait(self, holds):
        end = time.monotonic() + READY_SECONDS_MAX
        while not holds():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.5)

    def processes(self):
        """All of it: process id, parent, state, command line; process 1 first."""
        return [Seen(one.pid) for one in tree(self.pid())]


class Seen:
    def __init__(self, pid):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.pid, self.state, self.parent = pid, stat[0], int(stat[1])
        self.command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@pytest.fixture
def stage(tmp_path):
    with Stage(tmp_path, "dynamodb") as made:
        made.open()
        made.load(1, ITEMS, lambda _: None)
        made.wait_for_servers()
        made.start_application(1, ITEMS)
        time.sleep(3)  # the stream must be older than the margin
        yield made


def configured(stage):
    """By scan, and without what would be written outside of /tmp."""
    path = stage.configure("s3://none/manifest-summary.json", f"127.0.0.1:{free_port()}")
    text = re.sub(r"  from: s3-export\n  manifest: .*\n", "  from: scan\n", path.read_text())
    text = re.sub(r"^signal:.*\n(?:  .*\n)*", "", text, flags=re.MULTILINE)
    path.write_text(text + "dead_letters: {to: /tmp/letters}\n")
    path.chmod(0o644)
    return path


def test_a_whole_move_runs_in_it_orphans_are_reaped_and_sigterm_ends_it_in_order(store, image, stage):
    service = Contained(store, image, configured(stage))
    service.wait(service.is_ready)
    assert store.podman("exec", service.container, "python", "-m", "daemon.health") == ""
    (jvm,) = (one for one in service.processes() if one.command[0].endswith("/java"))
    shards = {one.pid for one in service.processes() if one.parent == jvm.pid}
    assert shards
    os.kill(jvm.pid, 9)
    service.wait(lambda: not shards & {one.pid for one in service.processes()})
    service.wait(lambda: "Z" not in {one.state for one in service.processes()})
    service.wait(lambda: any(one.command[0].endswith("/java") for one in service.processes()))
    stage.stop_application()
    stopped = time.time()
    service.wait(lambda: service.is_ready() and service.status()["lag"]["seconds"] < time.time() - stopped)
    assert stop(store, service.container, GRACE_SECONDS) == 0, service.logs()
    assert stage.compare().differences == 0


def test_a_backfill_worker_that_is_process_1_ends_on_sigterm(store, image, stage):
    worker = Contained(store, image, configured(stage), "backfill")
    worker.wait(lambda: "daemon.lean" in worker.processes()[0].command)
    worker.wait(lambda: len(worker.processes()) == 1)  # the configuration has been handed on
    assert stop(store, worker.container, GRACE_SECONDS) == 143

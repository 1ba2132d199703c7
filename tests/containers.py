"""An image built and run without a registry and without an engine: buildah, podman and runc, in a folder of their own.

The base image is made by debootstrap, once for a machine, and kept in the cache. Nothing is left in the machine's own
store of images: all lies below one folder, which goes.
"""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import debian
import pytest

from daemon.java import jars

BASE = "localhost/moveout-base:bookworm"
SUITE = "bookworm"  # its Python is 3.11, as that of the image's real base
PACKAGES = "python3,python3-venv,ca-certificates"
# crun fails where cgroups are not delegated, and podman wants more open files than a sandbox may give.
CONFIGURED = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
STORED = '[storage]\ndriver = "{driver}"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/store"\n'
SIGNED = '{"default": [{"type": "insecureAcceptAnything"}]}'


class Failed(Exception):
    """A program of the containers' ended badly; its words are in the message."""


class Containers:
    """A store of images and what runs of it. Skips the test where there is no root, or a program is missing."""

    def __init__(self, folder):
        if os.geteuid() != 0:
            pytest.skip("only root may build and run an image here: rootless needs subordinate ids")
        self._folder = folder
        self._programs = {name: debian.needed(name) for name in ("buildah", "podman", "runc", "debootstrap")}
        (folder / "containers.conf").write_text(CONFIGURED)
        (folder / "storage.conf").write_text(STORED.format(driver="overlay", folder=folder))
        (folder / "policy.json").write_text(SIGNED)
        self._cache = jars.cache() / "image"
        self._cache.mkdir(parents=True, exist_ok=True)

    def buildah(self, *arguments, timeout=600):
        return self._run([self._programs["buildah"], *arguments], timeout)

    def podman(self, *arguments, timeout=120):
        return self._run([*self.podman_command(), *arguments], timeout)

    def podman_command(self):
        return [
            self._programs["podman"],
            "--runtime",
            self._programs["runc"],
            "--cgroup-manager=cgroupfs",
            f"--tmpdir={self._folder}/libpod",
        ]

    def environment(self):
        """Build caches lie in the machine's cache: a second build fetches nothing."""
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self._folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._folder / "storage.conf"),
            "TMPDIR": str(self._cache),
        }

    def _run(self, command, timeout):
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise Failed(f"{' '.join(command)}: code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout.strip()

    def base(self):
        """The name of an image with Python 3.11, as `FROM` may use it."""
        made = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", made, str(self._root_file_system()), "/")
        self.buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", made)
        self.buildah("commit", "--quiet", "--rm", made, BASE)
        return BASE

    def _root_file_system(self):
        kept = self._cache / f"{SUITE}.tar"
        if kept.exists():
            return kept
        folder = self._folder / "debian"
        self._run(
            [self._programs["debootstrap"], "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder)], 600
        )
        (folder / "usr/bin/python").symlink_to("python3")
        for name in ("etc/apt/sources.list", "var/log/bootstrap.log"):
            (folder / name).unlink(missing_ok=True)  # they name the mirror, for which the image is searched
        for left in [*(folder / "var/cache/apt").rglob("*"), *(folder / "var/lib/apt/lists").rglob("*")]:
            if left.is_file():
                left.unlink()
        partial = kept.with_suffix(f".{os.getpid()}")
        with tarfile.open(partial, "w") as archive:
            archive.add(folder, arcname=".")
        partial.rename(kept)
        return kept

    def inspected(self, image):
        """What the image says of itself."""
        return json.loads(self.podman("image", "inspect", image))[0]

    def layers(self, image, archive):
        """Each layer of an image as an open tar file, the base's too."""
        self.podman("save", "--quiet", "--format=docker-archive", "-o", str(archive), image, timeout=300)
        with tarfile.open(archive) as saved:
            manifest = json.load(saved.extractfile("manifest.json"))[0]
            for name in dict.fromkeys(manifest["Layers"]):
                with tarfile.open(fileobj=saved.extractfile(name)) as layer:
                    yield layer

    def remove(self):
        """All that was made here, by its id; the folder is the caller's."""
        for container in self.podman("ps", "-aq").split():
            self.podman("rm", "-f", "-t", "1", container)
        for container in self.buildah("containers", "-q").split():
            self.buildah("rm", container)
        for image in self.podman("images", "-aq").split():
            self.podman("rmi", "-f", image)


def secrets(folder, mark):
    """Files for `--secret`, from what this machine's pip and requests use; `mark` stands in each."""
    pip, bundle = folder / "pip.conf", folder / "ca.crt"
    authority = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("PIP_CERT")
    bundle.write_text((Path(authority).read_text() if authority else "") + f"# {mark}\n" if authority else "")
    said = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    kept = [line.split(".", 1)[1] for line in said.splitlines() if _travels(line)]
    pip.write_text("\n".join([f"# {mark}", "[global]", *(line.replace("'", "") for line in kept)]) + "\n")
    return pip, bundle


def _travels(line):
    return any(f".{name}=" in line for name in ("index-url", "extra-index-url", "trusted-host", "timeout"))


def mirrors():
    """Hosts that this machine's pip is told to ask instead of the public index."""
    said = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"index-url='https?://(?:[^@/']*@)?([^/:']+)", said))

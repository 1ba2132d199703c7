"""Programs in Go that tests run, of the one version that is tested: built once, into a cache.

Go's module proxy gives the sources; what it gives is checked against the checksum database, or a go.sum of ours.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

BUILD_SECONDS = 1800


def cache():
    return Path(os.environ.get("MOVEOUT_CACHE") or Path.home() / ".cache" / "moveout")


def program(name, version, command, *, build, cwd=None):
    """The path of it. Skips where it is not in the cache and nobody builds, or it cannot be built.

    `command(folder)`: words for Go that put it there.
    """
    found = cache() / f"{name}-{version}" / name
    if not found.exists() and not build:
        pytest.skip(f"no {name} {version} in the cache, and building it takes minutes: make deploy-test")
    if not found.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with (cache() / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
            if not found.exists():
                _build(found, command, cwd)
    return found


def _build(to, command, cwd):
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"no {to.name} in the cache, and no Go (1.26, or one that fetches it) to build it with")
    with tempfile.TemporaryDirectory(dir=cache()) as making:
        words = command(making)
        told = f"`go {' '.join(words[:2])}` of {to.name}"
        try:
            done = subprocess.run(
                [go, *words],
                cwd=cwd,
                env={**os.environ, "GOBIN": making},
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{told} took longer than {BUILD_SECONDS} s")
        if done.returncode != 0:
            pytest.skip(f"{told} failed: {done.stderr.strip()[-300:]}")
        to.parent.mkdir(exist_ok=True)
        (Path(making) / to.name).replace(to)

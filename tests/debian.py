"""Programs that tests run and Python does not bring: found on the path, or installed from Debian.

Only root may install, and only where there is apt-get; else the tests that need it are skipped, with the reason.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

INSTALL_SECONDS = 420


class Missing(Exception):
    """There is no such program, and it could not be installed. The message says what was tried."""


@cache
def program(names, package):
    """The path of the first of `names` (a tuple) that there is. Raises Missing."""
    found = _found(names)
    if found is None:
        why_not = _installed(package, names)
        found = _found(names)
        if found is None:
            raise Missing(f"no {names[0]}: {why_not}. Install it: apt-get install {package}")
    return found


def needed(name, package=None):
    """The path of a program, or the test is skipped and says why."""
    try:
        return program((name,), package or name)
    except Missing as missing:
        pytest.skip(str(missing))


def _found(names):
    return next((path for name in names if (path := shutil.which(name))), None)


def _installed(package, names):
    """Install it; why there is still none."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get here"
    if os.geteuid() != 0:
        return "only root may install it"
    command = ["apt-get", "install", "-y", "--no-install-recommends", package]
    with (Path(tempfile.gettempdir()) / "moveout-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes, and apt-get in one
        if _found(names):
            return "it was installed meanwhile"
        for step in (command, ["apt-get", "update"], command):  # a fresh image has no lists of packages yet
            try:
                done = _apt(step)
            except subprocess.TimeoutExpired:
                return f"`{' '.join(step)}` took longer than {INSTALL_SECONDS} s"
            if done.returncode == 0 and step is command:
                return "it was installed, but is not on the path"
    return f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}"


def _apt(command):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )

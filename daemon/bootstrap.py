"""Makes the project's own Python environment: `python3 daemon/bootstrap.py`. Standard library only.

Run by the Makefile before anything is installed. Does nothing when nothing has changed.
Generic types stand in quotes: a Python too old for moveout (3.6 to 3.8) must get as far as being told so.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STAMP = "moveout.stamp"
MAVEN = "{http://maven.apache.org/POM/4.0.0}"
PYTHON_MIN = (3, 11)


class CannotSetUp(Exception):
    """The environment cannot be made; the message says what to do."""


def main() -> int:
    """Make or renew the environment; exit code 1 with a sentence when that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv")
    parser.add_argument("--lock", type=Path, default=PROJECT / "requirements.lock")
    parser.add_argument("--no-editable", action="store_true", help="copy moveout in: for an image")
    options = parser.parse_args()
    try:
        _set_up(options.venv, options.lock, editable=not options.no_editable)
    except CannotSetUp as error:
        sys.stderr.write(f"set-up: {error}\n")
        return 1
    return 0


def _set_up(venv: Path, lock: Path, *, editable: bool) -> None:
    if sys.version_info < PYTHON_MIN:
        found = ".".join(map(str, sys.version_info[:3]))
        raise CannotSetUp(
            f"found Python {found} ({sys.executable}), moveout needs 3.11 or newer: make PYTHON=python3.11"
        )
    wanted = _fingerprint(lock)
    stamp = venv / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    began = time.monotonic()
    say(f"making the Python environment {venv.name} (once, about a minute)")
    _make_venv(venv)
    python = venv / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        _install(python, lock, Path(folder), editable=editable)
    stamp.write_text(wanted)
    say(f"the Python environment is ready after {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"set-up: {line}\n")
    sys.stderr.flush()


def _fingerprint(lock: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in (lock, PROJECT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _make_venv(venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False, capture_output=True, text=True)
    if made.returncode:
        raise CannotSetUp(
            f"python -m venv failed: {(made.stdout + made.stderr).strip()[-400:]}\n"
            "On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv"
        )


def _install(python: Path, lock: Path, folder: Path, *, editable: bool) -> None:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    say("installing locked packages, each checked against its hash")
    # amazon-kclpy comes as source, and its setup downloads 60 jars that we do not use: our own set is
    # locked in daemon/java. It is given empty ones instead.
    environment = {"KCL_MVN_REPO_SEARCH_URL": _empty_jars(python, lock, folder).as_uri() + "/"}
    _run([*pip, "--require-hashes", "-r", str(lock)], environment)
    say("installing moveout itself")
    _run([*pip, "--no-deps", *(["--editable"] if editable else []), str(PROJECT)], {})


def _empty_jars(python: Path, lock: Path, folder: Path) -> Path:
    """A repository of empty jars, laid out as amazon-kclpy's own pom names them."""
    pin = folder / "kclpy.lock"
    pin.write_text(_locked(lock, "amazon-kclpy"))
    download = [str(python), "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    # --no-binary would build its metadata, which needs nothing of the network but setuptools.
    _run([*download, "--require-hashes", "--no-binary", "amazon-kclpy", "-d", str(folder), "-r", str(pin)], {})
    (archive,) = folder.glob("amazon*kclpy-*.tar.gz")
    for group, artifact, version in _dependencies(archive):
        jar = folder / "jars" / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"
        jar.parent.mkdir(parents=True, exist_ok=True)
        jar.touch()
    return folder / "jars"


def _locked(lock: Path, package: str) -> str:
    """The package's own entry of the lock: its line and the hashes below it."""
    entries = lock.read_text().replace("\\\n", " ").splitlines()
    return next(entry for entry in entries if entry.startswith(f"{package}==")) + "\n"


def _dependencies(archive: Path) -> "list[tuple[str, str, str]]":
    with tarfile.open(archive) as files:
        pom = next(name for name in files.getnames() if name.count("/") == 1 and name.endswith("/pom.xml"))
        content = files.extractfile(pom)
        assert content is not None  # noqa: S101  a regular file
        root = ET.parse(content).getroot()  # noqa: S314  its hash has been checked
    found = root.find(f"{MAVEN}properties")
    properties = {f"${{{p.tag.removeprefix(MAVEN)}}}": p.text or "" for p in found} if found is not None else {}

    def text(dependency: ET.Element, name: str) -> str:
        value = dependency.findtext(f"{MAVEN}{name}") or ""
        return properties.get(value, value)

    names = ("groupId", "artifactId", "version")
    return [tuple(text(d, name) for name in names) for d in root.iter(f"{MAVEN}dependency")]  # type: ignore[misc]


def _run(command: "list[str]", environment: "dict[str, str]") -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise CannotSetUp(
            f"`{' '.join(command[1:6])} …` ended with code {done.returncode}; its own message stands above. "
            "Is the package index reachable? Run it again: what is there already is not fetched again"
        )


if __name__ == "__main__":
    sys.exit(main())

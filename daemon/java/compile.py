"""Compiles our few Java files on the user's machine: with a JDK where there is one, else with ecj on a JRE."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daemon.java import jars as jar_sets
from daemon.java.jre import java, javac, version_of

RELEASE = "17"


class NotCompiled(Exception):
    """The compiler refused; its own words are in the message."""


def compiled(sources: Sequence[Path], jars: Path) -> Path:
    """A folder of classes, made once per content of sources and jars. Raises NotCompiled, JavaMissing."""
    prepared = os.environ.get("MOVEOUT_JARS")
    ready = Path(prepared) / "classes" / sources[0].parent.name if prepared else None
    if ready is not None and ready.is_dir():
        return ready
    folder = jar_sets.cache() / "classes" / _fingerprint(sources, jars)
    if not folder.exists():
        _compile(sources, jars, folder)
    return folder


def _fingerprint(sources: Sequence[Path], jars: Path) -> str:
    # A jar's name has its version; a prepared folder's own name has none.
    digest = hashlib.sha256("\n".join(sorted(jar.name for jar in jars.glob("*.jar"))).encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(sources: Sequence[Path], jars: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "classes"
        made.mkdir()
        options = ["-nowarn", "-cp", _class_path(jars), "-d", str(made), *map(str, sources)]
        done = subprocess.run([*_compiler(), *options], capture_output=True, text=True, check=False)
        if done.returncode:
            names = ", ".join(source.name for source in sources)
            raise NotCompiled(f"{names} cannot be compiled:\n{(done.stdout + done.stderr)[-2000:]}")
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process was quicker, with the same classes
                raise


def _compiler() -> list[str]:
    binary = java(int(RELEASE))
    compiler = javac(binary) or _javac_on_path()
    if compiler is not None:
        # Not --release: it would hide sun.misc.Signal. -source keeps the classes runnable on a 17.
        return [str(compiler), "-source", RELEASE, "-target", RELEASE]
    (ecj,) = jar_sets.ensure("ecj").glob("*.jar")
    return [str(binary), "-jar", str(ecj), f"-{RELEASE}"]


def _javac_on_path() -> Path | None:
    """A JDK's that is not the one whose java was chosen; its own java tells how old it is."""
    found = shutil.which("javac")
    if found is None:
        return None
    version = version_of(Path(found).resolve().with_name("java"))
    return Path(found) if version is not None and version >= int(RELEASE) else None


def _class_path(jars: Path) -> str:
    # ecj does not expand `*`.
    return os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")))

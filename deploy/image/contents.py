"""What an image contains beside its base, run while it is built: sbom.json (CycloneDX 1.5) and LICENSES.md.

Of Python what is installed, of jars what the lock says and lies there, and the JRE. Of the base image its maker tells.
"""

import argparse
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, NamedTuple

import licences

from daemon import __version__
from daemon.java.jars import Jar, locked

CALLED = "moveout"
HEADER = """\
# Licences of what the image contains

Beside its base image. Made by `deploy/image/contents.py` from the metadata of each; `tests/deploy` compares it.
The texts lie beside each: in `*.dist-info` of a Python package, in `META-INF` of a jar, in `legal` of the JRE.

| what | version | licence |
|---|---|---|
"""


class Component(NamedTuple):
    """What somebody else has made. `sha256` is known of jars only: of a package any of several wheels was taken."""

    purl: str
    name: str
    version: str
    licence: str
    sha256: str | None = None


def packages(found: Iterable[Distribution]) -> list[Component]:
    """The Python packages, ours left out."""
    return [
        Component(
            purl=f"pkg:pypi/{_normal(one.name)}@{one.version}",
            name=_normal(one.name),
            version=one.version,
            licence=licences.of_package(one.metadata),
        )
        for one in found
        if _normal(one.name) != CALLED
    ]


def jar_files(jars: Sequence[Jar], folder: Path) -> list[Component]:
    """The jars of a set, which lie in a folder. Raises FileNotFoundError for one that does not."""
    made = []
    for jar in jars:
        group, artifact, *_, version = jar.coordinate.split(":")
        licence = licences.of_jar(jar.coordinate, folder / jar.file_name)
        purl = f"pkg:maven/{group}/{artifact}@{version}"
        made.append(Component(purl, f"{group}:{artifact}", version, licence, jar.sha256))
    return made


def runtime(folder: Path) -> Component:
    """The JRE, which says in its file `release` what it is."""
    release = dict(re.findall(r'^(\w+)="(.*)"$', (folder / "release").read_text(), re.MULTILINE))
    version = release.get("JAVA_RUNTIME_VERSION", release["JAVA_VERSION"])
    licence = "GPL-2.0-only WITH Classpath-exception-2.0"  # OpenJDK's, for all its class libraries
    return Component(f"pkg:generic/openjdk-jre@{version.replace('+', '%2B')}", "openjdk-jre", version, licence)


def bill(components: Sequence[Component]) -> dict[str, Any]:
    """The document, as CycloneDX 1.5 has it. No time in it, and its number follows from its contents."""
    listed = [_listed(one) for one in sorted(components)]
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(listed))
    ours = {
        "type": "application",
        "bom-ref": CALLED,
        "name": CALLED,
        "version": __version__,
        "licenses": [{"expression": "Apache-2.0"}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": ours},
        "components": listed,
        "dependencies": [{"ref": CALLED, "dependsOn": [one["bom-ref"] for one in listed]}],
    }


def table(components: Sequence[Component]) -> str:
    """The same for people."""
    return HEADER + "".join(f"| {one.name} | {one.version} | {one.licence} |\n" for one in sorted(components))


def _listed(one: Component) -> dict[str, Any]:
    group, _, name = one.name.rpartition(":")
    known: dict[str, Any] = {"type": "library", "bom-ref": one.purl}
    if group:
        known["group"] = group
    known |= {"name": name, "version": one.version, "purl": one.purl}
    if one.licence != licences.UNKNOWN:
        known["licenses"] = [{"expression": one.licence}]
    if one.sha256:
        known["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
    return known


def _normal(name: str) -> str:
    """As PyPI compares names (packaging.python.org, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--java", type=Path, required=True, help="the JRE's folder")
    parser.add_argument("--jars", type=Path, required=True, help="the folder with the jars of the KCL")
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()
    found = [*packages(distributions()), *jar_files(locked("kcl"), options.jars), runtime(options.java)]
    (options.into / "sbom.json").write_text(json.dumps(bill(found), indent=1) + "\n")
    (options.into / "LICENSES.md").write_text(table(found))


if __name__ == "__main__":
    main()

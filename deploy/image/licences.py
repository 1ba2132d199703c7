"""What a component's own metadata says of its licence, as SPDX names it (spdx.org/licenses)."""

import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageMetadata
from pathlib import Path

UNKNOWN = "NOASSERTION"  # SPDX's word for "nobody has said"
HEAD = 60  # characters: some put the whole text where the name belongs

# Patterns on what metadata says, the first that fits counts.
NAMES = (
    (r"epl-v10.*lgpl-2", "EPL-1.0 OR LGPL-2.1-only"),
    (r"apache", "Apache-2.0"),
    (r"mozilla public license 2|mpl-2", "MPL-2.0"),
    (r"bsd[ -]3-clause", "BSD-3-Clause"),
    (r"\bisc\b", "ISC"),
    (r"gplv2", "GPL-2.0-only WITH Classpath-exception-2.0"),
    (r"\bmit\b", "MIT"),
)
# Jars in which nothing says it; from their projects' poms or pages.
TOLD_ELSEWHERE = {
    "com.google.guava:listenablefuture": "Apache-2.0",  # its parent pom, guava-parent
    "com.github.spotbugs:spotbugs-annotations": "LGPL-2.1-only",  # its own pom
    "org.jetbrains:annotations": "Apache-2.0",  # its own pom
    "org.reactivestreams:reactive-streams": "MIT-0",  # its own pom
    "software.amazon.kinesis:amazon-kinesis-client-multilang": "Apache-2.0",  # its parent pom
}
# Packages that say "BSD" and not which: as counted in the LICENSE file that each brings.
COUNTED = {"jsonconversion": "BSD-2-Clause", "python-dateutil": "Apache-2.0 OR BSD-3-Clause"}
POM_LICENCE = re.compile(r"<license>\s*<name>(.*?)</name>", re.DOTALL)
LICENCE_FILE = re.compile(r"META-INF/LICEN[CS]E[^/]*")


def of_package(metadata: PackageMetadata) -> str:
    """A Python package's: its expression, else its field, else what its classifiers say."""
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    if metadata["Name"] in COUNTED:
        return COUNTED[metadata["Name"]]
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    field = metadata.get("License") or ""
    return spdx(field[:HEAD]) or " OR ".join(sorted({name for line in classifiers if (name := spdx(line))})) or UNKNOWN


def of_jar(coordinate: str, path: Path) -> str:
    """A jar's: its manifest, else its pom, else the text that lies in it, else what its project says."""
    with zipfile.ZipFile(path) as jar:
        for said in _said(jar):
            known = spdx(said)
            if known:
                return known
    return TOLD_ELSEWHERE.get(":".join(coordinate.split(":")[:2]), UNKNOWN)


def spdx(said: str) -> str | None:
    """The SPDX name of what was said; None where that is no licence we know."""
    return next((name for pattern, name in NAMES if re.search(pattern, said.lower(), re.DOTALL)), None)


def _said(jar: zipfile.ZipFile) -> Iterator[str]:
    names = jar.namelist()
    if "META-INF/MANIFEST.MF" in names:
        # A line of a manifest goes on in the next one behind a space.
        manifest = _text(jar, "META-INF/MANIFEST.MF").replace("\r\n", "\n").replace("\n ", "")
        yield from re.findall(r"^Bundle-License: (.*)$", manifest, re.MULTILINE)
    for name in names:
        if name.endswith("/pom.xml"):
            yield from POM_LICENCE.findall(_text(jar, name))
    for name in names:
        if LICENCE_FILE.fullmatch(name):
            yield _text(jar, name)[:400]


def _text(jar: zipfile.ZipFile, name: str) -> str:
    return jar.read(name).decode(errors="replace")

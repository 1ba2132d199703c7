"""Renews jars.lock from the poms beside it: `python -m daemon.java.lock`. Needs mvn; for maintainers only."""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from daemon.java.jars import LOCK, Jar

HERE = Path(__file__).parent
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
LISTED = re.compile(r"^\s+([^\s:]+):([^\s:]+):([^\s:]+):(?:([^\s:]+):)?([^\s:]+):(?:compile|runtime)\b")
HEADER = """\
# Every jar that is run, by Maven coordinate and SHA-256. Made by `python -m daemon.java.lock` from the poms
# beside it; change those. set, coordinate, SHA-256
"""


def main() -> int:
    """Resolve every pom and write the lock."""
    lines = [line for pom in sorted(HERE.glob("*.pom.xml")) for line in _resolved(pom)]
    LOCK.write_text(HEADER + "".join(lines))
    return 0


def _resolved(pom: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "list"
        _mvn(pom, f"{PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder}/jars")
        _mvn(pom, f"{PLUGIN}:list", f"-DoutputFile={listing}")
        found = [
            _line(pom, match, Path(folder) / "jars")
            for match in map(LISTED.match, listing.read_text().splitlines())
            if match
        ]
    return sorted(found)


def _line(pom: Path, match: re.Match[str], folder: Path) -> str:
    group, artifact, kind, classifier, version = match.groups()
    middle = [kind, classifier] if classifier else ([kind] if kind != "jar" else [])
    coordinate = ":".join([group, artifact, *middle, version])
    sha256 = hashlib.sha256((folder / Jar(coordinate, "").file_name).read_bytes()).hexdigest()
    return f"{pom.name.removesuffix('.pom.xml')} {coordinate} {sha256}\n"


def _mvn(pom: Path, *goals: str) -> None:
    subprocess.run(["mvn", "-q", "-B", "-f", str(pom), "-DincludeScope=runtime", *goals], check=True)


if __name__ == "__main__":
    sys.exit(main())

"""Known vulnerabilities of what the image contains, asked at an OSV service: `python deploy/image/audit.py SBOM URL`.

One question for Python packages and jars alike (google.github.io/osv.dev/post-v1-querybatch), of https://api.osv.dev or
whatever answers as it does. Not run here against the real one. Exit codes: 0 none, 1 some, 2 it cannot be told.
"""

import argparse
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Known to be vulnerable for years: a service that knows nothing of them has no data, and its silence says nothing.
CANARIES = ("pkg:pypi/jinja2@2.4.1", "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1")
TIMEOUT_SECONDS = 30
QUERIES_MAX = 1000  # of one request
KNOWN = ("pkg:pypi/", "pkg:maven/")  # the JRE is of no ecosystem that OSV has


class CannotTell(Exception):
    """The service was not reached, or has no data. The message says which."""


def vulnerable(purls: Sequence[str], service: str) -> dict[str, list[str]]:
    """The ids of what is known of each, where anything is. Raises CannotTell."""
    found = _ask([*CANARIES, *purls], service)
    for canary in CANARIES:
        if not found.pop(canary, None):
            raise CannotTell(f"{service} knows nothing of {canary}: it has no data, so nothing can be concluded")
    return found


def _ask(purls: Sequence[str], service: str) -> dict[str, list[str]]:
    if len(purls) > QUERIES_MAX:
        raise CannotTell(f"{len(purls)} components, and one request takes {QUERIES_MAX}")
    asked = json.dumps({"queries": [{"package": {"purl": purl}} for purl in purls]}).encode()
    url = f"{service.rstrip('/')}/v1/querybatch"
    request = urllib.request.Request(url, asked, {"Content-Type": "application/json"})  # noqa: S310  the user's own
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            results: list[dict[str, Any]] = json.load(answer)["results"]
        # Further pages would only name more of what is told already.
        told = {
            purl: [one["id"] for one in result["vulns"]]
            for purl, result in zip(purls, results, strict=True)
            if result.get("vulns")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotTell(f"{service} cannot be asked, or answers otherwise than OSV does: {error!r}") from error
    return told


def main() -> int:
    """Ask, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sbom", type=Path)
    parser.add_argument("service")
    parser.add_argument("--accept", action="append", default=[], metavar="ID", help="looked at, and no harm here")
    options = parser.parse_args()
    purls = [one["purl"] for one in json.loads(options.sbom.read_text())["components"]]
    try:
        found = vulnerable([purl for purl in purls if purl.startswith(KNOWN)], options.service)
    except CannotTell as error:
        sys.stderr.write(f"audit: {error}\n")
        return 2
    bad = {purl: left for purl, ids in found.items() if (left := sorted(set(ids) - set(options.accept)))}
    for purl, ids in sorted(bad.items()):
        sys.stdout.write(f"{purl}: {', '.join(ids)}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""What the image is said to contain is what the locks say; and no silence of a service is taken for a clean bill."""

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from test_tidy import PROJECT

from daemon import __version__
from daemon.demo.servers.loopback import serving
from daemon.java import jars

IMAGE = PROJECT / "deploy/image"
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
sys.path.insert(0, str(IMAGE))  # scripts of the build, which import each other as such


def script(name):
    spec = spec_from_file_location(name, IMAGE / f"{name}.py")
    made = module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


licences, contents, audit = (script(name) for name in ("licences", "contents", "audit"))
TABLE = (IMAGE / "LICENSES.md").read_text()
SHOWN = dict(re.findall(r"^\| (\S+) \| (\S+) \| .* \|$", TABLE.partition("|---|")[2], re.MULTILINE))
ON_PYTHON_3_11 = {"python_full_version": "3.11.9", "sys_platform": "linux"}  # of the image, wherever this runs


def locked(name="requirements-run.lock"):
    lines = re.findall(r"^([a-z].*?) ?\\?$", (PROJECT / name).read_text(), re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {
        one.name: str(one.specifier).removeprefix("==")
        for one in found
        if one.marker is None or one.marker.evaluate(ON_PYTHON_3_11)
    }


def packages():
    """Those of the lock, as they are installed here, where the version is that of the lock."""
    installed = (distribution(name) for name in locked())
    return contents.packages([one for one in installed if one.version == locked()[contents._normal(one.name)]])


def in_jars():
    return contents.jar_files(jars.locked("kcl"), jars.ensure("kcl"))


def test_the_table_of_licences_has_every_package_and_every_jar_of_the_locks_and_nothing_else():
    java = [jar.coordinate.split(":") for jar in jars.locked("kcl")]
    wanted = locked() | {f"{group}:{artifact}": version for group, artifact, *_, version in java}
    assert SHOWN.pop("openjdk-jre").startswith("17.")
    assert wanted.items() == SHOWN.items()


def test_the_licences_of_packages_are_what_their_metadata_say():
    rows = TABLE.splitlines()
    made = contents.table(packages()).removeprefix(contents.HEADER).splitlines()
    assert made
    assert [row for row in made if row not in rows] == []
    assert licences.UNKNOWN not in "".join(rows)


@pytest.mark.server
def test_the_licences_of_jars_are_what_the_jars_say():
    rows = TABLE.splitlines()
    assert [row for row in contents.table(in_jars()).splitlines() if row not in rows] == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Apache License                                 Version 2.0, January", "Apache-2.0"),
        ("http://www.eclipse.org/legal/epl-v10.html, http://www.gnu.org/licenses/old-licenses/lgpl-2.1.html", "EPL-1"),
        ("License :: OSI Approved :: MIT License", "MIT"),
        ("BSD", None),  # which one? That has to be looked at
        ("Miscellaneous", None),
        ("", None),
    ],
)
def test_a_licence_is_recognised_or_left_open(said, meant):
    found = licences.spdx(said)
    assert found is None if meant is None else found.startswith(meant)


def test_the_bill_is_what_cyclonedx_asks_for():
    parts = [
        contents.Component("pkg:maven/g/a@1", "g:a", "1", "Apache-2.0", "ab" * 32),
        contents.Component("pkg:pypi/b@2", "b", "2", licences.UNKNOWN),
    ]
    bill = contents.bill(parts)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert bill["metadata"]["component"]["version"] == __version__
    jar, package = bill["components"]
    assert (jar["group"], jar["name"], jar["version"]) == ("g", "a", "1")
    assert jar["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert jar["licenses"] == [{"expression": "Apache-2.0"}]
    assert "licenses" not in package
    assert "group" not in package
    assert all(one["type"] == "library" for one in bill["components"])
    assert bill["dependencies"] == [{"ref": "moveout", "dependsOn": ["pkg:maven/g/a@1", "pkg:pypi/b@2"]}]
    assert contents.bill(parts[::-1]) == bill  # the same contents are the same bill, to the byte
    assert contents.bill(parts[:1])["serialNumber"] != bill["serialNumber"]


def test_the_dockerfile_says_the_version_and_has_only_what_a_lock_says():
    assert f"ARG VERSION={__version__}\n" in DOCKERFILE
    for line in DOCKERFILE.splitlines():
        if "pip install" in line:
            assert "--require-hashes" in line
    assert ":latest" not in DOCKERFILE
    assert not re.search(r"curl|wget|^ADD ", DOCKERFILE, re.MULTILINE)


def test_hadolint_finds_nothing_in_the_dockerfile():
    lint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(lint), str(PROJECT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def osv(known):
    """As OSV documents its answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            ids = [known.get(one["package"]["purl"], []) for one in asked]
            results = [
                {"vulns": [{"id": each, "modified": "2026"} for each in found]} if found else {} for found in ids
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"results": results}).encode())

        def log_message(self, *_):
            pass

    return serving(Answer)


CANARIES = {canary: ["GHSA-canary"] for canary in audit.CANARIES}


def test_a_known_vulnerability_is_told_of_the_component_that_has_it():
    with osv({**CANARIES, "pkg:pypi/b@2": ["GHSA-1", "GHSA-2"]}) as service:
        assert audit.vulnerable(["pkg:pypi/a@1", "pkg:pypi/b@2"], service) == {"pkg:pypi/b@2": ["GHSA-1", "GHSA-2"]}


@pytest.mark.parametrize("missing", audit.CANARIES)
def test_a_service_that_knows_nothing_is_not_believed(missing):
    known = {purl: ids for purl, ids in CANARIES.items() if purl != missing}
    with osv(known) as service, pytest.raises(audit.CannotTell, match="has no data"):
        audit.vulnerable(["pkg:pypi/a@1"], service)


def test_a_service_that_is_not_there_is_no_clean_bill():
    with osv({}) as service:
        pass
    with pytest.raises(audit.CannotTell, match="cannot be asked"):
        audit.vulnerable(["pkg:pypi/a@1"], service)


def run_audit(bill, service, *options):
    command = [sys.executable, str(IMAGE / "audit.py"), str(bill), service, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_exit_codes_tell_clean_from_vulnerable_from_unknown(tmp_path):
    bill = tmp_path / "sbom.json"
    bill.write_text(json.dumps(contents.bill([contents.Component("pkg:pypi/b@2", "b", "2", "MIT")])))
    with osv({**CANARIES, "pkg:pypi/b@2": ["GHSA-1"]}) as service:
        assert run_audit(bill, service) == (1, "pkg:pypi/b@2: GHSA-1\n")
        assert run_audit(bill, service, "--accept", "GHSA-1") == (0, "")
    assert run_audit(bill, service)[0] == 2


@pytest.mark.server
def test_nothing_that_is_shipped_has_a_known_vulnerability(tmp_path):
    service = os.environ.get("MOVEOUT_OSV_URL")
    if not service:
        pytest.skip("MOVEOUT_OSV_URL names no service with data of vulnerabilities, as https://api.osv.dev")
    bill = tmp_path / "sbom.json"
    bill.write_text(json.dumps(contents.bill([*packages(), *in_jars()])))
    code, told = run_audit(bill, service)
    if code == 2:
        pytest.skip(told)
    assert (code, told) == (0, "")


def pip_audit(*options):
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--strict",
        "--no-deps",
        "--disable-pip",
        "--progress-spinner=off",
        *options,
    ]
    done = subprocess.run([*command, "--format=json"], capture_output=True, text=True, timeout=300, check=False)
    try:
        return [one for one in json.loads(done.stdout)["dependencies"] if one.get("vulns")], done
    except ValueError:
        return None, done


@pytest.mark.server
def test_pip_audit_knows_of_nothing_in_the_python_packages(tmp_path):
    canary = tmp_path / "canary.txt"
    canary.write_text("jinja2==2.4.1\n")
    known, done = pip_audit("-r", str(canary))
    if not known:  # without --strict it would say "No known vulnerabilities found", and 0
        pytest.skip(f"pip-audit has no data here: {done.stderr.strip()[-200:]}")
    found, done = pip_audit("--require-hashes", "-r", str(PROJECT / "requirements-run.lock"))
    assert (found, done.returncode) == ([], 0), done.stdout + done.stderr

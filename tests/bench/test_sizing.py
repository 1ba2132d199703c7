"""The sizing bench runs on a real service. What it measures is nobody's promise, that it measures each process is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import footprint

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]
PROJECT = Path(__file__).parent.parent.parent


def test_a_service_with_three_shards_is_measured_by_process(tmp_path):
    written = tmp_path / "sizing.json"
    command = [sys.executable, "-m", "tests.bench.sizing", "--shards", "3", "--seconds", "3", "--settle", "0"]
    ran = subprocess.run(
        [*command, "--json", str(written)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert ran.returncode == 0, ran.stderr
    (found,) = json.loads(written.read_text())
    assert [found["idle"][kind]["processes"] for kind in footprint.KINDS] == [1, 1, 3]
    assert found["loaded"]["records_applied"] > 0
    for kind in footprint.KINDS:
        assert 0 < found["loaded"][kind]["pss_mib"] <= found["loaded"][kind]["rss_mib"]
    assert "together" in ran.stdout

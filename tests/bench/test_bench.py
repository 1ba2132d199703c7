"""The bench runs, and compares what is the same. What it measures is nobody's promise."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


def test_the_bench_runs_and_writes_down_what_it_prints(tmp_path):
    written = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--lines", "50", "--large", "50", "--pairs", "1", "--json", written]
    ran = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "TypeDeserializer" in ran.stdout
    found = json.loads(written.read_text())
    assert found["read"]["ratio"] > 0
    assert 600 < found["bytes_per_line"] < 750
    if shutil.which("cc"):
        assert found["cql"]["ratio"] > 0
    else:
        assert "no C compiler" in ran.stdout
    assert found["memory_mib"]["peak"] >= found["memory_mib"]["python"] > 0

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from daemon import bootstrap

SOURCE = Path(bootstrap.__file__)
# The oldest that a supported distribution still calls python3.
OLDEST = (3, 6)


def run(folder, before=""):
    """The file as the Makefile runs it, on a Python that differs by the lines of `before`."""
    script = f"""
import runpy, sys
{before}
sys.argv = [{str(SOURCE)!r}, "--venv", "venv", "--lock", "lock"]
runpy.run_path({str(SOURCE)!r}, run_name="__main__")
"""
    (folder / "lock").touch()
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_a_python_too_old_is_told_what_was_found_and_what_is_needed(tmp_path):
    done = run(tmp_path, "sys.version_info = (3, 8, 18)")
    assert done.returncode == 1
    assert done.stderr.startswith("set-up: found Python 3.8.18 (")
    assert "needs 3.11 or newer: make PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_too_old_can_read_the_file_that_says_so():
    tree = ast.parse(SOURCE.read_text(), feature_version=OLDEST)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    told = [f.returns for f in functions] + [a.annotation for f in functions for a in f.args.args + f.args.kwonlyargs]
    # Evaluated when the function is defined; before 3.9 `list[str]` is a TypeError.
    assert [ast.unparse(hint) for hint in told if isinstance(hint, ast.Subscript)] == []


def test_nothing_but_the_standard_library_is_imported():
    tree = ast.parse(SOURCE.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_a_python_that_cannot_make_environments_is_told_with_the_package_that_can(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho ensurepip is not available\nexit 1\n")
    broken.chmod(0o755)
    done = run(tmp_path, f"sys.executable = {str(broken)!r}")
    assert done.returncode == 1
    assert "ensurepip is not available" in done.stderr
    assert "apt-get install python3-venv" in done.stderr


def test_nothing_is_done_and_nothing_said_when_nothing_has_changed(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / bootstrap.STAMP).write_text(bootstrap._fingerprint(tmp_path / "lock"))
    done = run(tmp_path, 'sys.executable = "/nothing/may/be/started"')
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock"])
def test_the_locks_that_ship_have_a_hash_for_every_package_and_no_host(name):
    text = (SOURCE.parent.parent / name).read_text()
    entries = text.replace("\\\n", " ").splitlines()
    assert entries
    assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "--index" not in text

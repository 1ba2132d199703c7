"""What must stay true of the code itself: its layers, its sizes, its habits."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 150
DRAWERS = ("util", "utils", "common", "helper", "helpers", "misc")
# Where a person is the reader, print is the way to speak.
MAY_PRINT = ("daemon/demo/",)


def tracked(*patterns):
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [PROJECT / name for name in names.stdout.splitlines() if (PROJECT / name).exists()]


PYTHON = tracked("*.py")
PRODUCT = [path for path in PYTHON if path.relative_to(PROJECT).parts[0] in ("daemon", "sinks")]


def name(path):
    return str(path.relative_to(PROJECT))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", [p for p in PRODUCT if p.is_relative_to(PROJECT / "sinks")], ids=name)
def test_sinks_never_import_the_engine(path):
    assert [module for module in imports(path) if module.split(".")[0] == "daemon"] == []


@pytest.mark.parametrize(
    "path", [p for p in PRODUCT if p.name in ("gap.py", "lag.py", "cutover.py", "lineage.py", "phase.py")], ids=name
)
def test_decisions_are_pure_no_client_no_clock(path):
    assert set(imports(path)) & {"boto3", "botocore", "time", "os", "threading", "daemon.aws", "daemon.app"} == set()


@pytest.mark.parametrize("path", [p for p in PRODUCT if "demo" in p.parts and p.name == "compare.py"], ids=name)
def test_the_comparison_of_the_demo_shares_no_code_with_the_engine(path):
    ours = [m for m in imports(path) if m.split(".")[0] in ("sinks", "daemon")]
    allowed = ("daemon.demo", "daemon.verify.canonical")
    assert [module for module in ours if not module.startswith(allowed)] == []


def test_what_values_are_compared_by_shares_no_code_with_the_sinks_encoders():
    spelling = PROJECT / "daemon" / "verify" / "canonical.py"
    assert [m for m in imports(spelling) if m.split(".")[0] in ("sinks", "daemon", "msgspec", "boto3")] == []


@pytest.mark.parametrize("path", tracked("*.py", "*.java"), ids=name)
def test_no_file_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_function_is_too_long_to_read(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= FUNCTION_LINES_MAX}
    assert long == {}


def test_there_is_no_drawer_for_what_has_no_place():
    assert [name(path) for path in PYTHON if path.stem in DRAWERS or path.parent.name in DRAWERS] == []


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_mock_library_stands_where_a_fake_belongs(path):
    assert [module for module in imports(path) if "mock" in module.split(".")] == []


@pytest.mark.parametrize("path", [p for p in PRODUCT if not name(p).startswith(MAY_PRINT)], ids=name)
def test_the_service_logs_and_never_prints(path):
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    assert [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"] == []


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_every_module_says_what_it_is_for(path):
    if path.read_text().strip():
        assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", tracked("*.py", "*.java", "*.md", "Makefile", "*.yaml", "Dockerfile"), ids=name)
def test_nothing_is_left_to_do_in_a_comment(path):
    words = "TO" + "DO", "FIX" + "ME", "XX" + "X"
    assert [word for word in words if re.search(rf"\b{word}\b", path.read_text())] == []


def test_no_path_of_one_machine_and_no_mirror_stands_in_the_project():
    told = re.compile("/work" + "/|/root" + "/|/home/[a-z]+/|" + "files\\.pythonhosted|pypi" + "\\.org|repo1\\.maven")
    text = [p for p in tracked() if p.suffix not in (".png", ".gz", ".jar")]
    assert [name(p) for p in text if told.search(p.read_text(errors="replace"))] == []


def test_the_readme_is_short_enough_to_be_read():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize("path", [p for p in PYTHON if p.is_relative_to(PROJECT / "tests")], ids=name)
def test_every_skipped_test_says_why(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skip"):
            assert node.args or node.keywords

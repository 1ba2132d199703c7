"""`make mutants`: our own code with one bug planted at a time. The last line is `K of N killed`.

python -m mutants.run                    all of them
python -m mutants.run "counter"          those whose name has this word
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants.catalogue import MUTANTS
from mutants.mutant import SIMULATOR

PROJECT = Path(__file__).parents[2]
SEEDS = 600
SECONDS_MAX = 300
COPIED = ("daemon", "sinks", "tests", "pyproject.toml")


def planted(mutant, source):
    """The file's text with the bug. Raises ValueError when the place is not there, or not the only one."""
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its place is {source.count(mutant.old)} times in {mutant.file}")
    return source.replace(mutant.old, mutant.new)


def tried(mutant):
    """(how it was seen or None, seconds)."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="moveout-mutant-") as folder:
        root = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            copy(PROJECT / name, root / name)
        target = root / mutant.file
        target.write_text(planted(mutant, target.read_text()))
        seen = _simulated(root) if mutant.seen_by == SIMULATOR else _tested(root, mutant.seen_by.split())
    return seen, time.monotonic() - began


def _simulated(root):
    words = ["-m", "simulation.run", "--seeds", str(SEEDS), "--cores", "1", "--fail-fast"]
    found = _python(words, root / "tests", f"{root / 'tests'}{os.pathsep}{root}")
    return f"simulator: {_seed(found.stderr)}" if found.returncode == 1 else None


def _seed(text):
    lines = [line for line in text.replace("\r", "\n").splitlines() if "seed " in line]
    return lines[0][:90] if lines else "it does not run"


def _tested(root, paths):
    words = ["-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not server", *paths]
    found = _python(words, root, str(root))
    failed = [line for line in found.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0][7:] if found.returncode == 1 and failed else None


def _python(words, folder, path):
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def verdicts(chosen):
    """(mutant, how it was seen or None, seconds), in the order of the catalogue."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, (seen, seconds) in zip(chosen, pool.map(tried, chosen), strict=True):
            yield mutant, seen, seconds


def main(words):
    """Exit code 1 when a mutant lives."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    if not chosen:
        print(f"no mutant has {' or '.join(words)} in its name; see tests/mutants/catalogue.py")
        return 2
    killed = 0
    for mutant, seen, seconds in verdicts(chosen):
        killed += seen is not None
        print(f"{'killed' if seen else 'LIVES ':6} {seconds:4.0f} s  {mutant.name}: {mutant.why}\n{'':15}{seen}")
        sys.stdout.flush()
    print(f"{killed} of {len(chosen)} killed")
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

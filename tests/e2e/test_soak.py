"""Two replicas, an application that writes all the time, and a bit more than a minute of chaos."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.server
CHAOS_MINUTES = 1.25
SECONDS_MAX = 600


def play(sink, folder):
    """The soak as `make soak` runs it; its exit code and what it printed."""
    command = [sys.executable, "-m", "tests.soak", "--minutes", str(CHAOS_MINUTES), "--sink", sink]
    output = folder / "screen.txt"
    with output.open("wb") as screen:
        code = subprocess.run(
            [*command, "--items", "6000", "--seed", "5"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
            check=False,
        ).returncode
    return code, output.read_text()


def figures(screen):
    """The table of its last two lines."""
    names, values = (line.split() for line in screen.splitlines()[-2:])
    return dict(zip(names, map(int, values), strict=True))


@pytest.mark.timeout(SECONDS_MAX + 60)
@pytest.mark.parametrize("sink", ["cassandra", "dynamodb"])
def test_kills_freezes_and_rollovers_leave_no_difference(sink, tmp_path):
    code, screen = play(sink, tmp_path)
    assert code == 0, screen
    found = figures(screen)
    assert found["kills"] >= 6, screen
    assert found["freezes"] >= 1, screen
    assert found["rollovers"] >= 1, screen
    assert found["outages"] == (sink == "cassandra"), screen
    assert found["writes"] > 0
    assert found["differences"] == 0
    assert not list(tmp_path.glob("moveout-soak-*"))

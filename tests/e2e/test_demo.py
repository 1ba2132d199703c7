import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.demo.processes import tree

pytestmark = pytest.mark.server
DEMO_SECONDS_MAX = 480


def play(sink, folder):
    """Run `moveout demo` as a user does; its exit code and what it printed."""
    command = [sys.executable, "-m", "daemon.cli", "demo", "--sink", sink, "--items", "4000", "--seed", "3"]
    root = Path(__file__).parents[2]
    output = folder / "screen.txt"
    with output.open("wb") as screen:
        code = subprocess.run(
            command,
            cwd=root,
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
            timeout=DEMO_SECONDS_MAX,
            check=False,
        ).returncode
    return code, output.read_text()


@pytest.mark.timeout(DEMO_SECONDS_MAX + 60)
@pytest.mark.parametrize("sink", ["cassandra", "dynamodb"])
def test_the_whole_move_ends_without_a_difference_and_leaves_nothing_behind(sink, tmp_path):
    before = {process.pid for process in tree(os.getpid())}
    code, screen = play(sink, tmp_path)
    assert code == 0, screen
    for promise in (
        "of the backfill",
        "changes of the tail",
        "forcing a rollover",
        "SIGNAL: switch readers",
        "100 % of the readers are routed to the target",
        "the writers have switched to the target",
        "proven by heartbeat",
        "0 missing, 0 extra, 0 changed",
    ):
        assert promise in screen, screen
    assert {process.pid for process in tree(os.getpid())} <= before
    assert not list(tmp_path.glob("moveout-demo-*"))
    assert not processes_naming(tmp_path)


def processes_naming(folder):
    # Also those that left our tree when their parent died.
    commands = (entry / "cmdline" for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [command for command in commands if str(folder).encode() in _read(command)]


def _read(command):
    try:
        return command.read_bytes()
    except OSError:
        return b""

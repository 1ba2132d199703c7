import os
import subprocess
import sys
import time

import pytest

from daemon.demo.processes import PROC, freeze_tree, kill_tree, stop, thaw, tree

# A parent in a session of its own, whose child is in another one: a kill of the group would miss it.
FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def family():
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout.readline() == b"ready\n"
        yield parent
        kill_tree(parent.pid)


def gone(pids, seconds=5):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_tree_holds_the_descendants_in_other_sessions_too(family):
    members = tree(family.pid)
    assert members[0].pid == family.pid
    assert len(members) == 2
    assert os.getsid(members[1].pid) != os.getsid(family.pid)


def test_a_process_that_is_gone_has_no_tree(family):
    kill_tree(family.pid)
    family.wait()
    assert tree(family.pid) == []


def test_kill_tree_leaves_nobody(family):
    pids = [member.pid for member in tree(family.pid)]
    assert kill_tree(family.pid) == 2
    family.wait()
    assert gone(pids)


def state(process):
    return (PROC / str(process.pid) / "stat").read_text().rpartition(")")[2].split()[0]


def becomes(process, wanted, seconds=5):
    deadline = time.monotonic() + seconds
    while state(process) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    return state(process) == wanted


def test_a_frozen_tree_stands_still_and_goes_on_when_it_is_thawed(family):
    members = freeze_tree(family.pid)
    assert members == set(tree(family.pid))
    assert all(becomes(member, "T") for member in members)
    thaw(members)
    assert all(becomes(member, "S") for member in members)


def test_stop_also_ends_the_child_that_its_parent_left_behind(family):
    pids = [member.pid for member in tree(family.pid)]
    stop(family, grace_seconds=5)
    assert gone(pids)

"""What process 1 of a container owes, tried by a process that adopts its descendants' orphans: the same rule."""

import subprocess
import sys

import pytest

# Becomes what process 1 is for its descendants: a "child subreaper", prctl(2).
BECOME_INIT = "import ctypes; assert ctypes.CDLL(None).prctl(36, 1) == 0\n"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="process 1 of a container is Linux's")


def said_by(program):
    done = subprocess.run(
        [sys.executable, "-c", BECOME_INIT + program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# A child in a session of its own starts another and is killed: the JVM that dies before its shard processes.
ORPHANED = """
import os, subprocess, sys, time
from daemon import pid1
from daemon.supervise import Command
jvm = Command(["sh", "-c", "sleep 0.2 & echo $! > {file}; exec sleep 60"], {{}})
while not (os.path.exists("{file}") and open("{file}").read().strip()):
    time.sleep(0.01)
orphan = int(open("{file}").read())
os.kill(jvm.pid, 9)
"""
UNTIL_GONE = """
def state(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"
while state(orphan) not in ("Z", "gone"):
    time.sleep(0.01)
"""


@LINUX
def test_an_orphan_that_has_ended_is_taken_note_of(tmp_path):
    program = ORPHANED.format(file=tmp_path / "pid") + UNTIL_GONE
    program += "print(state(orphan), pid1.reap(os.getpid()) == [orphan], state(orphan))"
    assert said_by(program) == ["Z", "True", "gone"]


@LINUX
def test_the_exit_code_of_a_child_of_ours_is_left_to_whoever_started_it(tmp_path):
    program = ORPHANED.format(file=tmp_path / "pid") + UNTIL_GONE
    program += """
plain = subprocess.Popen(["sh", "-c", "exit 44"])
hook = subprocess.Popen(["sh", "-c", "exit 43"], start_new_session=True)
while {state(plain.pid), state(hook.pid), state(jvm.pid)} != {"Z"}:
    time.sleep(0.01)
print(pid1.reap(os.getpid()) == [orphan], plain.wait(), hook.wait(), jvm.poll())
"""
    assert said_by(program) == ["True", "44", "43", "-9"]


@LINUX
def test_nothing_is_taken_note_of_where_this_is_not_process_1(tmp_path):
    program = ORPHANED.format(file=tmp_path / "pid") + UNTIL_GONE + "print(pid1.reap(), state(orphan))"
    assert said_by(program) == ["[]", "Z"]


def test_sigterm_keeps_its_default_where_this_is_not_process_1():
    program = "import signal\nfrom daemon import pid1\npid1.end_on_sigterm()\nprint(signal.getsignal(signal.SIGTERM))"
    assert said_by(program) == ["Handlers.SIG_DFL"] or said_by(program) == ["0"]

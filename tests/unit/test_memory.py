"""What a replica's processes hold, by the files of /proc: a made one, and this machine's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.memory import resident_bytes

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def proc(tmp_path):
    """Writes a process as proc(5) describes it."""

    def made(pid, parent, pages, *command, name="x"):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {pid} 0 -1\n")
        (folder / "statm").write_text(f"999 {pages} 7 1 0 50 0\n")
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
        return tmp_path

    return made


def test_each_process_below_ours_counts_for_its_kind_and_no_other_does(proc):
    proc(1, 0, 1000, "/sbin/init")
    proc(10, 1, 100, "python", "-m", "daemon.cli", "run")
    proc(11, 10, 200, "/usr/bin/java", "-Xmx512m", "Launcher")
    proc(12, 11, 30, "python", "-m", "daemon.lean", "shard", "c", "1", "orders")
    proc(13, 11, 31, "python", "-m", "daemon.lean", "shard", "c", "1", "orders")
    proc(14, 10, 50, "python", "-m", "daemon.lean", "worker", "c", "0", "2", "orders")
    proc(15, 10, 60, "python", "-m", "daemon.lean", "verify", "c", "orders")
    proc(16, 10, 5, "/etc/moveout/may-switch")
    root = proc(17, 1, 4000, "python", "-m", "daemon.lean", "worker", "of another service")
    pages = {kind: size // PAGE_BYTES for kind, size in resident_bytes(10, root).items()}
    assert pages == {"service": 100, "kcl": 200, "shard": 61, "backfill": 50, "verify": 60, "other": 5}


def test_a_name_with_parentheses_and_blanks_hides_no_parent(proc):
    proc(10, 1, 1, "python")
    root = proc(11, 10, 2, "java", name="a) S 1 (b")
    assert resident_bytes(10, root)["kcl"] == 2 * PAGE_BYTES


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(proc):
    root = proc(10, 1, 1, "python")
    (root / "11").mkdir()
    assert dict(resident_bytes(10, root)) == {"service": PAGE_BYTES}


def test_where_there_is_no_proc_nothing_is_told(tmp_path):
    assert dict(resident_bytes(10, tmp_path)) == {}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_our_own_child_is_seen():
    command = [sys.executable, "-c", "import time; time.sleep(60)", "daemon.lean", "shard"]
    with subprocess.Popen(command) as child:
        try:
            held = resident_bytes()
        finally:
            child.kill()
    assert held["service"] > 1 << 20
    assert held["shard"] > 0

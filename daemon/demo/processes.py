"""Processes of the demo and their descendants, found through /proc and ended by their own id, never by name."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
PARENT_FIELD, START_FIELD = 1, 19  # of /proc/<pid>/stat, counted after the name


class Running(NamedTuple):
    """A process that cannot be mistaken for a later one of the same id."""

    pid: int
    started: str


class _Found(NamedTuple):
    process: Running
    parent: int


def tree(pid: int) -> list[Running]:
    """The process and all its descendants, parents first; empty when it is gone."""
    found = {one.process.pid: one for one in _all()}
    if pid not in found:
        return []
    members = [found[pid].process]
    for member in members:  # grows while it is walked
        members += [one.process for one in found.values() if one.parent == member.pid]
    return members


def kill_tree(pid: int) -> int:
    """`kill -9` of a process and all its descendants at one instant, as when a machine dies; how many."""
    # Frozen first: a process that is killed alone may leave a child just born.
    members = freeze_tree(pid)
    kill(members)
    return len(members)


def freeze_tree(pid: int) -> set[Running]:
    """SIGSTOP to a process and all its descendants, until no new one is found; who they are."""
    frozen: set[Running] = set()
    while fresh := [process for process in tree(pid) if process not in frozen]:
        freeze(set(fresh))
        frozen.update(fresh)
    return frozen


def freeze(processes: set[Running]) -> None:
    """SIGSTOP to those of them that still run."""
    for process in processes:
        _send(process, signal.SIGSTOP)


def thaw(processes: set[Running]) -> None:
    """SIGCONT to those of them that still run."""
    for process in processes:
        _send(process, signal.SIGCONT)


def kill(processes: set[Running]) -> None:
    """SIGKILL to those of them that still run."""
    for process in processes:
        _send(process, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], grace_seconds: float) -> int:
    """SIGTERM, a while to end well, then SIGKILL to whatever is left of its tree; the exit code."""
    members = set(tree(process.pid))
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)
    members |= set(tree(process.pid))
    _wait_for_end({member for member in members if member.pid != process.pid})
    kill(members)
    return process.wait()


def _wait_for_end(processes: set[Running], seconds: float = 2.0) -> None:
    """Children notice a moment later that their parent has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and processes & {one.process for one in _all()}:
        time.sleep(0.05)


def _send(process: Running, number: int) -> None:
    found = _read(process.pid)
    if found is not None and found.process == process:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _all() -> list[_Found]:
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [found for found in map(_read, pids) if found is not None]


def _read(pid: int) -> _Found | None:
    try:
        # The name stands in parentheses and may hold anything.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Found(Running(pid, fields[START_FIELD]), int(fields[PARENT_FIELD]))

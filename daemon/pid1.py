"""What the kernel asks of process 1, which each command is in a container of its own; anywhere else nothing is done.

Two rules of Linux (pid_namespaces(7), "The namespace init process"): a signal without a handler does not reach
process 1, and whoever loses its parent becomes a child of process 1, which has to take note of its end.
"""

import contextlib
import os
import signal
from pathlib import Path

INIT = 1
PROC = Path("/proc")
STATE, PARENT, SESSION = 0, 1, 3  # of /proc/<pid>/stat, counted after the name
TERMINATED = 128 + signal.SIGTERM


def end_on_sigterm() -> None:
    """SIGTERM ends this process at once, as any other that has not asked for it; a later handler replaces this one."""
    if os.getpid() == INIT:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))


def reap(init: int = INIT) -> list[int]:
    """Take note of orphans that have ended; who they were. Nothing where this process is not `init`.

    Children of our own stay for whoever started them and wants their exit code: each is in our session, or leads its
    own. An orphan is in the session of the one that it was started by: of a JVM, whose shard processes outlive it.
    """
    if os.getpid() != init or not _somebody_has_ended():
        return []
    orphans = _ended_orphans(init)
    for pid in orphans:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return orphans


def _somebody_has_ended() -> bool:
    """One system call, for this is asked twice a second: /proc is read only when there is something to find."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _ended_orphans(init: int) -> list[int]:
    ours = os.getsid(0)
    found = ((int(folder.name), _stat(folder)) for folder in PROC.iterdir() if folder.name.isdigit())
    return [
        pid
        for pid, stat in found
        if stat and stat[STATE] == "Z" and int(stat[PARENT]) == init and int(stat[SESSION]) not in (ours, pid)
    ]


def _stat(folder: Path) -> list[str]:
    """Empty for a process that is gone. The name may hold spaces and brackets, so what counts is behind its last."""
    try:
        return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []

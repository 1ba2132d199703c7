"""How much memory the processes of this replica hold: the service's own and its children's, by what they are."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
# What daemon/lean.py is told to be.
KINDS = {"worker": "backfill", "shard": "shard", "verify": "verify"}


class _Seen(NamedTuple):
    """One process as /proc shows it (proc(5): `stat` field 4, `statm` field 2, `cmdline`)."""

    parent: int
    resident_bytes: int
    command: tuple[str, ...]


def resident_bytes(root: int | None = None, proc: Path = PROC) -> Mapping[str, int]:
    """Bytes by kind of process, of `root` (this process) and all below it; empty where there is no /proc."""
    root = os.getpid() if root is None else root
    seen = dict(_processes(proc))
    held: Counter[str] = Counter()
    for pid, one in seen.items():
        if pid == root:
            held["service"] += one.resident_bytes
        elif _descends(seen, pid, root):
            held[_kind(one.command)] += one.resident_bytes
    return held


def _processes(proc: Path) -> Iterator[tuple[int, _Seen]]:
    for folder in proc.glob("[0-9]*"):
        try:
            # The name before it, in parentheses, may hold anything.
            parent = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            pages = int((folder / "statm").read_text().split()[1])
            command = (folder / "cmdline").read_text(errors="replace").rstrip("\0").split("\0")
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
        yield int(folder.name), _Seen(parent, pages * os.sysconf("SC_PAGE_SIZE"), tuple(command))


def _descends(seen: Mapping[int, _Seen], pid: int, root: int) -> bool:
    while pid in seen and pid > 1:
        pid = seen[pid].parent
        if pid == root:
            return True
    return False


def _kind(command: tuple[str, ...]) -> str:
    if "daemon.lean" in command[:-1]:
        return KINDS.get(command[command.index("daemon.lean") + 1], "other")
    return "kcl" if Path(command[0]).name == "java" else "other"

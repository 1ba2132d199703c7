"""What processes take, by the kernel's own count: memory from /proc/PID/smaps_rollup, CPU from /proc/PID/stat."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from daemon.demo.processes import tree

TICKS = os.sysconf("SC_CLK_TCK")
USER_FIELD, SYSTEM_FIELD = 11, 12  # of /proc/<pid>/stat, counted after the name
KINDS = ("service", "jvm", "shard")


class Taken(NamedTuple):
    """MiB and CPU seconds of one process. PSS counts a page that n processes share as 1/n of it in each."""

    rss: float = 0.0
    pss: float = 0.0
    private: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: object) -> "Taken":  # type: ignore[override]  # sums, as a tuple's does not
        if not isinstance(other, Taken):
            return NotImplemented
        return Taken(*(one + another for one, another in zip(self, other, strict=True)))


def of_service(pid: int) -> Mapping[str, Mapping[int, Taken]]:
    """By kind, then by process: of a service and all that it has started. One that ends meanwhile is left out."""
    found: dict[str, dict[int, Taken]] = {kind: {} for kind in KINDS}
    for member, kind in kinds(pid).items():
        with contextlib.suppress(OSError):
            if kind in found:
                found[kind][member] = of_process(member)
    return found


def kinds(pid: int) -> Mapping[int, str]:
    """Of a service and all that it has started, without a look at their memory, which takes the kernel its time."""
    found = {pid: "service"}
    for process in tree(pid):
        with contextlib.suppress(OSError):
            found.setdefault(process.pid, _kind(process.pid))
    return found


def of_process(pid: int) -> Taken:
    """Raises OSError when it is gone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return Taken(kib["Rss"] / 1024, kib["Pss"] / 1024, private / 1024, cpu_seconds(pid))


def cpu_seconds(pid: int) -> float:
    """User and system time since its start. Raises OSError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[USER_FIELD]) + int(fields[SYSTEM_FIELD])) / TICKS


def summed(processes: Iterable[Taken]) -> Taken:
    """Of them all."""
    total = Taken()
    for one in processes:
        total = total + one
    return total


def _kind(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "StreamsDaemon" in words:
        return "jvm"
    return "shard" if "daemon.lean" in words and "shard" in words else "other"

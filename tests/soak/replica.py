"""One replica of `moveout run`: started, watched, killed, frozen, whole or one of its processes."""

import os
from pathlib import Path
from typing import Any

import yaml

from daemon.demo import processes
from daemon.demo.processes import Running
from daemon.demo.servers.process import free_port
from daemon.demo.service import STOP_GRACE_SECONDS, Service, Status

# What a process of the tree has in its command line, and only that one.
MARKS = {"jvm": "StreamsDaemon", "shard": "daemon.lean shard", "worker": "daemon.lean worker"}


class Replica:
    """`moveout run` with a configuration and a name of its own."""

    def __init__(self, name: str, written: Path, changes: dict[str, dict[str, Any]]) -> None:
        """`written`: the stage's configuration; `changes`: section -> options that differ from it."""
        self.name = name
        folder, listen = written.parent, f"127.0.0.1:{free_port()}"
        options = yaml.safe_load(written.read_text())
        own = {"tail": {"worker_id": name}, "server": {"listen": listen}, "signal": {"file": f"{folder}/{name}.json"}}
        for section, values in (*changes.items(), *own.items()):
            options.setdefault(section, {}).update(values)
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(options))
        self._service = Service(config, folder / f"{name}.log", listen, lambda _: None, lambda _: None)
        self.frozen: set[Running] = set()

    @property
    def up(self) -> bool:
        """True from `start` to `kill`, `kill_alone` or `stop`."""
        return self._service._process is not None

    @property
    def pid(self) -> int:
        return self._service._running().pid

    def start(self) -> int:
        """Its process id."""
        return self._service.start()

    def stop(self) -> int | None:
        """SIGTERM; the exit code, None when it was not up."""
        self.thaw()
        if not self.up:
            return None
        code = processes.stop(self._service._running(), STOP_GRACE_SECONDS)
        self._service._process = None
        return code

    def kill(self) -> int:
        """`kill -9` of all its processes at once; how many."""
        self.frozen = set()
        return self._service.kill()

    def kill_alone(self) -> None:
        """`kill -9` of `moveout run` and of nothing else: its children must notice."""
        process = self._service._running()
        process.kill()
        process.wait()
        self._service._process = None

    def ended(self) -> int | None:
        """The exit code when it has ended by itself, which it should not."""
        return self._service._running().poll() if self.up else None

    def forget(self) -> None:
        """It has ended by itself: ready to be started again."""
        self._service._process = None

    def freeze(self) -> int:
        """SIGSTOP to all its processes; how many."""
        self.frozen = processes.freeze_tree(self.pid)
        return len(self.frozen)

    def thaw(self) -> None:
        """SIGCONT to all that were frozen."""
        processes.thaw(self.frozen)
        self.frozen = set()

    def members(self, kind: str) -> list[Running]:
        """Its processes of a kind of MARKS."""
        found = processes.tree(self.pid) if self.up else []
        return [process for process in found if MARKS[kind] in command(process.pid)]

    def status(self) -> Status | None:
        """What it says; None while it does not answer."""
        return self._service.status() if self.up and not self.frozen else None


def command(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return (processes.PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def naming(folder: Path) -> dict[int, str]:
    """The processes with this folder in their command line, wherever their parents are."""
    pids = [int(entry.name) for entry in processes.PROC.iterdir() if entry.name.isdigit()]
    commands = {pid: command(pid) for pid in pids if pid != os.getpid()}
    return {pid: line for pid, line in commands.items() if str(folder) in line}

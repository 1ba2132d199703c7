"""A crash at every line: a scenario is played once to see which lines of ours run, then once more per line and crash.

python -m simulation.crash_points           every executed line of apply, checkpoint, control and cutover code,
                                            at its first, second, middle and last execution
"""

import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from fakes import Crash

PROJECT = Path(__file__).parents[2]
CODE = (
    *("daemon/apply.py", "daemon/anchor.py", "daemon/backfill.py", "daemon/beside.py", "daemon/control.py"),
    *("daemon/cutover.py", "daemon/dead_letter.py", "daemon/gap.py", "daemon/kcl/processor.py", "daemon/kcl/shard.py"),
    *("daemon/lag.py", "daemon/leader.py", "daemon/letter_box.py", "daemon/lineage.py", "daemon/observe.py"),
    *("daemon/prove.py", "daemon/resync.py", "daemon/retry.py", "daemon/service.py", "daemon/worker.py"),
    *("daemon/exporting.py", "daemon/pace.py", "daemon/plan.py", "daemon/scanning.py", "daemon/settings.py"),
    *("daemon/ordered.py", "daemon/completion.py", "daemon/target_settings.py", "daemon/source/scan.py"),
    *("sinks/cassandra/columns.py", "sinks/cassandra/layout.py", "sinks/cassandra/sink.py"),
    *("sinks/dynamodb/alternator.py", "sinks/dynamodb/batches.py", "sinks/dynamodb/ordered.py"),
    *("sinks/dynamodb/puts.py", "sinks/dynamodb/rounds.py", "sinks/dynamodb/sink.py"),
)
FILES = frozenset(str(PROJECT / name) for name in CODE)


ORDERED, ALTERNATOR = "dynamodb, mode ordered", "dynamodb, flavor alternator"


class Scenario(NamedTuple):
    """A history without any other misfortune than its own."""

    seed: int
    sink: str
    disaster: str | None = None
    way_in: str = "an export"

    def world(self):
        from simulation.by_scan import ScanWorld
        from simulation.in_order import OrderedWorld
        from simulation.on_scylla import AlternatorWorld
        from simulation.world import World, quiet

        quiet()
        settings = {"crash_rate": 0.0, "fault_rate": 0.0, "steps": 60, "keys": 3, "poison_rate": 0.2}
        if self.way_in == "a scan":
            return ScanWorld(self.seed, sink=self.sink, disaster=self.disaster, **settings)
        if self.sink in (ORDERED, ALTERNATOR):
            return (OrderedWorld if self.sink == ORDERED else AlternatorWorld)(self.seed, **settings)
        managed = self.way_in == "an export of our own"
        return World(self.seed, sink=self.sink, disaster=self.disaster, managed=managed, **settings)


SCENARIOS = (
    Scenario(4, "cassandra"),
    Scenario(15, "dynamodb"),
    Scenario(2, "cassandra", "lose the stream"),
    Scenario(3, "dynamodb", "lose the stream"),
    Scenario(8, "cassandra", "sleep for a day"),
    Scenario(5, "cassandra", way_in="an export of our own"),
    Scenario(6, "dynamodb", way_in="a scan"),
    Scenario(7, ORDERED),
    Scenario(9, ALTERNATOR),
)


class Point(NamedTuple):
    """The n-th time that a line is about to run, in a scenario."""

    scenario: Scenario
    file: str
    line: int
    nth: int

    def __str__(self):
        return f"{os.path.relpath(self.file, PROJECT)}:{self.line} (time {self.nth}) in {self.scenario}"


class Tracer:
    """Calls `see(file, line)` before each line of ours."""

    def __init__(self, see, files=FILES):
        self._see, self._files = see, files

    def __enter__(self):
        sys.settrace(self._called)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _called(self, frame, event, _):  # noqa: ARG002  the interpreter's
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame, event, _):
        if event == "line":
            self._see(frame.f_code.co_filename, frame.f_lineno)
        return self._line


def executed(scenario):
    """How often each line runs in a scenario in which nothing crashes."""
    counts, world = Counter(), scenario.world()  # what is imported to build it is no line of a move
    with Tracer(lambda file, line: counts.update([(file, line)])):
        world.run()
    return counts


def points(scenario):
    """Where to crash: each line at its first, second, middle and last time."""
    return [
        Point(scenario, file, line, nth)
        for (file, line), count in sorted(executed(scenario).items())
        for nth in sorted({1, min(2, count), (count + 1) // 2, count})
    ]


def survives(point):
    """None when the move ends well although it crashed there, else what was wrong."""
    left = point.nth

    def see(file, line):
        nonlocal left
        if (file, line) == (point.file, point.line):
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Crash

    world = point.scenario.world()
    try:
        with Tracer(see, {point.file}):
            world.run()
    except Exception as error:  # noqa: BLE001  whatever it is, the move did not end well
        return f"{point}: {type(error).__name__}: {error}"
    except Crash:
        return f"{point}: the crash was outside of every process"
    return None


def run(chosen, cores):
    """What was wrong, point by point, as it comes; None where nothing was."""
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        yield from pool.imap_unordered(survives, chosen, chunksize=20)


def main():
    """Exit code 1 when a point does not converge."""
    began, faults = time.monotonic(), 0
    chosen = [point for scenario in SCENARIOS for point in points(scenario)]
    for number, fault in enumerate(run(chosen, os.cpu_count()), 1):
        if fault is not None:
            faults += 1
            print(fault)
        if number % 200 == 0:
            sys.stderr.write(f"\r{number}/{len(chosen)} crash points, {faults} violations ")
    lines = {(point.file, point.line) for point in chosen}
    print(f"\n{len(lines)} lines, {time.monotonic() - began:.0f} s")
    print(f"{len(chosen)} crash points, {faults} violations")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

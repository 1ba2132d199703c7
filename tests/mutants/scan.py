"""Bugs in the scan, in what it may cost, and in pauses."""

from mutants.mutant import PROCESSOR, Mutant

SCAN = (
    Mutant(
        "a scan's rows have the version of the moment of the scan",
        "a stale row wins over the change that it has missed",
        "daemon/plan.py",
        "version = version_of(begun.at)",
        "version = version_of(begun.at + 360)",
        "tests/simulation/test_scan.py",
    ),
    Mutant(
        "a scan begins with its stream",
        "what a stale row lacks is in no record",
        "daemon/scanning.py",
        "    if age < wanted:\n",
        "    if False:\n",
        "tests/unit/test_scanning.py",
    ),
    Mutant(
        "a segment's last page has no position of its own",
        "a crash behind it counts the segment twice",
        "daemon/source/scan.py",
        "            yield Page(rows, position, sum(",
        '            yield Page(rows, "" if position == END else position, sum(',
        "tests/unit/test_scan.py",
    ),
    Mutant(
        "a page is not paid for",
        "the application is throttled",
        "daemon/source/scan.py",
        "        self._items = len(answer.Items)\n        self._pace.owe(self._units)\n",
        "        self._items = len(answer.Items)\n",
        "tests/property/test_pace.py",
    ),
    Mutant(
        "a limit that is raised pays for the time before",
        "a burst at each change",
        "daemon/pace.py",
        "rate = limit if self._limit_then is None else min(limit, self._limit_then)",
        "rate = limit",
        "tests/property/test_pace.py",
    ),
    Mutant(
        "a worker takes the whole limit",
        "two workers read at twice the rate",
        "daemon/scanning.py",
        "return None if now.units is None else now.units / self._of",
        "return now.units",
        "tests/unit/test_scanning.py",
    ),
    Mutant(
        "a paused tail goes on",
        "somebody counted on it",
        PROCESSOR,
        "            self._hold(page.checkpointer)\n",
        "",
        "tests/unit/test_tail_pause.py",
    ),
    Mutant(
        "a pause hides that the lease is gone",
        "a batch is applied that another has by now",
        PROCESSOR,
        "            if self._lost:\n                return\n            if detects",
        "            if detects",
        "tests/unit/test_tail_pause.py",
    ),
)

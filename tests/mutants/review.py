"""Bugs that a review of the merged ways in has found, each planted again."""

from mutants.mutant import Mutant

REVIEW = (
    Mutant(
        "a worker does not notice a resync",
        "rows of before it are written behind the sweep",
        "daemon/worker.py",
        "found[0].generation != migration.generation",
        "found[0].generation < migration.generation",
        "tests/unit/test_worker.py",
    ),
    Mutant(
        "letters of two tables lie in one folder",
        "equal keys have equal names: one replaces the other",
        "daemon/config.py",
        "return to if self.one_of == 1 else",
        "return to if self.one_of else",
        "tests/unit/test_config.py",
    ),
    Mutant(
        "a tail alone is complete from its anchor on",
        "what the stream held before may be trimmed unread",
        "daemon/plan.py",
        "max(known.facts.stream.created_at, known.clock.time() - REACH_SECONDS)",
        "known.clock.time()",
        "tests/unit/test_anchor.py",
    ),
    Mutant(
        "read units that nobody tells are none",
        "a scan is held to no rate",
        "daemon/source/scan.py",
        "    return float(whole) if consistent else whole / 2",
        "    return 0.0 * whole",
        "tests/unit/test_scan.py",
    ),
    Mutant(
        "a former leader's workers go on",
        "the rate for all workers together is used twice",
        "daemon/service.py",
        "        self._stop_workers()\n        self._observer = None",
        "        self._observer = None",
        "tests/unit/test_service.py",
    ),
)

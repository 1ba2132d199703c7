"""Bugs that were planted by a test itself before, in the place of the code."""

from mutants.mutant import Mutant

PLANTED = (
    Mutant(
        "nobody waits until the stream is old enough for a scan",
        "what a stale row lacks is of before the stream",
        "daemon/scanning.py",
        "        _old_enough(known, at)\n",
        "        pass\n",
        "tests/simulation/test_scan.py",
    ),
)

"""Bugs in the sink of JSON lines, in progress, and in the dry run."""

from mutants.mutant import Mutant

FOLDER, BUCKET, READ = "sinks/jsonl/folder.py", "sinks/jsonl/bucket.py", "sinks/jsonl/read.py"
PROGRESS, DRY_RUN, ESTIMATE = "daemon/progress.py", "daemon/dry_run.py", "daemon/estimate.py"
IN_FOLDER = "tests/unit/test_jsonl.py"

JSONL = (
    Mutant(
        "lines are not synced",
        "what was confirmed is gone with the machine",
        FOLDER,
        "            self._disk.fsync(self._file)\n",
        "",
        IN_FOLDER,
    ),
    Mutant(
        "the name of a new file is not synced",
        "the lines are on the disk, and nothing leads to them",
        FOLDER,
        "            self._sync(named_in)\n",
        "            str(named_in)\n",
        IN_FOLDER,
    ),
    Mutant(
        "a piece of a line stays in the file after a failed write",
        "a reader finds half a change that was never confirmed",
        FOLDER,
        "            os.ftruncate(file, self._size)\n",
        "            pass\n",
        IN_FOLDER,
    ),
    Mutant(
        "after a failed sync the same file is written further",
        "a second sync may succeed without the data of the first",
        FOLDER,
        "        file, self._file = self._file, None\n        if file is None:\n            return\n",
        "        if self._file is not None:\n            os.ftruncate(self._file, self._size)\n"
        "        return\n        file = 0\n",
        IN_FOLDER,
    ),
    Mutant(
        "an attempt takes the name of the one before",
        "one that lands late replaces the lines of another",
        BUCKET,
        "        self._number += 1\n",
        "        self._number = 1\n",
        "tests/unit/test_jsonl_bucket.py",
    ),
    Mutant(
        "a reader takes the last line of a key",
        "the last to arrive wins",
        READ,
        "        if known is None or known.version < line.version:\n",
        "        if True:\n",
        "tests/property/test_jsonl.py",
    ),
    Mutant(
        "a line that was cut short counts",
        "the end of a file that a machine left is no change",
        READ,
        "        yield from whole\n",
        "        yield from whole\n    if tail:\n        yield tail\n",
        IN_FOLDER,
    ),
    Mutant(
        "an ETA from the first second",
        "people plan by a number that is noise",
        PROGRESS,
        "KNOWN_AFTER_SECONDS = 5.0",
        "KNOWN_AFTER_SECONDS = 0.5",
        "tests/unit/test_progress.py",
    ),
    Mutant(
        "an ETA although a part's size is unknown",
        "what is left is more than is told",
        PROGRESS,
        "        known = known and share is not None\n",
        "",
        "tests/unit/test_progress.py",
    ),
    Mutant(
        "a dry run may write",
        "a trial changes what it looks at",
        DRY_RUN,
        "        if not name.startswith(READING):\n",
        "        if False:\n",
        "tests/unit/test_dry_run.py",
    ),
    Mutant(
        "write units by the mean item",
        "each item is rounded up: a table of small ones costs many times as much",
        ESTIMATE,
        "    low, high = max(float(basis.items), whole), whole + basis.items\n",
        "    low, high = whole, whole\n",
        "tests/unit/test_estimate.py",
    ),
)

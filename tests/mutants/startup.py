"""Bugs in what makes a start short: each would be slow, or wrong, without a word."""

from mutants.mutant import Mutant

ARCHIVE = "tests/unit/test_archive.py"
STARTUP = (
    Mutant(
        "an archive is used unasked",
        "a JVM with one that does not fit has none at all, and starts slower than without",
        "daemon/java/archive.py",
        "return found if found.file.exists() and fits(java, flags, found) else None",
        "return found if found.file.exists() else None",
        ARCHIVE,
    ),
    Mutant(
        "what could not be archived is tried at every start",
        "15 CPU seconds each time",
        "daemon/java/archive.py",
        "        (folder / GIVEN_UP).touch()",
        "        pass",
        ARCHIVE,
    ),
    Mutant(
        "jars in the order of the file system",
        "the archive fits on the machine that made it, perhaps",
        "daemon/java/archive.py",
        '*sorted(library.glob("*.jar"))',
        '*sorted(library.glob("*.jar"), reverse=True)',
        ARCHIVE,
    ),
    Mutant(
        "every shard has its configuration checked again",
        "half a second of CPU for each shard, 64 at once",
        "daemon/kcl/start.py",
        "handed_on.CHECKED_VARIABLE: str(checked)",
        '"MOVEOUT_CHECKED": str(checked)',
        "tests/unit/test_kcl_start.py",
    ),
    Mutant(
        "a checked configuration that is gone ends the process",
        "a shard that starts while its service ends would die with a traceback",
        "daemon/handed_on.py",
        "table is not None and Path(checked).exists()",
        "table is not None",
        "tests/unit/test_handed_on.py",
    ),
)

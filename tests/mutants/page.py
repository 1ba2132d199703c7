"""Bugs of the status page that are seen without a browser: what it may claim of the past, and what may run in it."""

from mutants.mutant import Mutant

FILES = "tests/page/test_files.py"

PAGE = (
    Mutant(
        "scripts in the page itself may run",
        "the second wall against hostile names is gone",
        "daemon/page/routes.py",
        "script-src 'self';",
        "script-src 'self' 'unsafe-inline';",
        FILES,
    ),
    Mutant(
        "a document that does not change makes history",
        "lag is drawn as low while nobody knows it",
        "daemon/page/history.py",
        "at = epoch_seconds(document.published_at)",
        'at = __import__("time").time()',
        FILES,
    ),
    Mutant(
        "the last look of an interval counts, not the worst",
        "a peak of lag falls between two samples",
        "daemon/page/history.py",
        "None if one is None or other is None else max(one, other)",
        "other",
        FILES,
    ),
)

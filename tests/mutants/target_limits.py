"""Bugs in what holds a target's writes back, and in what is said of its end."""

from mutants.mutant import Mutant

LIMITS = (
    Mutant(
        "a percentage of nothing is taken",
        "every worker of the backfill ends with it",
        "daemon/settings_cli.py",
        '        if changes.get("write_percent") is not None:\n',
        '        if changes.get("write_percent") is not None and not changes:\n',
        "tests/unit/test_settings_cli.py",
    ),
    Mutant(
        "a configured percentage is not looked at before the move",
        "every worker of the backfill ends with it",
        "daemon/warm.py",
        "(settings.write_percent or options.write_percent) is None",
        "settings.write_percent is None",
        "tests/unit/test_settings_cli.py",
    ),
    Mutant(
        "a completion that was interrupted is told as done",
        "nobody runs it again, and half of what only the move needed stays",
        "daemon/report.py",
        "    if end.done_at:\n",
        "    if end.begun_at:\n",
        "tests/unit/test_report.py",
    ),
)

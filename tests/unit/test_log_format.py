"""`--log-format`: for this process, and for those that it starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CONFIG = """\
migration: orders
source: {table: orders, region: eu-west-1}
backfill: {from: scan}
target: {kind: dynamodb, table: moved, region: eu-west-1}
dead_letters: {to: /nowhere}
log: {format: json}
"""


def ran(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.mark.parametrize("command", ["run", "backfill"])
def test_the_format_can_be_given_to_what_logs(command):
    helped = ran("-m", "daemon.cli", command, "--help").stdout
    assert "--log-format" in helped
    refused = ran("-m", "daemon.cli", command, "--log-format", "xml")
    assert (refused.returncode, "console" in refused.stderr) == (2, True)


def test_the_option_holds_for_the_configuration_of_this_process_and_of_those_it_starts(tmp_path):
    path = tmp_path / "moveout.yaml"
    path.write_text(CONFIG)
    code = (
        "import os, sys, subprocess; from pathlib import Path; from daemon.terminal import log_as, configured;"
        "log_as('console'); print(configured(Path(sys.argv[1])).log.format, flush=True);"
        "one = 'import sys; from daemon import handed_on; print(handed_on.given(sys.argv[1])[0].log.format)';"
        "begun = 'from sinks import unchecked; unchecked.stand_in();';"
        "subprocess.run([sys.executable, '-c', begun + one, sys.argv[1]])"
    )
    shown = ran("-c", code, str(path))
    assert shown.stdout.split() == ["console", "console"], shown.stderr

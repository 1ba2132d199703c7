"""Prometheus reads the rules, and each alert fires when it must, says what it must, and is silent before.

Run by promtool, without a server; marked so because Debian's package may have to be installed first.
"""

import pytest
from deploy.alert_cases import CASES

from deploy import promtool

pytestmark = [pytest.mark.server]
ALERTS = promtool.alerts()


def test_prometheus_accepts_the_rules():
    checked = promtool.ran("check", "rules", promtool.RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALERTS) + len(promtool.recorded())} rules found" in checked.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_it_must_says_so_and_is_silent_otherwise(alert, tmp_path):
    played = promtool.played(alert, [case for case in CASES if case.alert == alert], tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr


@pytest.mark.parametrize("alert", [name for name, rule in ALERTS.items() if "for" in rule])
def test_the_histories_see_an_alert_that_does_not_wait(alert, tmp_path):
    silent = [case for case in CASES if case.alert == alert and case.told is None]
    played = promtool.played(alert, silent, tmp_path, lambda rule: rule.pop("for"))
    assert played.returncode == 1
    assert "FAILED" in played.stdout + played.stderr

"""Prometheus' own tool, from Debian: reads rules, plays histories against them, reads a page of metrics."""

import re
import subprocess
from pathlib import Path

import yaml
from debian import needed

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "moveout.rules.yaml"
ANNOTATIONS = ("summary", "description", "action", "runbook_url")


def alerts(path=RULES):
    """By name."""
    (group,) = yaml.safe_load(path.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}


def recorded(path=RULES):
    """The expressions of recording rules, by what they are recorded as."""
    (group,) = yaml.safe_load(path.read_text())["groups"]
    return {rule["record"]: rule["expr"] for rule in group["rules"] if "record" in rule}


def ran(*arguments, stdin=None):
    """`promtool …`; the test is skipped where there is none."""
    command = [needed("promtool", "prometheus"), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)


def played(alert, cases, folder, bend=lambda _: None):
    """`promtool test rules` over these cases of one alert, with what is recorded for it. `bend` may spoil it before.

    What an alert says beside its summary is as the rules have it.
    """
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    group["rules"] = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
    bend(group["rules"][-1])
    rules, histories = folder / "rules.yaml", folder / "histories.yaml"
    rules.write_text(yaml.safe_dump({"groups": [group]}))
    tests = [_test(case, alerts()[alert]) for case in cases]
    histories.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}))
    return ran("test", "rules", histories)


def _test(case, rule):
    expected = []
    if case.told is not None:
        fixed = {name: rule["annotations"][name] for name in ANNOTATIONS}
        labels = {**rule["labels"], **case.labels}
        expected = [{"exp_labels": labels, "exp_annotations": {**fixed, "summary": case.told}}]
    return {
        "interval": "1m",
        "input_series": [{"series": _named(name), "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"alertname": case.alert, "eval_time": f"{case.at}m", "exp_alerts": expected}],
    }


def _named(series):
    """With the migration's labels, where it has none of its own; a replica's have a pod."""
    name, _, labels = series.rstrip("}").partition("{")
    own = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    whose = {} if "pod" in own or "migration" in own else {"migration": "shop", "table": "orders"}
    told = ",".join(f'{label}="{value}"' for label, value in {**whose, **own}.items())
    return f"{name}{{{told}}}"

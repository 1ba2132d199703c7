"""The dashboard as Grafana would read it: panels, and what they ask Prometheus."""

import json
import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "moveout.json"


def board():
    return json.loads(DASHBOARD.read_text())


def panels():
    """Those that show something, and the rows between them."""
    return board()["panels"]


def shown():
    return [panel for panel in panels() if panel["type"] != "row"]


def expressions():
    """(panel, expression), with Grafana's own variables as they stand."""
    return [(panel["title"], target["expr"]) for panel in shown() for target in panel["targets"]]


def filled(expression, migration=".+", table=".+"):
    """As Grafana sends it."""
    for name, value in (("$__rate_interval", "5m"), ("$migration", migration), ("$table", table)):
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def datasources(part):
    """Every data source that is named anywhere in it."""
    if isinstance(part, dict):
        found = [part["datasource"]] if "datasource" in part else []
        return found + [one for value in part.values() for one in datasources(value)]
    return [one for value in part for one in datasources(value)] if isinstance(part, list) else []


def variables():
    return {one["name"]: one for one in board()["templating"]["list"]}


def asked_for(variable):
    """The series and the label of `label_values(series, label)`."""
    return re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()

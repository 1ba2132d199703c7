"""Writes what is a copy: the alerts, as the Prometheus Operator's PrometheusRule and as a file of the chart.

    python deploy/kubernetes/generate.py

Neither kustomize nor Helm reads a file outside of its own folder. `tests/deploy` compares the copies with their source.
"""

from pathlib import Path
from textwrap import indent

DEPLOY = Path(__file__).parents[1]
HEAD = """\
# Made of deploy/prometheus/moveout.rules.yaml by deploy/kubernetes/generate.py: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: moveout
  namespace: moveout
  labels: {app.kubernetes.io/name: moveout, app.kubernetes.io/instance: moveout, app.kubernetes.io/component: service}
spec:
"""


def copies() -> dict[Path, str]:
    """What each generated file is to hold."""
    rules = (DEPLOY / "prometheus" / "moveout.rules.yaml").read_text()
    return {
        DEPLOY / "kubernetes" / "components" / "prometheus-rule" / "prometheus-rule.yaml": HEAD + indent(rules, "  "),
        DEPLOY / "helm" / "moveout" / "files" / "moveout.rules.yaml": rules,
    }


if __name__ == "__main__":
    for path, text in copies().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

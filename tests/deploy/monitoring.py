"""A real Prometheus and a real Alertmanager, from Debian, on free ports of the loopback: a scrape each second."""

import contextlib
import json
import urllib.parse
import urllib.request

import yaml
from debian import needed

from daemon.demo.servers.process import ServerProcess, free_port
from deploy import promtool


def impatient(folder):
    """The rules, with every `for` cut to a second."""
    rules = yaml.safe_load(promtool.RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        if "for" in rule:
            rule["for"] = "1s"
    path = folder / "moveout.rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    return path


@contextlib.contextmanager
def alertmanager(folder, receiver):
    port = free_port()
    hook = {"url": receiver.url, "send_resolved": True}
    route = {"receiver": "us", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"}
    path = folder / "alertmanager.yaml"
    path.write_text(yaml.safe_dump({"route": route, "receivers": [{"name": "us", "webhook_configs": [hook]}]}))
    command = [needed("prometheus-alertmanager"), f"--config.file={path}", f"--storage.path={folder / 'silences'}"]
    listen = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with _running("Alertmanager", [*command, *listen], port, folder):
        yield port


@contextlib.contextmanager
def prometheus(folder, service, alerts=None):
    """`service` and `alerts` (a port) as it is to find them. Its own port."""
    port, settings = free_port(), {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    path = folder / "prometheus.yaml"
    managers = [{"static_configs": [{"targets": [f"127.0.0.1:{alerts}"]}]}] if alerts else []
    scraped = {"job_name": "moveout", "static_configs": [{"targets": [service]}]}
    path.write_text(
        yaml.safe_dump(
            {
                "global": settings,
                "rule_files": [str(impatient(folder))],
                "alerting": {"alertmanagers": managers},
                "scrape_configs": [scraped],
            }
        )
    )
    command = [needed("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder / 'series'}"]
    with _running("Prometheus", [*command, f"--web.listen-address=127.0.0.1:{port}"], port, folder):
        yield port


@contextlib.contextmanager
def _running(name, command, port, folder):
    process = ServerProcess(name, folder / f"{name}.log")
    process.start(command)
    try:
        process.wait_until(lambda: _ready(port), 60)
        yield
    finally:
        process.stop()


def _ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:  # nobody listens yet, or it says no
        return False


def asked(port, path, **parameters):
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]

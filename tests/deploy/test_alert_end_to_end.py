"""A target is stopped, and whoever is on duty is told: `moveout run`, Prometheus and Alertmanager are the real ones.

The service follows the stream of a DynamoDB Local into a second one, which is frozen (SIGSTOP) and goes on later. The
rules are those of deploy/ but for the time that an alert waits (`for`): a second in place of minutes.
"""

import contextlib
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest
import yaml
from debian import needed
from e2e.watched import Watched
from receiver import Receiver

from daemon.demo.dataset import PARTITION, SORT
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.process import ServerProcess, free_port, listens
from daemon.demo.source_table import create, enable_stream
from deploy import dashboard, promtool

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
REGION, TABLE = "us-east-1", "orders"
TOLD_SECONDS_MAX = 90


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
def prometheus(folder, service, alerts):
    port, settings = free_port(), {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    path = folder / "prometheus.yaml"
    manager = {"static_configs": [{"targets": [f"127.0.0.1:{alerts}"]}]}
    scraped = {"job_name": "moveout", "static_configs": [{"targets": [service]}]}
    path.write_text(
        yaml.safe_dump(
            {
                "global": settings,
                "rule_files": [str(impatient(folder))],
                "alerting": {"alertmanagers": [manager]},
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
        process.wait_until(lambda: listens(port), 60)
        yield
    finally:
        process.stop()


@contextlib.contextmanager
def writing(client):
    """An application: without writes nobody would notice that the target is away."""
    over = threading.Event()

    def write():
        number = 0
        while not over.wait(0.2):
            number += 1
            client.put_item(TableName=TABLE, Item=item(number))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def item(number):
    return {PARTITION: {"S": f"c{number % 10}"}, SORT: {"S": str(number)}}


def configuration(folder, source, target, listen):
    path = folder / "moveout.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "migration": "watched",
                "mode": "tail",
                "source": {"table": TABLE, "region": REGION, "endpoint_url": source.endpoint_url},
                "target": {
                    "kind": "dynamodb",
                    "table": "moved",
                    "region": REGION,
                    "endpoint_url": target.endpoint_url,
                    "create_table": True,
                    "request_timeout_seconds": 10,  # a busy machine needs more than a second
                },
                "tail": {"heartbeat_seconds": 1, "failover_seconds": 5, "jvm_heap_mib": 256},
                "dead_letters": {"to": str(folder)},
                "server": {"listen": listen},
            }
        )
    )
    return path


def told(receiver, alert, status):
    """The alert as it was delivered, as soon as it was."""
    end = time.monotonic() + TOLD_SECONDS_MAX
    while time.monotonic() < end:
        for request in list(receiver.requests):
            for one in json.loads(request.body)["alerts"]:
                if (one["labels"]["alertname"], one["status"]) == (alert, status):
                    return one
        receiver.came.acquire(timeout=1)
    raise AssertionError([json.loads(request.body) for request in receiver.requests])


def available(document):
    (found,) = [one for one in document["conditions"] if one["type"] == "TargetAvailable"]
    return found["status"] and document["lag"]["seconds"] is not None


def asked(port, path, **parameters):
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def refused_by(port):
    """The panels whose queries Prometheus cannot answer over what it has scraped, and those that show nothing."""
    refused, empty = [], set()
    for title, text in dashboard.expressions():
        try:
            if not asked(port, "query", query=dashboard.filled(text, "watched", "orders"))["result"]:
                empty.add(title)
        except urllib.error.HTTPError as error:
            with error:
                refused.append((title, error.read().decode()))
    return refused, empty


# Nothing was loaded or verified, no shard waits, nobody has paused.
NOTHING_TO_SHOW = {"Differences", "Verification: compared", "At most this share differs", "Shards by owner", "Paused"}


def test_a_target_that_is_stopped_is_told_to_whoever_is_on_duty_and_so_is_its_return(tmp_path, deploy_only):  # noqa: ARG001
    with contextlib.ExitStack() as stack:
        folders = [tmp_path / name for name in ("source", "target")]
        for folder in folders:
            folder.mkdir()
        source, target = (stack.enter_context(DynamoDbLocal(folder)) for folder in folders)
        client = boto3.client("dynamodb", region_name=REGION, endpoint_url=source.endpoint_url)
        create(client, TABLE)
        enable_stream(client, TABLE)
        listen = f"127.0.0.1:{free_port()}"
        service = Watched(configuration(tmp_path, source, target, listen), listen, tmp_path / "service.log")
        stack.callback(service.process.wait, 60)
        stack.callback(service.process.terminate)
        receiver = stack.enter_context(Receiver())
        manager = stack.enter_context(alertmanager(tmp_path, receiver))
        series = stack.enter_context(prometheus(tmp_path, listen, manager))
        service.wait(available)
        stack.enter_context(writing(client))
        target.freeze()
        stack.callback(target.thaw)
        fired = told(receiver, "MoveoutTargetUnavailable", "firing")
        assert (fired["labels"]["migration"], fired["labels"]["table"]) == ("watched", TABLE)
        assert fired["annotations"]["summary"] == "watched, orders: the target does not confirm writes"
        target.thaw()
        resolved = told(receiver, "MoveoutTargetUnavailable", "resolved")
        assert resolved["startsAt"] == fired["startsAt"]
        refused, empty = refused_by(series)
        assert (refused, empty - NOTHING_TO_SHOW) == ([], set())
        for variable, found in (("migration", "watched"), ("table", TABLE)):
            selector, label = dashboard.asked_for(dashboard.variables()[variable])
            matched = asked(series, "series", **{"match[]": selector.replace("$migration", "watched")})
            assert {one[label] for one in matched} == {found}

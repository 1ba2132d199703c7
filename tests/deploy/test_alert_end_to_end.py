"""A target is stopped, and whoever is on duty is told: `moveout run`, Prometheus and Alertmanager are the real ones.

The service follows the stream of a DynamoDB Local into a second one, which is frozen (SIGSTOP) and goes on later. The
rules are those of deploy/ but for the time that an alert waits (`for`): a second in place of minutes.
"""

import contextlib
import json
import threading
import time

import boto3
import pytest
import yaml
from deploy.monitoring import alertmanager, prometheus
from e2e.watched import Watched
from receiver import Receiver

from daemon.demo.dataset import PARTITION, SORT
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.process import free_port
from daemon.demo.source_table import create, enable_stream

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
REGION, TABLE = "us-east-1", "orders"
TOLD_SECONDS_MAX = 200


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
        stack.enter_context(prometheus(tmp_path, listen, manager))
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

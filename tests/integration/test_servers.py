"""The demo's servers themselves: where they listen and write, how they end, what they say when they do not start."""

import os
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import boto3
import pytest

from daemon.demo.servers.cassandra_node import CassandraNode
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.process import ServerFailed, ServerProcess, listens
from daemon.demo.servers.s3 import S3Server

pytestmark = pytest.mark.server

ALL = pytest.mark.parametrize("server_class", [DynamoDbLocal, S3Server, CassandraNode], ids=lambda c: c.__name__)
# Those of the session, for what does not harm them.
SHARED = pytest.mark.parametrize("shared", ["dynamodb", "s3", "cassandra"], indirect=True)
LISTEN = "0A"
# As /proc/net writes them: 127.0.0.1, and the same as an IPv6 address.
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
GONE_SECONDS_MAX = 10.0
OWNER = """
import importlib, pathlib, sys, time
module, name, folder = sys.argv[1:]
server = getattr(importlib.import_module(module), name)(pathlib.Path(folder)).start()
print(server._process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def shared(request):
    return request.getfixturevalue(request.param)


def files(pid):
    """What a process holds open: where it points, and its flags. A busy server closes some meanwhile."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            told = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()
            yield str(fd.readlink()), int(told.split("flags:")[1].split()[0], 8)
        except OSError:
            continue


def listening(pid):
    """The addresses that a process listens on, as hexadecimal words."""
    sockets = {path[len("socket:[") : -1] for path, _ in files(pid) if path.startswith("socket:[")}
    tables = [Path(f"/proc/{pid}/net/{kind}") for kind in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == LISTEN and row[9] in sockets}


def written(pid):
    """The files that a process holds open to write, or has mapped to write through."""
    held = {path for path, flags in files(pid) if flags & (os.O_WRONLY | os.O_RDWR)}
    maps = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    held |= {row[5] for row in maps if len(row) > 5 and row[1] == "rw-s"}
    return {Path(path) for path in held if path.startswith("/") and not path.startswith(("/dev/", "/proc/"))}


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid):
    end = time.monotonic() + GONE_SECONDS_MAX
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


@SHARED
def test_it_listens_on_loopback_only(shared):
    found = listening(shared._process.pid)
    assert found
    assert found <= set(LOOPBACK)


@SHARED
def test_it_writes_in_its_folder_only(shared):
    folder = shared._process.log.parent
    found = written(shared._process.pid)
    assert found
    assert [path for path in found if not path.is_relative_to(folder)] == []


@ALL
def test_leaving_the_block_ends_the_process_and_stopping_twice_is_safe(server_class, tmp_path):
    with server_class(tmp_path) as server:
        pid = server._process.pid
        assert alive(pid)
    assert not alive(pid)
    server.stop()


@ALL
def test_it_dies_with_its_owner_even_on_kill_9(server_class, tmp_path):
    command = [sys.executable, "-c", OWNER, server_class.__module__, server_class.__name__, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        pid = int(owner.stdout.readline())
        assert alive(pid)
        owner.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_it_outlives_the_thread_that_started_it(tmp_path):
    server = S3Server(tmp_path)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        time.sleep(0.5)
        assert alive(server._process.pid)
    finally:
        server.stop()


@ALL
def test_one_that_does_not_answer_in_time_is_ended_and_its_log_is_told(server_class, tmp_path):
    server = server_class(tmp_path, start_seconds_max=0.01)
    with pytest.raises(ServerFailed, match=r"was silent for 0.01 s; the end of .*\.log"):
        server.start()
    assert not alive(server._process.pid)


def test_one_that_ends_by_itself_is_told_at_once_with_its_last_words(tmp_path):
    process = ServerProcess("the server", tmp_path / "server.log")
    process.start([sys.executable, "-c", "import sys; sys.exit('no room for me')"])
    began = time.monotonic()
    with pytest.raises(ServerFailed, match=r"(?s)the server ended with code 1.*no room for me"):
        process.wait_until(lambda: False, 60)
    assert time.monotonic() - began < 30


def test_a_port_that_is_taken_is_told_with_the_servers_own_words(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with S3Server(folders[0]) as first:
        second = S3Server(folders[1])
        second._port = first._port
        process = second._process
        process.start([sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(first._port)])
        with pytest.raises(ServerFailed, match="ended with code"):
            process.wait_until(lambda: False, 60)


def stream_shards(server, table):
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.endpoint_url)
    streams = boto3.client("dynamodbstreams", region_name="us-east-1", endpoint_url=server.endpoint_url)
    try:
        arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        return streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    finally:
        client.close()
        streams.close()


def streamed_table(server, name):
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.endpoint_url)
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client.put_item(TableName=name, Item={"id": {"S": "a"}})
    client.close()


def test_a_rollover_closes_the_open_shard_and_opens_its_child(tmp_path):
    with DynamoDbLocal(tmp_path) as server:
        streamed_table(server, "rolled")
        (before,) = stream_shards(server, "rolled")
        server.rollover()
        shards = stream_shards(server, "rolled")
    closed = {s["ShardId"] for s in shards if "EndingSequenceNumber" in s["SequenceNumberRange"]}
    children = [s for s in shards if s.get("ParentShardId") == before["ShardId"]]
    assert before["ShardId"] in closed
    assert [child["ShardId"] not in closed for child in children] == [True]


def test_a_stream_aged_beyond_a_day_has_lost_its_records(tmp_path):
    with DynamoDbLocal(tmp_path) as server:
        streamed_table(server, "aged")
        assert records(server, "aged") == 1
        server.age(26)
        assert records(server, "aged") == 0


def records(server, table):
    """How many records can still be read, from the beginning of every shard."""
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.endpoint_url)
    streams = boto3.client("dynamodbstreams", region_name="us-east-1", endpoint_url=server.endpoint_url)
    lost = (streams.exceptions.TrimmedDataAccessException, streams.exceptions.ResourceNotFoundException)
    count = 0
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    for shard in stream_shards(server, table):
        asked = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        try:
            iterator = streams.get_shard_iterator(**asked)["ShardIterator"]
            count += len(streams.get_records(ShardIterator=iterator)["Records"])
        except lost:
            pass
    client.close()
    streams.close()
    return count


def test_a_frozen_node_keeps_its_port_and_answers_again_when_thawed(cassandra):
    cassandra.freeze()
    try:
        assert listens(cassandra.port)
        assert not cassandra.answers()
    finally:
        cassandra.thaw()
    cassandra._process.wait_until(cassandra.answers, 30)


def test_a_node_that_was_killed_comes_back_with_what_it_had(tmp_path):
    node = CassandraNode(tmp_path)
    with node:
        node_says(node, "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        node_says(node, "CREATE TABLE k.t (id int PRIMARY KEY)")
        node_says(node, "INSERT INTO k.t (id) VALUES (7)")
        time.sleep(1.5)  # the commit log is synced every second
        node.kill()
        assert not listens(node.port)
        node.start()
        assert [row.id for row in node_says(node, "SELECT id FROM k.t")] == [7]


def node_says(node, statement):
    from cassandra.cluster import Cluster

    cluster = Cluster([node.host], port=node.port, protocol_version=4)
    try:
        return list(cluster.connect().execute(statement))
    finally:
        cluster.shutdown()


def test_a_frozen_server_can_still_be_stopped(tmp_path):
    with S3Server(tmp_path) as server:
        pid = server._process.pid
        server._process.freeze()
    assert not alive(pid)


def test_the_s3_server_answers_over_http_on_the_url_it_tells(tmp_path):
    with S3Server(tmp_path) as server:
        connection = HTTPConnection(server.endpoint_url.removeprefix("http://"), timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()

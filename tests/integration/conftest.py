"""Real servers, started once for all tests of this folder."""

import itertools

import boto3
import pytest

from daemon.demo.servers.cassandra_node import CassandraNode
from daemon.demo.servers.dynamodb_local import DynamoDbLocal
from daemon.demo.servers.s3 import S3Server

REGION = "us-east-1"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def dynamodb(tmp_path_factory):
    with DynamoDbLocal(tmp_path_factory.mktemp("dynamodb")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory):
    from cassandra.cluster import Cluster

    with CassandraNode(tmp_path_factory.mktemp("cassandra")) as node:
        cluster = Cluster([node.host], port=node.port, protocol_version=4)
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        cluster.connect().execute(f"CREATE KEYSPACE moved WITH replication = {replication}")
        cluster.shutdown()
        yield node


@pytest.fixture
def session(cassandra):
    from cassandra.cluster import Cluster

    cluster = Cluster([cassandra.host], port=cassandra.port, protocol_version=4)
    yield cluster.connect()
    cluster.shutdown()


@pytest.fixture
def client(dynamodb):
    made = boto3.client("dynamodb", region_name=REGION, endpoint_url=dynamodb.endpoint_url)
    yield made
    made.close()


@pytest.fixture
def fresh_name():
    """A table's name that no other test has."""
    return lambda: f"table{next(_numbers)}"

"""A real node that lets nobody in without TLS, a certificate of the client's, and a password."""

import contextlib
import logging
import socket
import ssl
import threading
import time

import boto3
import msgspec
import pytest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from certificates import Authority
from sink_contract import KEY, TEXT_KEYS, SinkContract, apply, held, put

from daemon.demo.servers.cassandra_node import CassandraNode
from sinks.cassandra import access
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.sink import SinkMisconfigured, SinkUnavailable

pytestmark = pytest.mark.server
USER, PASSWORD = "mover", "hunter2-päss"
START_SECONDS_MAX = 60


def guarded(authority, folder, issued):
    """cassandra.yaml: both sides show a certificate, and a password is asked for."""
    certificate, key = issued
    store = folder / "node-store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    return {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "client_encryption_options": {
            "enabled": True,
            "optional": False,
            "require_client_auth": True,
            "ssl_context_factory": {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"},
            "keystore": str(store),
            "truststore": str(authority.file),
        },
    }


def context(authority, client):
    made = ssl.create_default_context(cafile=authority.file)
    made.load_cert_chain(*client)
    return made


def prepare(node, tls):
    """A keyspace, and a user who may write to it."""
    until = time.monotonic() + START_SECONDS_MAX
    while True:
        root = PlainTextAuthProvider("cassandra", "cassandra")
        cluster = Cluster([node.host], port=node.port, ssl_context=tls, auth_provider=root, protocol_version=4)
        try:
            session = cluster.connect()
            break
        except NoHostAvailable:
            # The node makes its first user after it has begun to answer.
            cluster.shutdown()
            assert time.monotonic() < until
    session.execute("CREATE KEYSPACE moved WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    session.execute(f"CREATE ROLE {USER} WITH PASSWORD = '{PASSWORD}' AND LOGIN = true")
    session.execute(f"GRANT ALL ON KEYSPACE moved TO {USER}")
    session.execute("CREATE ROLE reader WITH PASSWORD = 'reader' AND LOGIN = true")
    session.execute("GRANT SELECT ON KEYSPACE moved TO reader")
    cluster.shutdown()


class Place:
    """The node, and what belongs to it."""

    def __init__(self, folder):
        self.authority = Authority(folder / "authority")
        self.client = self.authority.issue("client")
        issued = self.authority.issue("node", hosts=["127.0.0.1", "nodes.example"])
        tls = context(self.authority, self.client)
        self.node = CassandraNode(folder, settings=guarded(self.authority, folder, issued), tls=tls)
        self.node.start()
        prepare(self.node, tls)

    @property
    def tls(self):
        certificate, key = self.client
        return {"ca_file": self.authority.file, "certificate_file": certificate, "key_file": key}

    def options(self, **changed):
        place = {"contact_points": [self.node.host], "port": self.node.port, "local_datacenter": "datacenter1"}
        login = {"username": USER, "password_env": "CQL_PASSWORD", "tls": self.tls}
        table = {"keyspace": "moved", "table": "t", "create_table": True}
        return CassandraOptions(**{**place, **login, **table, **changed})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("guarded"))
    yield made
    made.node.stop()


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("CQL_PASSWORD", PASSWORD)


def refused(options):
    sink = CassandraSink(options, TEXT_KEYS)
    with pytest.raises(SinkMisconfigured) as told:
        sink.open()
    assert PASSWORD not in str(told.value)
    return str(told.value)


class TestConforms(SinkContract):
    @pytest.fixture
    def make_sink(self, place, fresh_name):
        made = []
        state = {}

        def make(keys, *, fresh=True):
            if fresh:
                state["table"] = fresh_name()
            sink = CassandraSink(place.options(table=state["table"]), keys)
            sink.open()
            made.append(sink)
            return sink

        yield make
        for sink in made:
            sink.close()


def test_a_wrong_password_names_its_option(place, monkeypatch):
    monkeypatch.setenv("CQL_PASSWORD", "wrong")
    assert "password_env" in refused(place.options())


def test_no_user_name_where_one_is_needed_is_said(place):
    assert "username" in refused(place.options(username=None, password_env=None))


def test_a_node_of_another_authority_names_the_authoritys_option(place, tmp_path):
    other = Authority(tmp_path / "other", "another")
    assert "target.tls.ca_file" in refused(place.options(tls={**place.tls, "ca_file": other.file}))


def test_the_systems_authorities_do_not_know_ours(place):
    certificate, key = place.client
    said = refused(place.options(tls={"certificate_file": certificate, "key_file": key}))
    assert "target.tls.ca_file" in said


def test_a_node_that_asks_for_our_certificate_is_given_none(place):
    said = refused(place.options(tls={"ca_file": place.authority.file}))
    assert "target.tls.certificate_file" in said


def test_a_certificate_of_ours_that_the_node_does_not_trust_names_its_option(place, tmp_path):
    certificate, key = Authority(tmp_path / "other", "another").issue("client")
    said = refused(place.options(tls={**place.tls, "certificate_file": certificate, "key_file": key}))
    assert "target.tls.certificate_file" in said


def test_a_node_with_another_name_names_both_ways_out(place):
    said = refused(place.options(tls={**place.tls, "server_name": "elsewhere.example"}))
    assert "target.tls.server_name" in said
    assert "target.tls.check_hostname" in said


@pytest.mark.parametrize("changed", [{"server_name": "nodes.example"}, {"check_hostname": False}])
def test_a_name_that_the_certificate_has_and_no_look_at_names_are_ways_in(place, changed, fresh_name):
    sink = CassandraSink(place.options(table=fresh_name(), tls={**place.tls, **changed}), TEXT_KEYS)
    sink.open()
    try:
        apply(sink, put(KEY, 1, a="x"))
        assert held(sink)[0] == 1
    finally:
        sink.close()


def test_a_node_that_speaks_tls_only_is_told_from_one_that_is_away(place):
    assert "set target.tls" in refused(place.options(tls=None))


def test_a_node_that_speaks_no_tls_is_told(place, cassandra):
    said = refused(place.options(port=cassandra.port))
    assert "without TLS" in said
    assert "target.tls" in said


def test_a_user_who_may_not_write_is_misconfigured_and_no_rows_fault(place, monkeypatch, fresh_name):
    table = fresh_name()
    owner = CassandraSink(place.options(table=table), TEXT_KEYS)
    owner.open()
    owner.close()
    monkeypatch.setenv("CQL_PASSWORD", "reader")
    sink = CassandraSink(place.options(table=table, username="reader"), TEXT_KEYS)
    sink.open()
    with pytest.raises(SinkMisconfigured, match="MODIFY"):
        sink.apply([put(KEY, 1, a="x")])
    sink.close()


def test_nobody_at_the_address_stays_unavailable_with_tls(place):
    with pytest.raises(SinkUnavailable):
        CassandraSink(place.options(port=1), TEXT_KEYS).open()


def test_a_secret_of_aws_is_the_password(place, s3, fresh_name):
    name = f"secret-{fresh_name()}"
    client = boto3.client("secretsmanager", region_name="eu-west-1", endpoint_url=s3.endpoint_url)
    body = msgspec.json.encode({"username": USER, "password": PASSWORD}).decode()
    arn = client.create_secret(Name=name, SecretString=body)["ARN"]
    client.close()
    secret = {"id": arn, "field": "password", "endpoint_url": s3.endpoint_url}
    sink = CassandraSink(place.options(table=fresh_name(), password_env=None, password_secret=secret), TEXT_KEYS)
    sink.open()
    sink.close()


def test_the_password_stands_in_no_log_and_no_repr(place, caplog, capfd, fresh_name):
    caplog.set_level(logging.DEBUG)
    sink = CassandraSink(place.options(table=fresh_name()), TEXT_KEYS)
    sink.open()
    apply(sink, put(KEY, 1, a="x"))
    told = [caplog.text, repr(sink._options), repr(vars(sink)), sink._options.model_dump_json(), *capfd.readouterr()]
    sink.close()
    assert caplog.text  # the driver did speak
    assert not [text for text in told if PASSWORD in text]
    assert access.credentials(sink._options) == (USER, PASSWORD)


@pytest.fixture
def expired(tmp_path):
    """An authority, and the port of a server whose certificate is over. What it would say next is never asked."""
    authority = Authority(tmp_path)
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(*authority.issue("node", hosts=["127.0.0.1"], days=-1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening, shown), daemon=True).start()
        yield authority, listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def serve(listening, shown):
    while True:
        try:
            taken, _ = listening.accept()
        except OSError:
            return
        with taken, contextlib.suppress(OSError):
            shown.wrap_socket(taken, server_side=True).close()


def test_a_nodes_certificate_that_is_over_says_so(expired, place):
    authority, port = expired
    said = refused(place.options(port=port, tls={"ca_file": authority.file}))
    assert "expired" in said
    assert "Renew" in said

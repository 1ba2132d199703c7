"""How the password and the certificates are found, and what is said when they are not."""

import ssl

import pytest
from certificates import Authority
from pydantic import ValidationError

from sinks.cassandra.access import credentials, ssl_context, wrapping
from sinks.cassandra.options import CassandraOptions
from sinks.sink import SinkMisconfigured

PLACE = {"contact_points": ["a"], "local_datacenter": "d", "keyspace": "k", "table": "t"}
ARN = "arn:aws:secretsmanager:eu-north-1:111122223333:secret:orders/cassandra-AbCdEf"


def options(**given):
    return CassandraOptions(**PLACE, **given)


def test_without_options_there_is_no_tls_and_nobody_logs_in():
    assert ssl_context(options()) is None
    assert credentials(options()) is None


def test_a_password_is_read_when_it_is_asked_for(monkeypatch, tmp_path):
    by_name = options(username="u", password_env="CQL_PASSWORD")
    monkeypatch.setenv("CQL_PASSWORD", "one")
    assert credentials(by_name) == ("u", "one")
    monkeypatch.setenv("CQL_PASSWORD", "two")
    assert credentials(by_name) == ("u", "two")
    file = tmp_path / "password"
    file.write_text("three\n")
    assert credentials(options(username="u", password_file=file)) == ("u", "three")


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({"password_env": "CQL_PASSWORD_ABSENT"}, None),
        ({"password_file": "password"}, None),
        ({"password_file": "password"}, b""),
        ({"password_file": "password"}, b"hunter2\xff"),
    ],
)
def test_a_password_that_is_not_there_names_its_option_and_quotes_nothing(given, content, tmp_path):
    if "password_file" in given:
        given = {"password_file": tmp_path / "password"}
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(SinkMisconfigured, match=next(iter(given))) as told:
        credentials(options(username="u", **given))
    assert "hunter2" not in str(told.value)
    assert "hunter2" not in repr(told.value.__context__)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"username": "u"}, "without password_env"),
        ({"password_env": "X"}, "without username"),
        ({"username": "u", "password_env": "X", "password_file": "/f"}, "password_env and password_file"),
        ({"username": "u", "password_secret": "orders/cassandra"}, "region is missing"),
        ({"tls": {"key_file": "/k"}}, "give certificate_file too"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given, fault):
    with pytest.raises(ValidationError, match=fault):
        options(**given)


def test_a_secret_by_its_arn_is_asked_for_in_its_own_region():
    assert options(username="u", password_secret=ARN).password_secret.place == "eu-north-1"
    elsewhere = options(username="u", password_secret={"id": "orders", "region": "eu-west-1"})
    assert elsewhere.password_secret.place == "eu-west-1"


def test_host_names_are_checked_unless_somebody_says_otherwise(tmp_path):
    authority = Authority(tmp_path)
    made = ssl_context(options(tls={"ca_file": authority.file}))
    assert made.check_hostname
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    lenient = ssl_context(options(tls={"ca_file": authority.file, "check_hostname": False}))
    assert not lenient.check_hostname
    assert lenient.verify_mode is ssl.CERT_REQUIRED  # the authority still has to have signed it


def test_the_name_that_is_checked_is_the_configured_one():
    assert wrapping(options(tls={})) == {}
    assert wrapping(options(tls={"server_name": "nodes.example"})) == {"server_hostname": "nodes.example"}


class TestFiles:
    @pytest.fixture
    def authority(self, tmp_path):
        return Authority(tmp_path)

    def said(self, **tls):
        with pytest.raises(SinkMisconfigured) as told:
            ssl_context(options(tls=tls))
        return str(told.value)

    def test_an_authority_that_is_not_there(self, tmp_path):
        assert "target.tls.ca_file" in self.said(ca_file=tmp_path / "none.pem")

    def test_an_authority_that_is_no_pem(self, tmp_path):
        (tmp_path / "ca.der").write_bytes(b"\x30\x82")
        assert "target.tls.ca_file" in self.said(ca_file=tmp_path / "ca.der")

    def test_a_key_of_another_certificate(self, authority):
        certificate, _ = authority.issue("one")
        _, key = authority.issue("two")
        said = self.said(ca_file=authority.file, certificate_file=certificate, key_file=key)
        assert "fit each other" in said

    def test_a_key_that_is_encrypted_is_refused_and_nobody_is_asked_for_its_password(self, authority):
        certificate, key = authority.issue("one", password=b"secret")
        assert "not be encrypted" in self.said(ca_file=authority.file, certificate_file=certificate, key_file=key)

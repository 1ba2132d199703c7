"""Passwords of AWS Secrets Manager, over moto's server."""

import contextlib
import logging

import boto3
import msgspec
import pytest

from sinks.cassandra.access import credentials
from sinks.cassandra.options import CassandraOptions
from sinks.sink import SinkMisconfigured, SinkUnavailable

pytestmark = pytest.mark.server
REGION, PASSWORD = "eu-west-1", "hunter2-secret"
PLACE = {"contact_points": ["a"], "local_datacenter": "d", "keyspace": "k", "table": "t", "username": "mover"}


@pytest.fixture
def keep(s3, fresh_name):
    """Keeps a secret; its ARN."""
    with contextlib.closing(boto3.client("secretsmanager", region_name=REGION, endpoint_url=s3.endpoint_url)) as client:
        yield lambda **value: client.create_secret(Name=f"secret-{fresh_name()}", **value)["ARN"]


@pytest.fixture
def asked(s3):
    def ask(secret, **more):
        given = {"id": secret, "endpoint_url": s3.endpoint_url, "sts_endpoint_url": s3.endpoint_url, **more}
        return credentials(CassandraOptions(**PLACE, password_secret=given))

    return ask


def refused(ask, secret, **more):
    with pytest.raises(SinkMisconfigured) as told:
        ask(secret, **more)
    chain = [told.value]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    assert not [error for error in chain if PASSWORD in repr(error) or PASSWORD in repr(vars(error))]
    return str(told.value)


def test_a_text_is_the_password(keep, asked):
    assert asked(keep(SecretString=PASSWORD)) == ("mover", PASSWORD)


def test_bytes_are_the_password(keep, asked):
    assert asked(keep(SecretBinary=PASSWORD.encode())) == ("mover", PASSWORD)


def test_a_field_of_an_object_is_the_password(keep, asked):
    arn = keep(SecretString=msgspec.json.encode({"username": "x", "pass": PASSWORD}).decode())
    assert asked(arn, field="pass") == ("mover", PASSWORD)


def test_the_current_value_is_read_each_time(keep, asked, s3):
    arn = keep(SecretString="old")
    assert asked(arn) == ("mover", "old")
    with contextlib.closing(boto3.client("secretsmanager", region_name=REGION, endpoint_url=s3.endpoint_url)) as client:
        client.put_secret_value(SecretId=arn, SecretString=PASSWORD)
    assert asked(arn) == ("mover", PASSWORD)


def test_a_role_in_the_secrets_account_is_taken(s3, asked):
    role = "arn:aws:iam::444444444444:role/moveout"
    with contextlib.closing(boto3.client("sts", region_name=REGION, endpoint_url=s3.endpoint_url)) as sts:
        keys = sts.assume_role(RoleArn=role, RoleSessionName="preparation")["Credentials"]
    owner = boto3.client(
        "secretsmanager",
        region_name=REGION,
        endpoint_url=s3.endpoint_url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    with contextlib.closing(owner):
        owner.create_secret(Name="of-another-account", SecretString=PASSWORD)
    assert "ResourceNotFound" in refused(asked, "of-another-account", region=REGION)
    assert asked("of-another-account", region=REGION, role_arn=role) == ("mover", PASSWORD)


def test_an_object_without_a_field_named_is_refused(keep, asked):
    assert "target.password_secret.field" in refused(asked, keep(SecretString=f'{{"password": "{PASSWORD}"}}'))


@pytest.mark.parametrize(
    "value", [PASSWORD, f'{{"password": "{PASSWORD}"}}', f'["{PASSWORD}"]', f'{{"pwd": 1, "{PASSWORD}']
)
def test_a_field_that_is_not_there_is_refused_and_nothing_is_quoted(keep, asked, value):
    assert "target.password_secret.field" in refused(asked, keep(SecretString=value), field="pwd")


def test_bytes_that_are_no_text_are_refused_and_not_quoted(keep, asked):
    assert "UTF-8" in refused(asked, keep(SecretBinary=PASSWORD.encode() + b"\xff"))


def test_a_secret_that_is_not_there_names_its_option_and_the_right(asked):
    said = refused(asked, "absent", region=REGION)
    assert "target.password_secret" in said
    assert "secretsmanager:GetSecretValue" in said


def test_a_service_that_does_not_answer_is_waited_for():
    secret = {"id": "s", "region": REGION, "endpoint_url": "http://127.0.0.1:1"}
    with pytest.raises(SinkUnavailable, match=r"target\.password_secret"):
        credentials(CassandraOptions(**PLACE, password_secret=secret))


def test_a_secret_stands_in_no_log(keep, asked, caplog):
    caplog.set_level(logging.INFO)
    asked(keep(SecretString=PASSWORD))
    assert PASSWORD not in caplog.text

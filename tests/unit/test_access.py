import contextlib
import time
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError, NoCredentialsError
from fake_sts import OWN_KEY, FakeSts, Gate

from daemon import aws, identities, preflight
from daemon.config import Config
from daemon.preflight import CheckFailed
from sinks import access
from sinks.access import Access, NoCredentials, RoleRefused, RoleUnavailable
from sinks.change import KeyAttribute, KeySchema
from sinks.dynamodb.call import Calls
from sinks.dynamodb.connect import access_of
from sinks.dynamodb.errors import as_sink_error
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.sink import DynamoDbSink
from sinks.sink import SinkMisconfigured, SinkUnavailable

ROLE = "arn:aws:iam::222222222222:role/moveout-source"
REGION = "eu-west-1"
QUARTER_OF_AN_HOUR = 900  # so long before their end botocore renews credentials
WAYS = ("boto3", "signed by ourselves")
KEYS = KeySchema(KeyAttribute("id", "S"), None)


@pytest.fixture(autouse=True)
def own_keys(monkeypatch, tmp_path):
    """Nothing of this machine's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    own = {
        "AWS_ACCESS_KEY_ID": OWN_KEY,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sts():
    with FakeSts({ROLE: "theirs"}) as made:
        yield made


def asker(sts, **changes):
    known = {"role_arn": ROLE, "external_id": "theirs", "sts_endpoint_url": sts.url, "session_name": "moveout-orders"}
    return Access("source", REGION, **{**known, **changes})


def dynamodb(who, gate):
    once = ClientConfig(retries={"total_max_attempts": 1})
    return access.client(who, "dynamodb", REGION, gate.url, once)


@contextmanager
def asking(way, who, gate):
    """One of the two ways in which we ask DynamoDB."""
    with contextlib.closing(dynamodb(who, gate)) as client:
        if way == "boto3":
            yield client.list_tables
            return
        explain = partial(access.advice, who, "dynamodb", REGION)
        with contextlib.closing(Calls(client, access.session(who), 5.0, explain)) as calls:
            yield partial(calls.call, "ListTables", {})


def test_requests_are_signed_with_the_roles_keys_and_the_session_tells_the_migration(sts):
    with Gate(sts, ROLE) as gate:
        for way in WAYS:
            with asking(way, asker(sts), gate) as ask:
                ask()
    assert [(seen.key in sts.keys, seen.told["token"]) for seen in gate.seen] == [
        (True, f"token-of-{key}") for key in (gate.seen[0].key, gate.seen[1].key)
    ]
    (asked,) = sts.seen
    assert (asked.key, asked.told["RoleSessionName"], asked.told["ExternalId"]) == (OWN_KEY, "moveout-orders", "theirs")


def test_a_session_name_is_cut_to_what_sts_allows():
    assert len(access.session_name("m" * 63)) == 64


@pytest.mark.parametrize("way", WAYS)
def test_keys_are_asked_for_once_and_renewed_before_they_end(sts, way):
    sts.told_seconds, sts.real_seconds = QUARTER_OF_AN_HOUR + 3, 7
    began = time.monotonic()
    with Gate(sts, ROLE) as gate, asking(way, asker(sts), gate) as ask:
        while time.monotonic() < began + 9:  # longer than any one set of keys lasts
            ask()
            time.sleep(0.05)
    assert 2 <= sts.taken(ROLE) <= (time.monotonic() - began) / 3 + 1
    assert gate.refused == []


def test_a_wrong_external_id_is_told_with_side_role_and_what_the_trust_policy_needs(sts):
    with pytest.raises(RoleRefused) as told:
        access.identity(asker(sts, external_id="ours"))
    for part in ("role arn:aws:iam::222222222222:role/moveout-source of the source", "AccessDenied", "trust policy"):
        assert part in str(told.value)
    assert "sts:ExternalId is 'ours'" in str(told.value)


def test_a_missing_external_id_is_told_as_one(sts):
    with pytest.raises(RoleRefused, match="no external id is configured for the source"):
        access.identity(asker(sts, external_id=None))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredToken", "Renew them"),
        ("InvalidClientTokenId", "Check the keys"),
        ("SignatureDoesNotMatch", "clock"),
        ("RegionDisabledException", "STS is not active in eu-west-1: set the source's sts_endpoint_url"),
        ("ValidationError", "Check the role"),
    ],
)
def test_what_a_person_must_do_is_said_of_every_refusal_of_sts(sts, code, said):
    sts.failure = (403, code, "because.")
    with pytest.raises(RoleRefused, match=rf"{ROLE} of the source cannot be taken \({code}\): because\. .*{said}"):
        access.identity(asker(sts))


@pytest.mark.parametrize("failure", [(503, "ServiceUnavailable", "later"), (400, "Throttling", "slowly")])
def test_an_sts_that_has_a_bad_moment_is_worth_another_try(sts, failure):
    sts.failure = failure
    who = asker(sts)
    with pytest.raises(RoleUnavailable, match=failure[1]) as told:
        access.identity(who)
    assert isinstance(as_sink_error(told.value), SinkUnavailable)
    sts.failure = None
    assert ROLE in access.identity(who)


def test_an_sts_that_nobody_answers_for_is_told_with_where_it_is_looked_for():
    with FakeSts({}) as gone:
        pass
    with pytest.raises(RoleUnavailable, match=r"STS in eu-west-1 cannot be reached.*source's sts_endpoint_url"):
        access.identity(asker(gone))


def test_a_clock_that_goes_wrong_is_told_for_what_it_is(sts):
    sts.told_seconds = -5
    with pytest.raises(RoleUnavailable, match="set the clock"):
        access.identity(asker(sts))


@pytest.mark.parametrize("role", [None, ROLE])
def test_without_any_keys_the_side_is_named(sts, monkeypatch, role):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(NoCredentials, match="source: no AWS credentials") as told:
        access.identity(asker(sts, role_arn=role))
    assert isinstance(told.value, NoCredentialsError)
    assert isinstance(as_sink_error(told.value), SinkMisconfigured)


@pytest.mark.parametrize("way", WAYS)
def test_keys_that_have_ended_are_told_with_the_side_whose_they_are(sts, way):
    who = asker(sts, role_arn=None)
    with Gate(sts, ROLE) as gate, asking(way, who, gate) as ask, pytest.raises(ClientError) as told:
        ask()
    assert "ExpiredTokenException" in str(told.value)
    assert "demo has ended. Expired: the credentials that moveout runs with, for the source. Renew them" in str(
        told.value
    )
    assert isinstance(as_sink_error(told.value), SinkMisconfigured)


@pytest.mark.parametrize(
    ("service", "code", "said"),
    [
        ("dynamodb", "AccessDeniedException", "Asked by the role"),
        ("s3", "403", "s3:ListBucket"),
        ("dynamodb", "UnrecognizedClientException", "Not known to dynamodb in eu-west-1"),
        ("s3", "AuthorizationHeaderMalformed", "set backfill.s3_region"),
        ("s3", "SignatureDoesNotMatch", "clock"),
    ],
)
def test_a_refusal_of_credentials_comes_with_what_to_do(sts, service, code, said):
    assert said in access.advice(asker(sts), service, REGION, code)


def test_other_errors_are_left_as_the_service_says_them(sts):
    assert access.advice(asker(sts), "dynamodb", REGION, "ConditionalCheckFailedException") is None
    assert access.advice(asker(sts), "dynamodb", REGION, "AuthorizationHeaderMalformed") is None


def test_a_target_whose_role_is_refused_stops_and_says_why(sts):
    options = DynamoDbOptions(
        kind="dynamodb", table="moved", region=REGION, sts_endpoint_url=sts.url, role_arn=ROLE, external_id="wrong"
    )
    with pytest.raises(SinkMisconfigured, match=r"role .* of the target cannot be taken.*trust policy"):
        DynamoDbSink(options, KEYS).open()


def configured(sts=None, **sections):
    known = {
        "migration": "orders",
        "source": {"table": "orders", "region": REGION},
        "backfill": {"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json"},
        "target": {"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
    }
    if sts is not None:
        known["source"] |= {"role_arn": ROLE, "external_id": "theirs", "sts_endpoint_url": sts.url}
    return Config(**{**known, **{name: {**known.get(name, {}), **values} for name, values in sections.items()}})


def test_a_side_that_says_nothing_is_asked_as_the_source_is(sts):
    config = configured(sts)
    assert aws.state(config) == aws.source(config)
    assert aws.bucket(config).access == aws.source(config).access
    assert aws.stream(config) == aws.source(config)
    assert aws.target(config).access.role_arn is None


def test_every_side_may_be_in_an_account_and_a_region_of_its_own(sts):
    of = "arn:aws:iam::{}:role/moveout".format
    config = configured(
        sts,
        backfill={"s3_role_arn": of("3" * 12), "s3_region": "eu-north-1", "s3_endpoint_url": "http://s3"},
        control={"role_arn": of("4" * 12), "region": "eu-central-1", "external_id": "its"},
        target={"role_arn": of("5" * 12), "sts_endpoint_url": "http://sts"},
        source={"streams_endpoint_url": "http://streams", "endpoint_url": "http://table"},
    )
    bucket, state, target = aws.bucket(config), aws.state(config), aws.target(config)
    assert (bucket.access.role_arn, bucket.region, bucket.endpoint_url) == (of("3" * 12), "eu-north-1", "http://s3")
    assert bucket.access.external_id is None
    assert (state.access.role_arn, state.region, state.access.external_id) == (of("4" * 12), "eu-central-1", "its")
    assert state.endpoint_url is None  # the source's is of another region
    assert (target.access.role_arn, target.access.sts_endpoint_url) == (of("5" * 12), "http://sts")
    assert (aws.stream(config).endpoint_url, aws.source(config).endpoint_url) == ("http://streams", "http://table")
    assert {place.access.session_name for place in (bucket, state, target)} == {"moveout-orders"}


def test_none_means_no_role_where_the_default_is_the_sources(sts):
    config = configured(sts, control={"role_arn": "none"}, backfill={"s3_role_arn": "none"})
    assert aws.state(config).access.role_arn is None
    assert aws.state(config).access.external_id is None
    assert aws.bucket(config).access.role_arn is None


@pytest.mark.parametrize(
    ("section", "option"),
    [("source", "external_id"), ("control", "external_id"), ("target", "external_id"), ("backfill", "s3_external_id")],
)
def test_an_external_id_without_a_role_is_refused_since_nobody_would_hear_it(section, option):
    with pytest.raises(ValueError, match="is only told to a role: give"):
        configured(**{section: {option: "theirs"}})


def test_each_set_of_credentials_is_named_once_with_the_sides_that_use_it(sts):
    config = configured(sts, target={"sts_endpoint_url": sts.url})
    found = {sides: look() for sides, look in identities.asked(config)}
    assert found == {
        "source, control, bucket": f"{ROLE}",
        "target": "arn:aws:iam::111111111111:user/moveout",
    }


def test_where_there_is_no_sts_to_ask_the_key_is_named(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    config = configured(source={"endpoint_url": "http://127.0.0.1:9"}, target={"endpoint_url": "http://127.0.0.1:9"})
    ((_, first), *_) = identities.asked(config)
    assert first() == f"access key {OWN_KEY}; whose it is was not asked: endpoint_url is set, sts_endpoint_url is not"


def test_a_network_without_sts_is_no_fault_of_a_move_without_roles():
    with FakeSts({}) as gone:
        pass
    config = configured(source={"sts_endpoint_url": gone.url}, target={"sts_endpoint_url": gone.url})
    ((_, first), *_) = identities.asked(config)
    assert "could not be asked" in first()


def test_a_role_that_is_refused_is_one_finding_and_no_traceback(sts):
    config = configured(sts, source={"external_id": "wrong", "endpoint_url": "http://127.0.0.1:9"})
    known = SimpleNamespace(dynamodb=aws.client("dynamodb", aws.source(config)))
    with pytest.raises(CheckFailed, match=r"^source table 'orders' cannot be read: the role .*'wrong'.*$"):
        preflight.table(config, known.dynamodb)


def test_the_keys_of_a_profile_sign_what_is_sent_to_the_target(tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text("[scylla]\naws_access_key_id = alternator\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    place = {"region": "us-east-1", "endpoint_url": "http://127.0.0.1:1"}
    options = DynamoDbOptions(kind="dynamodb", table="moved", profile="scylla", **place)
    keys = access.session(access_of(options, "moveout")).get_credentials()
    assert keys.access_key == "alternator"


def test_a_target_with_a_profile_is_asked_apart_from_moveouts_own_credentials():
    file = {
        "migration": "orders",
        "source": {"table": "orders", "region": "eu-west-1"},
        "backfill": {"from": "scan"},
        "dead_letters": {"to": "/letters"},
        "target": {"kind": "dynamodb", "table": "moved", "region": "us-east-1", "profile": "other"},
    }
    assert [sides for sides, _ in identities.asked(Config(**file))] == ["source, control", "target"]

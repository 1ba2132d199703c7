import pytest

from daemon.kcl.properties import KclSettings, KclSide, UnusableSetting, render
from daemon.kcl.start import application_name

ARN = "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2026-11-21T05:06:06.288"


def settings(**changes):
    known = {
        "stream_arn": ARN,
        "application_name": "moveout-orders",
        "worker_id": "pod-0",
        "stream": KclSide(region="eu-west-1"),
        "leases": KclSide(region="eu-west-1"),
        "executable": ("/venv/bin/python", "-m", "daemon.kcl.shard", "/etc/moveout.yaml"),
    }
    return KclSettings(**{**known, **changes})


def parsed(text):
    return dict(line.split("=", 1) for line in text.splitlines())


def test_the_stream_is_named_where_the_kcl_does_not_take_it_for_a_kinesis_stream():
    properties = parsed(render(settings()))
    assert properties["streamName"] == ARN
    assert "streamArn" not in properties


def test_reading_begins_at_the_horizon_and_never_at_the_latest_record():
    assert parsed(render(settings()))["initialPositionInStream"] == "TRIM_HORIZON"


def test_an_endpoint_is_given_only_where_one_is_set_and_each_side_has_its_own():
    assert not [name for name in parsed(render(settings())) if "Endpoint" in name]
    told = parsed(render(settings(stream=KclSide(region="eu-west-1", endpoint_url="http://127.0.0.1:1"))))
    assert told["streamEndpoint"] == "http://127.0.0.1:1"
    assert "leasesEndpoint" not in told


def test_each_side_takes_its_own_role_and_one_without_a_role_asks_sts_for_nothing():
    told = parsed(render(settings(stream=KclSide(region="eu-west-1", role_arn="arn:r", external_id="x"))))
    assert {name: value for name, value in told.items() if name.startswith(("stream", "leases"))} == {
        "streamName": ARN,
        "streamRegion": "eu-west-1",
        "streamRoleArn": "arn:r",
        "streamExternalId": "x",
        "streamStsRegion": "eu-west-1",
        "leasesRegion": "eu-west-1",
    }


def test_a_line_break_in_a_side_is_refused_too():
    with pytest.raises(UnusableSetting, match=r"leases\.endpoint_url.*line break"):
        render(settings(leases=KclSide(region="eu-west-1", endpoint_url="http://a\nstreamRoleArn=b")))


def test_no_value_is_one_that_the_kcl_takes_for_its_own_default():
    assert not {"false", "0", ""} & set(parsed(render(settings())).values())


def test_a_command_with_a_space_in_a_word_is_refused_with_what_to_do():
    with pytest.raises(UnusableSetting, match=r"/my path/python.*path without spaces"):
        render(settings(executable=("/my path/python", "-m", "x")))


@pytest.mark.parametrize("name", ["failover_millis", "idle_millis", "shard_audit_millis"])
def test_a_time_of_zero_is_refused_because_the_kcl_would_ignore_it(name):
    with pytest.raises(UnusableSetting, match=f"{name} is 0"):
        render(settings(**{name: 0}))


def test_a_line_break_cannot_smuggle_in_another_property():
    with pytest.raises(UnusableSetting, match="line break"):
        render(settings(worker_id="pod\ninitialPositionInStream=LATEST"))


@pytest.mark.parametrize("worker_id", [" pod", "pod ", "pod\tzero"])
def test_a_value_that_the_kcl_would_read_otherwise_is_refused(worker_id):
    with pytest.raises(UnusableSetting, match="worker_id"):
        render(settings(worker_id=worker_id))


@pytest.mark.parametrize(
    ("word", "escaped"),
    [("/opt/café", r"/opt/caf\u00e9"), (r"/opt/a\new", r"/opt/a\\new"), ("/opt/\U0001f600", r"/opt/\ud83d\ude00")],
)
def test_a_path_that_java_would_misread_is_escaped(word, escaped):
    assert parsed(render(settings(executable=(word,))))["executableName"] == escaped


def test_a_leader_lease_shorter_than_two_heartbeats_is_refused():
    with pytest.raises(UnusableSetting, match="twice"):
        render(settings(leader_lease_millis=5000, leader_heartbeat_millis=5000))


def test_the_kcls_tables_belong_to_one_migration_one_stream_and_one_generation_and_have_legal_names():
    long = [application_name(f"shop.{'x' * 200}{table}", ARN, generation) for table in "ab" for generation in (1, 2)]
    assert len(set(long)) == 4
    assert {len(name) for name in long} == {200}
    name = application_name("orders", ARN, 1)
    assert name == "moveout-orders-g1-2026-11-21T05-06-06.288"
    assert application_name("orders", ARN.replace("05:06", "07:06"), 1) != name
    assert application_name("orders", ARN, 2) != name

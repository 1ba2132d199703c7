import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import MemoryControl

from daemon import handed_on
from daemon.config import Config
from daemon.control import Migration
from daemon.kcl import start

ARN = "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2026-11-21T05:06:06.288"


@pytest.fixture
def known():
    """A migration whose anchor is durable."""
    control = MemoryControl()
    control.put("migration", Migration(stream_arn=ARN), 0)
    return SimpleNamespace(config=configured(), control=control)


def stays(*_):
    """In the place of a Java: a process that only stays."""
    return [sys.executable, "-c", "import time; time.sleep(60)"]


def configured(**tail):
    return Config(
        migration="orders",
        source={"table": "orders", "region": "eu-west-1"},
        backfill={"manifest": "s3://bucket/AWSDynamoDB/1/manifest-summary.json"},
        target={"kind": "dynamodb", "table": "moved", "region": "eu-west-1"},
        tail=tail,
    )


def test_only_we_can_read_or_replace_the_launchers_settings_and_they_go_with_it(known, tmp_path):
    daemon = start.kcl_daemon(known, Path("moveout.yaml"), command=stays, folder=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert f"streamName={ARN}" in (folder / "kcl.properties").read_text()
    daemon.stop(20)
    assert list(tmp_path.iterdir()) == []


def test_the_settings_of_a_launcher_that_died_are_removed_too(known, tmp_path):
    daemon = start.kcl_daemon(known, Path("moveout.yaml"), command=stays, folder=tmp_path)
    os.kill(daemon.pid, 9)
    end = time.monotonic() + 20
    while daemon.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_behind_when_java_cannot_be_started(known, tmp_path):
    with pytest.raises(FileNotFoundError):
        start.kcl_daemon(known, Path("moveout.yaml"), command=lambda *_: [str(tmp_path / "no-java")], folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_kcl_never_starts_before_the_anchor_is_durable(known):
    known.control = MemoryControl()
    with pytest.raises(start.NotAnchored, match="orders"):
        start.kcl_daemon(known, Path("moveout.yaml"))


@pytest.mark.parametrize(
    ("failover", "assignment", "lease"), [(10, 2000, 20_000), (5, 1000, 10_000), (120, 2000, 240_000)]
)
def test_one_setting_says_how_patient_replicas_are_with_each_other(failover, assignment, lease):
    settings = start.kcl_settings(configured(failover_seconds=failover), ARN, 1, Path("moveout.yaml"))
    assert settings.lease_assignment_millis == assignment
    assert settings.leader_lease_millis == lease
    assert settings.leader_heartbeat_millis <= lease / 2


def test_a_shards_process_is_given_the_configuration_that_its_service_has_checked(known, tmp_path):
    said = tmp_path / "said"

    def writes_down(*_):
        name = handed_on.CHECKED_VARIABLE
        copies = f"import os, shutil; shutil.copyfile(os.environ[{name!r}], {str(said)!r})"
        return [sys.executable, "-c", copies]

    daemon = start.kcl_daemon(known, Path("moveout.yaml"), command=writes_down, folder=tmp_path)
    end = time.monotonic() + 20
    while daemon.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert said.read_bytes() == handed_on.encoded([known.config])

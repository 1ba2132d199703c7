import re

import pytest
from typer.testing import CliRunner

from daemon.cli import app

COMMANDS = ("check", "run", "backfill", "status", "wait", "demo")


def moveout(*arguments):
    return CliRunner().invoke(app, list(arguments))


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_help_teaches_the_usual_order():
    told = plain(moveout("--help").stdout)
    assert all(command in told for command in COMMANDS)
    assert "shard" not in told.replace("shards", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = moveout(command, "--help")
    assert result.exit_code == 0
    assert len(plain(result.stdout)) > 200


@pytest.mark.parametrize("command", ["check", "run", "backfill", "status", "wait"])
def test_a_missing_configuration_is_exit_code_2_and_names_the_file(command):
    result = moveout(command, "--config", "nowhere.yaml")
    assert result.exit_code == 2
    assert "nowhere.yaml" in result.stderr


def test_a_share_that_does_not_exist_is_refused(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(
        "migration: orders\nsource: {table: orders, region: eu-west-1}\n"
        'backfill: {manifest: "s3://b/AWSDynamoDB/01/manifest-summary.json"}\n'
        "target: {kind: dynamodb, table: moved, region: eu-west-1}\n"
    )
    result = moveout("backfill", "--config", str(path), "--index", "2", "--of", "2")
    assert (result.exit_code, "--index 2 is not below --of 2" in result.stderr) == (2, True)


def test_an_unknown_sink_of_the_demo_is_refused():
    assert moveout("demo", "--sink", "mysql").exit_code == 2

"""What a worker's and a shard's process do not carry, and that nobody misses it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import create_loader
from botocore.regions import EndpointResolver

from sinks import service_models
from sinks.lean import hollow, without

PROJECT = Path(__file__).parent.parent.parent
# boto3 brings s3transfer; typer and rich are for people; wrapt and numpy come with the CQL driver, and are not needed.
NEVER = ("boto3", "s3transfer", "numpy", "wrapt", "rich", "pygments", "typer", "uvicorn", "starlette", "daemon.cli")
# Another process checks the configuration.
CHECKS = ("pydantic_core", "pydantic_settings.main", "yaml", "argparse")
BEGUN = "from sinks import unchecked; unchecked.stand_in()"


def ran(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.mark.parametrize("process", ["daemon.worker", "daemon.kcl.shard", "daemon.verify.run"])
@pytest.mark.parametrize("driver", ["sinks.cassandra.sink", "sinks.dynamodb.sink", "sinks.jsonl.sink"])
def test_a_process_that_moves_rows_carries_nothing_that_it_does_not_use(process, driver):
    said = ran("-c", f"{BEGUN}; import json, sys, {process}, {driver}; print(json.dumps(list(sys.modules)))")
    assert said.returncode == 0, said.stderr
    assert {*NEVER, *CHECKS} & set(json.loads(said.stdout)) == set()


def test_what_was_kept_out_can_be_imported_afterwards():
    said = ran("-c", f"{BEGUN}; import sinks.cassandra.sink, numpy, rich, wrapt; print(numpy.zeros(2).sum())")
    assert (said.stdout, said.returncode) == ("0.0\n", 0), said.stderr
    # asyncio also in a process that had it already: which driver needs it depends on Python's version.
    said = ran("-c", "import daemon, sys; here = 'asyncio' in sys.modules; import asyncio; print(here, asyncio.Lock())")
    assert said.stdout.startswith("False <asyncio.locks.Lock"), said.stderr


def test_a_hollow_module_has_every_name_for_its_block_and_a_known_one_stays():
    with hollow("this", "json"):
        import json as known
        from this import anything

        assert (anything, hasattr(known, "loads")) == (None, True)
    assert "this" not in sys.modules


def test_without_hides_a_module_for_its_block_and_leaves_a_known_one_alone():
    assert "this" not in sys.modules
    with without("this", "json"):
        import json as known

        with pytest.raises(ModuleNotFoundError):
            import this  # noqa: F401
        assert known is json
    assert "this" not in sys.modules


def test_a_worker_ends_with_the_commands_exit_code_and_one_line(tmp_path):
    said = ran("-m", "daemon.lean", "worker", str(tmp_path / "none.yaml"), "0", "1")
    assert said.returncode == 2
    assert said.stderr.startswith("moveout: cannot read")
    assert len(said.stderr.splitlines()) == 1


def test_what_aws_is_known_to_be_is_read_once_for_all_sessions_of_a_process():
    assert service_models.loader(None) is service_models.loader(None)


@pytest.mark.parametrize("service", ["s3", "dynamodb", "dynamodbstreams", "secretsmanager", "sts"])
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
def test_a_service_is_described_as_botocore_describes_it_but_for_the_documentation(service, kind):
    own = create_loader(None).load_service_model(service, kind)
    # A loader that no other test has used: where S3's client is made, botocore alters the model that it was given.
    fresh = service_models.loader.__wrapped__(None)
    assert fresh.load_service_model(service, kind) == undocumented(own)


def undocumented(value):
    if isinstance(value, dict):
        texts = {name: "" for name, one in value.items() if name == "documentation" and isinstance(one, str)}
        return {name: undocumented(one) for name, one in value.items()} | texts
    return [undocumented(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("region", ["eu-north-1", "us-gov-west-1", "cn-north-1", "xx-nowhere-9"])
@pytest.mark.parametrize("service", ["s3", "dynamodb", "secretsmanager", "streams.dynamodb", "sts"])
def test_each_service_that_is_called_has_the_endpoint_that_botocore_gives_it(service, region):
    found = resolved(service_models.loader(None), service, region)
    assert found == resolved(create_loader(None), service, region)


def resolved(loader, service, region):
    return EndpointResolver(loader.load_data("endpoints")).construct_endpoint(service, region)


def test_a_model_that_is_not_there_is_refused_in_botocores_own_words():
    with pytest.raises(UnknownServiceError):
        service_models.loader(None).load_service_model("no-such-service", "service-2")

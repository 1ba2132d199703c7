"""Every example of the run book's "How does my application follow the switch?" does what is said there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from served import published
from served import served as one_served
from typer.testing import CliRunner

from daemon.cli import app
from daemon.routes import Routes, reads_from
from daemon.signal import file
from daemon.signal.document import Verification

RUN_BOOK = (Path(__file__).parents[2] / "deploy" / "README.md").read_text()
SECTION = RUN_BOOK.split("## How does my application follow the switch?")[1].split("\n## ")[0]
EXAMPLES = re.findall(r"```(\w*)\n(.*?)```", SECTION, re.DOTALL)
SHELL = [line for kind, text in EXAMPLES if kind == "sh" for line in [text]]
OFREP, FILE = (text for kind, text in EXAMPLES if kind == "python")
COMMANDS = [line.split("#")[0].split() for kind, text in EXAMPLES if not kind for line in text.splitlines()]
SPLIT = Routes(reads_percent=50, writes_fenced=True)
EXPECTED = f"read from {reads_from(SPLIT, 'user-17')} write to fenced\n"


@pytest.fixture
def served():
    with one_served() as made:
        made.document = published(writers=True, routes=SPLIT, verification=Verification(1, "finished", 9, 9, {}))
        yield made


def ran(words, **environment):
    return subprocess.run(
        words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl, which this machine has not")
@pytest.mark.parametrize("text", SHELL)
def test_the_curl_examples_get_an_answer(served, text):
    held = text.replace("stable_for=60s", "stable_for=1s").replace("wait=30s", "wait=300ms")
    done = ran(["sh", "-ec", held.replace("http://localhost:8080", served.url)])
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.replace("}{", "}\n{").splitlines()]
    assert len(told) == held.count("curl") - held.count("curl -fsSI")


def test_a_curl_example_fails_while_the_answer_is_no(served):
    served.document = published(ready=False)
    assert served.ask("/v1/ready/readers?max_lag=2s&stable_for=60s").status == 503


def test_the_openfeature_example_follows_the_routes_and_holds_them_while_the_service_is_away(served):
    program = f"{OFREP}\nimport sys\nsys.stdin.readline()\n" + OFREP.splitlines()[-1]
    done = ran([sys.executable, "-c", OFREP], MOVEOUT_URL=served.url)
    assert (done.stdout, done.stderr) == (EXPECTED, "")
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "MOVEOUT_URL": served.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdout.readline() == EXPECTED
        served.document = None  # restarted, and it knows nothing yet
        assert running.communicate("\n")[0] == EXPECTED


def test_the_openfeature_example_does_not_go_back_to_what_a_replica_of_before_tells(served):
    # Cut off from the control table, and behind the same address: it still told the writers to write to the source.
    served.document = msgspec.structs.replace(served.document, epoch=9)
    program = f"{OFREP}\nimport sys\nsys.stdin.readline()\n" + OFREP.splitlines()[-1]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "MOVEOUT_URL": served.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout.readline() == EXPECTED
        served.document = msgspec.structs.replace(served.document, epoch=8, routes=Routes())
        assert running.communicate("\n")[0] == EXPECTED


def test_the_file_example_tells_what_the_flags_tell(served, tmp_path):
    file.publish(tmp_path / "signal.json", served.document)
    assert ran([sys.executable, "-c", FILE], MOVEOUT_SIGNAL=str(tmp_path / "signal.json")).stdout == EXPECTED


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_are_understood(served, tmp_path, words):
    path = tmp_path / "moveout.yaml"
    path.write_text(
        "migration: orders\nsource: {table: customers, region: eu-west-1}\nbackfill: {from: scan}\n"
        f"dead_letters: {{to: {tmp_path}}}\ntarget: {{kind: dynamodb, table: moved, region: us-east-1}}\n"
    )
    short = ["0s" if word in ("1h", "60s") else word for word in words[1:]]
    short = [*short[: short.index("--timeout")], "--timeout", "300ms"] if "--timeout" in short else short
    done = CliRunner().invoke(app, [*short, "--config", str(path), "--url", served.url])
    assert done.exit_code in (0, 4), done.stderr

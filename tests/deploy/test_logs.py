"""The log's events are those that deploy/logs.md tells of, with these levels and keys, and people can read them too."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from daemon.routes import Routes

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "deploy" / "logs.md").read_text()
LEVELS = ("debug", "info", "warning", "error", "critical")
# Whose level is chosen when it runs, with what it is chosen from: daemon/kcl/jvm.py relays the JVM's lines.
RELAYED = {"kcl_logged": ({"debug", "warning", "error"}, {"logger_name", "message"})}
BOUND = {"migration", "table", "role"}


def calls(tree):
    """Each call of a logger."""
    for node in ast.walk(tree):
        of_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        if of_method and ast.unparse(node.func.value) in ("log", "logger", "structlog.get_logger()"):
            yield node


def names(node):
    """Of the event: a literal, or one of two."""
    if isinstance(node, ast.IfExp):
        return names(node.body) + names(node.orelse)
    assert isinstance(node, ast.Constant), f"an event's name is stable: {ast.unparse(node)}"
    return [node.value]


def keys(call):
    for keyword in call.keywords:
        # `**told` is the routes.
        yield from [keyword.arg] if keyword.arg else msgspec.structs.fields(Routes)


def emitted():
    """event -> levels and keys, by the code."""
    found = {event: (set(levels), set(given)) for event, (levels, given) in RELAYED.items()}
    for path in [*PROJECT.glob("daemon/**/*.py"), *PROJECT.glob("sinks/**/*.py")]:
        for call in calls(ast.parse(path.read_text())):
            for event in names(call.args[0]):
                levels, given = found.setdefault(event, (set(), set()))
                levels.add(call.func.attr)
                given.update(getattr(key, "name", key) for key in keys(call))
    return found


def told():
    """event -> levels and keys, by the page."""
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| (.*?) ?\| ", PAGE, re.MULTILINE)
    return {event: (set(levels.split(", ")), set(re.findall(r"`(\w+)`", given))) for event, levels, given in rows}


EMITTED, TOLD = emitted(), told()


def test_the_page_tells_of_every_event_and_of_none_that_there_is_not():
    assert sorted(TOLD) == sorted(EMITTED)
    assert len(EMITTED) > 50


@pytest.mark.parametrize("event", EMITTED)
def test_an_event_has_the_level_and_the_keys_that_the_page_tells(event):
    assert TOLD[event] == EMITTED[event]


@pytest.mark.parametrize("event", EMITTED)
def test_an_event_is_named_in_lower_case_words_and_keys_shadow_none_that_all_lines_have(event):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event)
    assert EMITTED[event][1] & {"event", "level", "timestamp", "role", "table"} == set()


def test_only_the_events_that_the_page_names_tell_a_key_of_an_item():
    assert sum("key" in given for _, given in EMITTED.values()) == 2
    assert "keys are only by the two events with a key `key`" in " ".join(PAGE.split())


def test_a_decision_is_one_line_of_json_with_what_is_bound():
    (line,) = said("json").stderr.splitlines()
    shown = json.loads(line)
    example = json.loads(re.search(r"```json\n(.*)\n```", PAGE)[1])
    assert set(shown) == set(example) == {"event", "level", "timestamp", "phase", "why", *BOUND}


def test_for_people_it_is_a_line_of_words():
    (line,) = said("console").stderr.splitlines()
    assert not line.startswith("{")
    assert re.search(r"info.*decided.*migration=orders.*phase=replicating", line)


def said(log_format):
    code = (
        "import sys, structlog; from daemon import log;"
        "log.configure(sys.argv[1], 'info', migration='orders', table='orders', role='service');"
        "structlog.get_logger().info('decided', phase='replicating', why='caught up')"
    )
    return ran("-c", code, log_format)


def ran(*arguments, **environment):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "COLUMNS": "200", **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)

"""A sink from outside: loaded by its name, held to the contract by one line, refused clearly when it is none."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from sink_contract import KEY, TEXT_KEYS, SinkContract, apply, held, put

from daemon.app import Parts
from daemon.config import ConfigurationError, load, load_all
from sinks.custom import CustomOptions, loaded
from sinks.sink import Readable, Scannable, SinkMisconfigured, SinkUnavailable

EXAMPLE = Path(__file__).parent.parent / "example_sink" / "sqlite.py"
README = Path(__file__).parent.parent.parent / "sinks" / "README.md"
NAME = "example_sink.sqlite:SqliteSink"


def custom(name, keys=TEXT_KEYS, **options):
    return loaded(CustomOptions(sink=name, options=options), keys)


class TestExample(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path):
        made = []

        def make(keys, *, fresh=True):
            place = tmp_path / f"{len(made) if fresh else len(made) - 1}.db"
            made.append(custom(NAME, keys, path=str(place)))
            made[-1].open()
            return made[-1]

        yield make
        for sink in made:
            sink.close()


def test_the_readme_shows_the_example_that_is_tested():
    code = EXAMPLE.read_text().split('"""\n', 1)[1].strip()
    shown = "".join(line.removeprefix("    ") for line in README.read_text().splitlines(keepends=True))
    assert code in shown


CRASHES = f"""
import os, sys
from sink_contract import KEY, TEXT_KEYS, apply, deleted
from sinks.custom import CustomOptions, loaded
sink = loaded(CustomOptions(sink="{NAME}", options={{"path": sys.argv[1]}}), TEXT_KEYS)
sink.open()
apply(sink, deleted(KEY, 2))
os._exit(9)
"""


def test_the_example_keeps_what_it_has_confirmed_over_a_crash(tmp_path):
    path = str(tmp_path / "moved.db")
    command = [sys.executable, "-c", CRASHES, path]
    places = {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env={**os.environ, **places}, check=False).returncode == 9
    again = custom(NAME, path=path)
    again.open()
    apply(again, put(KEY, 1, a="older than the deletion"))
    assert held(again) is None
    again.close()


def test_the_example_waits_for_another_process_that_holds_the_file(tmp_path):
    one, other = custom(NAME, path=tmp_path / "moved.db"), custom(NAME, path=tmp_path / "moved.db")
    one.open()
    other.open()
    other._database.execute("PRAGMA busy_timeout = 0")
    one._database.execute("BEGIN IMMEDIATE")
    with pytest.raises(SinkUnavailable):
        other.apply([put(KEY, 1, a="x")])
    one._database.rollback()
    apply(other, put(KEY, 1, a="x"))
    assert held(one)[0] == 1
    one.close()
    other.close()


def test_a_sink_says_by_its_methods_what_else_it_can_do():
    sink = custom(NAME, path="unused")
    assert isinstance(sink, Readable)
    assert not isinstance(sink, Scannable)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_package.sinks:make", "no module 'no_such_package.sinks'.*PYTHONPATH"),
        ("example_sink.no_such_module:make", "no module 'example_sink.no_such_module'"),
        ("example_sink.sqlite:absent", "has no 'absent'"),
        ("example_sink.sqlite:TABLE", "cannot be called"),
        ("example_sink.sqlite:SqliteSink", "target.options.*|KeyError: 'path'"),
        ("sinks.change:KeyAttribute", "a KeyAttribute, which is no sink: it lacks open, apply, close"),
    ],
)
def test_what_cannot_be_loaded_is_said(name, said):
    with pytest.raises(SinkMisconfigured, match=said):
        custom(name)


def test_a_module_that_lacks_one_of_its_own_is_told_from_one_that_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import a_driver_that_is_not_there\n")
    (tmp_path / "broken_sink.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SinkMisconfigured, match=r"half_installed needs .*a_driver_that_is_not_there"):
        custom("half_installed:make")
    with pytest.raises(SinkMisconfigured, match="broken_sink cannot be imported: ZeroDivisionError"):
        custom("broken_sink:make")


def test_what_a_factory_says_on_purpose_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "away_sink.py").write_text(
        "from sinks.sink import SinkUnavailable\ndef make(options, keys): raise SinkUnavailable('asleep')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SinkUnavailable, match="asleep"):
        custom("away_sink:make")


MOVE = """
migration: own
mode: backfill
source: {table: orders, region: us-east-1}
backfill: {from: scan}
dead_letters: {to: /letters}
"""


def written(tmp_path, text):
    (tmp_path / "moveout.yaml").write_text(text)
    return tmp_path / "moveout.yaml"


def test_a_configuration_names_a_sink_from_outside_and_moveout_makes_it(tmp_path):
    text = f"{MOVE}target: {{sink: '{NAME}', options: {{path: {tmp_path}/moved.db}}}}\n"
    known = Parts(load(written(tmp_path, text)))
    known.__dict__["table"] = SimpleNamespace(keys=TEXT_KEYS)
    sink = known.sink()
    assert type(sink).__name__ == "SqliteSink"
    sink.open()
    apply(sink, put(KEY, 1, a="x"))
    sink.close()


@pytest.mark.parametrize("name", ["SqliteSink", "example_sink.sqlite", "example_sink/sqlite.py:SqliteSink", ":x"])
def test_a_name_that_is_none_is_a_fault_of_the_configuration(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"target\.sink"):
        load(written(tmp_path, f"{MOVE}target: {{sink: '{name}'}}\n"))


def test_two_tables_into_one_foreign_target_are_refused_and_its_options_not_shown(tmp_path):
    target = f"target: {{sink: '{NAME}', options: {{path: hunter2}}}}"
    tables = f"tables:\n  - {{source: {{table: one}}, {target}}}\n  - {{source: {{table: two}}, {target}}}\n"
    shared = MOVE.replace("{table: orders, ", "{")
    with pytest.raises(ConfigurationError, match="is the target of two") as told:
        load_all(written(tmp_path, shared + tables))
    assert "hunter2" not in str(told.value)


def test_options_of_a_foreign_sink_stand_in_no_repr():
    assert "hunter2" not in repr(CustomOptions(sink=NAME, options={"password": "hunter2"}))

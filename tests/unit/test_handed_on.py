"""A configuration that another process has checked is the same configuration."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import option_values
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from daemon import handed_on
from daemon.config import Config, load_all
from daemon.sections import Csv
from sinks import unchecked

PROJECT = Path(__file__).parent.parent.parent
FILES = {
    "migration": "shop",
    "source": {"region": "eu-west-1", "table": "orders"},
    "backfill": {
        "from": "files",
        "items_per_second": 5,
        "s3_region": "eu-west-2",
        "files": {
            "location": "/exports",
            "as_of": "2026-11-20T05:06:07+02:00",
            "table_definition": "/definition.json",
            "csv": {"delimiter": "\t", "null_value": "ø"},
        },
    },
    "ready": {"max_lag_seconds": float("inf")},
    "signal": {
        "file": "/run/signal.json",
        "dynamodb_item": {"table": "settings", "key": {"pk": "moveout", "sk": 1}},
        "configmap": {"name": "orders-move", "labels": {"team": "shop"}},
    },
    "hooks": [
        {"on": ["phase", "ready"], "exec": ["/hooks/told", "-v"]},
        {"on": ["route"], "pre": True, "webhook": {"url": "https://a.example/hook", "secret_env": "NO_SUCH_SECRET"}},
    ],
    "dead_letters": {"to": "/letters"},
    "target": {
        "kind": "cassandra",
        "contact_points": ["10.0.0.1", "10.0.0.2"],
        "local_datacenter": "dc1",
        "keyspace": "shop",
        "table": "orders",
        "username": "u",
        "password_env": "NO_SUCH_PASSWORD",
    },
}
MANIFEST = "s3://b/AWSDynamoDB/1/manifest-summary.json"
TABLES = {
    "migration": "shop",
    "source": {"region": "eu-west-1"},
    "tables": [
        {
            "source": {"table": "orders"},
            "backfill": {"manifest": MANIFEST, "windows": [MANIFEST, MANIFEST]},
            "target": {"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
        },
        {
            "source": {"table": "customers"},
            "backfill": {"from": "scan", "scan": {"read_percent": 12.5}},
            "dead_letters": {"to": "/letters"},
            "target": {"kind": "jsonl", "to": "s3://b/lines", "region": "us-east-1"},
        },
    ],
}


# What YAML makes of a value is what a sink from outside gets.
WHATEVER = {"at": date(2026, 11, 21), "since": datetime(2026, 11, 21, 1, tzinfo=UTC), "raw": b"\x00\xff"}
OUTSIDE = {**FILES, "target": {"sink": "a.b:c", "options": {**WHATEVER, "deep": {1: ["x", 1.5, None, True]}}}}


@pytest.mark.parametrize("configuration", [FILES, TABLES, OUTSIDE])
def test_a_lean_process_sees_of_its_configuration_what_one_that_checks_it_sees(tmp_path, configuration):
    path = tmp_path / "moveout.yaml"
    path.write_text(yaml.safe_dump(configuration))
    said = ran(str(PROJECT / "tests" / "option_values.py"), str(path))
    assert json.loads(said.stdout) == option_values.seen(load_all(path)), said.stderr


def test_the_environment_has_its_say_in_a_lean_process_too(tmp_path):
    path = tmp_path / "moveout.yaml"
    path.write_text(yaml.safe_dump(FILES))
    said = ran(str(PROJECT / "tests" / "option_values.py"), str(path), MOVEOUT_BACKFILL__BATCH_ROWS="77")
    assert json.loads(said.stdout)[1][1]["backfill"][1]["batch_rows"] == ["int", "77"]


def test_every_option_is_of_a_type_that_can_be_handed_on():
    # Of an AwareDatetime the value is a datetime. Another type: teach handed_on._plain and _made, and this line.
    # Any is what YAML knows, in the options of a sink from outside.
    assert set(leaves(Config)) <= {str, int, float, bool, type(None), Path, datetime, AwareDatetime, Any}


def leaves(kind):
    """The types of all options, as deep as there are sections."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        # A default is not checked by pydantic, and may be of a type of its own.
        for field in kind.model_fields.values():
            yield from leaves(field.annotation)
            if not field.is_required():
                msgspec.json.decode(msgspec.json.encode(handed_on._plain(field.default)))
        return
    match get_origin(kind):
        case None:
            yield kind
        case origin if origin is Annotated:
            yield from leaves(get_args(kind)[0])
        case origin if origin is Literal:
            yield from (type(value) for value in get_args(kind))
        case origin if origin in (Union, UnionType, list, tuple, dict):
            for one in get_args(kind):
                if one is not Ellipsis:
                    yield from leaves(one)
        case origin:
            yield origin


def test_an_option_of_another_type_is_refused_and_not_left_out():
    class Odd(BaseModel):
        many: Any

    with pytest.raises(TypeError, match="frozenset"):
        handed_on.encoded([Odd(many=frozenset())])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text() | st.datetimes(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_whatever_an_option_holds_comes_back_as_it_was(value):
    made = handed_on._made(msgspec.json.decode(msgspec.json.encode(handed_on._plain(value))))
    assert (made, type(made)) == (value, type(value))


def test_what_is_wrong_with_the_file_ends_the_process_that_asked_with_its_exit_code(tmp_path):
    with pytest.raises(SystemExit) as ended:
        handed_on.given(str(tmp_path / "none.yaml"))
    assert ended.value.code == 2


def test_the_stand_in_is_refused_where_pydantic_is_already():
    with pytest.raises(RuntimeError, match="pydantic is imported already"):
        unchecked.stand_in()


def test_options_without_pydantic_keep_defaults_and_properties_and_cannot_be_changed():
    class Options(unchecked.BaseModel, frozen=True):
        table: str
        name: unchecked.AwareDatetime | None = unchecked.Field(default=None, max_length=3)
        many: list = unchecked.Field(default_factory=list)

        @unchecked.field_validator("name")
        def checked(self):
            return "called as it stands"

    made = Options(table="orders")
    assert (made.name, made.many, made.checked()) == (None, [], "called as it stands")
    assert (made.model_copy(update={"name": "x"}).name, made.name) == ("x", None)
    with pytest.raises(AttributeError, match="frozen"):
        made.table = "customers"
    with pytest.raises(AttributeError, match="table"):
        Options().table  # noqa: B018  required, and not there


@given(
    st.builds(
        Csv,
        delimiter=st.characters(codec="utf-8"),
        null_value=st.text(st.characters(codec="utf-8")),
        rfc4180=st.booleans(),
    )
)
def test_options_of_csv_are_marked_alike_with_pydantic_and_without(options):
    # The mark is in the control table: a worker of an older version has made it with pydantic.
    lean = unchecked.BaseModel(**vars(options))
    assert sha256(msgspec.json.encode(vars(lean))).digest() == sha256(options.model_dump_json().encode()).digest()


def ran(*arguments, **environment):
    command = [sys.executable, *arguments]
    own = {**os.environ, "PYTHONPATH": str(PROJECT), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=own)


def test_what_is_checked_already_is_taken_as_it_is_and_checked_again_where_it_is_gone(tmp_path):
    path, checked = tmp_path / "moveout.yaml", tmp_path / "checked.json"
    path.write_text(yaml.safe_dump(FILES))
    (config,) = load_all(path)
    checked.write_bytes(handed_on.encoded([config.model_copy(update={"migration": "as it was checked"})]))
    asks = "from sinks import unchecked; unchecked.stand_in(); from daemon import handed_on; import sys;"
    asks += "print(handed_on.given(sys.argv[1], 'orders')[0].migration)"
    told = {handed_on.CHECKED_VARIABLE: str(checked)}
    assert ran("-c", asks, str(path), **told).stdout == "as it was checked\n"
    checked.unlink()
    assert ran("-c", asks, str(path), **told).stdout == "shop\n"

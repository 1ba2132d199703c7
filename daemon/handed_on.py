"""The configuration as a process that has checked it hands it on: `python -m daemon.handed_on CONFIG [TABLE]`.

A process that moves rows has this done by a child, which ends with pydantic and all its schemas; what comes back is
JSON that names the class of each section, so that no option is listed here, and none can be forgotten. Secrets are not
in it: the configuration holds none, only where they are (`password_env`, `password_file`).
"""

import math
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from daemon.exits import EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    # This module stands on both sides: in the lean one nothing with options may be imported yet.
    from daemon.config import Config


# A file with what is handed on, checked already by whoever starts the process: the child that checks is half of a
# shard's start. Its owner alone can write there, and it holds the one table that is asked for.
CHECKED_VARIABLE = "MOVEOUT_CHECKED_FILE"


def main(config_path: str, table: str | None = None) -> int:
    """Check the file and write its tables, or the one named, to stdout. Its faults go to stderr; exit code 2."""
    from daemon.config import ConfigurationError, load, load_all

    path = Path(config_path)
    try:
        tables = load_all(path) if table is None else [load(path, table)]
    except ConfigurationError as error:
        sys.stderr.write(f"moveout: {error}\n")
        return EXIT_USAGE
    sys.stdout.buffer.write(encoded(tables))
    return 0


def given(config_path: str, table: str | None = None) -> "list[Config]":
    """The tables of a file, or the one named, checked by another process.

    To be asked for before anything large is imported: for half a second there are two processes.
    Where CHECKED_VARIABLE names a file that is there, it is that, and no process is asked.
    Raises SystemExit with the other's exit code, when it has said on stderr why there is none.
    """
    checked = os.environ.get(CHECKED_VARIABLE)
    if checked and table is not None and Path(checked).exists():
        known: list[Config] = decoded(Path(checked).read_bytes())
        return known
    command = [sys.executable, "-m", "daemon.handed_on", config_path, *([table] if table else [])]
    child = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if child.returncode:
        # A negative one is the signal that ended it.
        raise SystemExit(child.returncode if child.returncode > 0 else EXIT_FAILED)
    tables: list[Config] = decoded(child.stdout)
    return tables


def encoded(tables: "Sequence[Config]") -> bytes:
    """JSON. Raises TypeError for an option of a type that `_plain` does not know."""
    return msgspec.json.encode([_plain(config) for config in tables])


def decoded(said: bytes) -> Any:
    """What was encoded: of the same classes, with equal values of the same types."""
    return [_made(value) for value in msgspec.json.decode(said)]


def _plain(value: Any) -> Any:
    """JSON's own types as they are, any other as an object that names it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}  # JSON has no infinity
        case list():
            return [_plain(one) for one in value]
        case tuple():
            return {"tuple": [_plain(one) for one in value]}
        case dict():
            return {"dict": [[_plain(name), _plain(one)] for name, one in value.items()]}
        case Path():
            return {"path": str(value)}
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case bytes():
            return {"bytes": b64encode(value).decode()}
    return {"class": [type(value).__module__, type(value).__qualname__], "values": _fields(value)}


def _fields(value: Any) -> dict[str, Any]:
    known = getattr(type(value), "model_fields", None)
    if known is None:
        raise TypeError(f"an option is a {type(value).__qualname__}: tell daemon/handed_on.py how to hand it on")
    return {name: _plain(getattr(value, name)) for name in known}


def _made(value: Any) -> Any:
    match value:
        case list():
            return [_made(one) for one in value]
        case {"float": text}:
            return float(text)
        case {"tuple": values}:
            return tuple(_made(one) for one in values)
        case {"dict": pairs}:
            return {_made(name): _made(one) for name, one in pairs}
        case {"path": text}:
            return Path(text)
        case {"datetime": text}:
            return datetime.fromisoformat(text)
        case {"date": text}:
            return date.fromisoformat(text)
        case {"bytes": text}:
            return b64decode(text)
        case {"class": [module, name], "values": fields}:
            model = getattr(import_module(module), name)
            return model(**{field: _made(one) for field, one in fields.items()})
    return value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

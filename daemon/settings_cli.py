"""`moveout set`, `pause`, `resume`: what a person changes while the service runs. Durable, in the control table."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import typer
from rich.table import Table

from daemon.config import Config
from daemon.control import Settings
from daemon.terminal import (
    DEFAULT_CONFIG,
    EXIT_USAGE,
    ConfigOption,
    TableOption,
    configured_all,
    guarded,
    out,
    refuse,
)
from sinks.dynamodb.options import DynamoDbOptions

What = Literal["backfill", "tail", "all"]
WhatArgument = Annotated[What, typer.Argument(help="backfill, tail or all")]


class Key(NamedTuple):
    """One key of `moveout set`: the setting, the one that it replaces, its highest value, its unit."""

    setting: str
    instead_of: str | None
    highest: float
    unit: str


KEYS: Mapping[str, Key] = {
    "backfill.rate": Key("items_per_second", None, math.inf, "items per second"),
    "backfill.read_percent": Key("read_percent", "read_units_per_second", 100, "% of the table's read capacity"),
    "backfill.read_units": Key("read_units_per_second", "read_percent", math.inf, "read units per second"),
    "target.write_percent": Key("write_percent", "write_units_per_second", 100, "% of the target's write capacity"),
    "target.write_units": Key("write_units_per_second", "write_percent", math.inf, "write units per second"),
    "verify.rate": Key("verify_items_per_second", None, math.inf, "rows per second"),
}


def set_(
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="See above; `none` clears.")],
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
) -> None:
    """Change a limit while the move runs; every worker obeys within seconds, and after a restart too.

    Keys: backfill.rate (items per second), backfill.read_percent (of the table's read capacity, for a scan),
    backfill.read_units (read units per second, for a scan), target.write_percent (of a DynamoDB target's write
    capacity), target.write_units (write units per second), each for all workers of the backfill together, verify.rate
    (rows per second that verification reads from the target). VALUE is a
    number above 0, or none: then the configuration holds again. To halt the backfill: moveout pause backfill.
    """
    try:
        changes = parsed(assignments)
    except ValueError as error:
        refuse(EXIT_USAGE, str(error))
    guarded(lambda: _each(config, table, changes))


def pause(
    what: WhatArgument = "all",
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
) -> None:
    """Halt the backfill, the tail, or both, until `moveout resume`. Nothing is lost, and nothing is given up.

    While the tail is paused lag grows and ready falls. The stream forgets after 24 hours, and after 23 the move takes
    what was not applied for lost: moveout status tells how long is left. A paused backfill has no such end.
    """
    guarded(lambda: _each(config, table, _paused(what, paused=True)))


def resume(
    what: WhatArgument = "all",
    config: ConfigOption = DEFAULT_CONFIG,
    table: TableOption = None,
) -> None:
    """Go on with what `moveout pause` has halted, from where it was.

    Workers and shards notice within seconds. Limits of `moveout set` stay as they are; `set KEY=none` clears them.
    """
    guarded(lambda: _each(config, table, _paused(what, paused=False)))


def parsed(assignments: list[str]) -> dict[str, Any]:
    """`["backfill.rate=100"]` -> `{"items_per_second": 100.0}`. Raises ValueError with what is known."""
    given: dict[str, float | None] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if name not in KEYS or not equals:
            raise ValueError(f"{assignment!r} is not KEY=VALUE with a known key; known are {', '.join(KEYS)}")
        value, rival = _number(name, KEYS[name], text), KEYS[name].instead_of
        if KEYS[name].setting in given or (value is not None and given.get(rival or "") is not None):
            raise ValueError(f"{assignment!r}: {name}, or the one that it replaces, is given already: choose one")
        given[KEYS[name].setting] = value
    replaced = [key.instead_of for key in KEYS.values() if key.instead_of and given.get(key.setting) is not None]
    return {**given, **dict.fromkeys(replaced)}


def _number(name: str, key: Key, text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value <= key.highest and math.isfinite(value)):
        most = f", up to {key.highest:g}" if math.isfinite(key.highest) else ""
        raise ValueError(
            f"{name} is {text!r}: expected a number above 0{most} ({key.unit}), or none. "
            "To halt the backfill: moveout pause backfill"
        )
    return value


def _paused(what: What, *, paused: bool) -> dict[str, Any]:
    return {f"{part}_paused": paused for part in ("backfill", "tail") if what in (part, "all")}


def _each(path: Any, table: str | None, changes: Mapping[str, Any]) -> None:
    """Change the settings of each table's move, and say what is in force. Raises what guarded knows."""
    from daemon.app import parts

    for config in configured_all(path, table):
        known = parts(config)
        if changes.get("read_percent") is not None and config.backfill.from_ == "scan":
            _tellable(known, changes)
        if changes.get("write_percent") is not None:
            _writable(config, changes)
        out.print(in_force(config, _changed(known, changes)), highlight=False)


def _tellable(known: Any, changes: Mapping[str, Any]) -> None:
    """A percentage of a capacity that nobody tells would end the workers. Raises CheckFailed."""
    from daemon import scanning

    scanning.tellable(known, Settings(read_percent=changes["read_percent"]))


def _writable(config: Config, changes: Mapping[str, Any]) -> None:
    """The same of a DynamoDB target. Raises CheckFailed."""
    from daemon import warm

    warm.tellable(config, Settings(write_percent=changes["write_percent"]))


def _changed(known: Any, changes: Mapping[str, Any]) -> Settings:
    from daemon.settings import change, replaced

    return change(known.control, replaced(**changes))


def in_force(config: Config, settings: Settings) -> Table:
    """What holds now, and where it is from."""
    table = Table.grid(padding=(0, 2))
    table.add_row("migration", config.name)
    for name, key in KEYS.items():
        value, configured = getattr(settings, key.setting), _configured(config)[key.setting]
        table.add_row(name, _not_used(config, name) or _in_force(key, value, configured, settings))
    paused = [part for part in ("backfill", "tail") if getattr(settings, f"{part}_paused")]
    table.add_row("paused", ", ".join(paused) or "nothing")
    if settings.tail_paused:
        table.add_row("", "the stream forgets after 24 hours: `moveout status` tells how long is left")
    return table


def _not_used(config: Config, name: str) -> str | None:
    if name.startswith("target.") and not isinstance(config.target, DynamoDbOptions):
        return f"not used: it is for a DynamoDB target, target.kind is {config.target.kind}"
    if name.startswith("backfill.read") and config.backfill.from_ != "scan":
        return f"not used: it is for a scan, backfill.from is {config.backfill.from_}"
    return None


def _configured(config: Config) -> Mapping[str, float | None]:
    backfill = config.backfill
    return {
        "items_per_second": backfill.items_per_second,
        "read_percent": backfill.scan.read_percent,
        "read_units_per_second": backfill.scan.read_units_per_second,
        "write_percent": getattr(config.target, "write_percent", None),
        "write_units_per_second": getattr(config.target, "write_units_per_second", None),
        "verify_items_per_second": config.verify.items_per_second,
    }


def _in_force(key: Key, value: float | None, configured: float | None, settings: Settings) -> str:
    if value is not None:
        return f"{value:g} {key.unit} (set)"
    if key.instead_of is not None and getattr(settings, key.instead_of) is not None:
        return "not in force: the other one is set"
    return f"{configured:g} {key.unit} (configured)" if configured is not None else "as configured: nothing"


def register(app: typer.Typer) -> None:
    """Put the three commands where `moveout --help` shows them."""
    commands: Mapping[str, Callable[..., None]] = {"set": set_, "pause": pause, "resume": resume}
    for name, command in commands.items():
        app.command(name)(command)

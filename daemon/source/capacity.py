"""What a table can read per second, and how much of it a scan may take. Pure.

A read unit is 4 KB read strongly consistently, or 8 KB eventually (AWS developer guide, "Read/write capacity modes").
Shapes: API reference, TableDescription. On-demand maximum and warm throughput are coded from it and were not run:
DynamoDB Local tells neither.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from daemon.control import Settings
from daemon.sections import Scan
from sinks.dynamodb import capacity
from sinks.dynamodb.capacity import Capacity, CapacityUnknown

__all__ = ["Allowed", "CapacityUnknown", "allowed", "of_table"]

# Nothing is set: the application keeps three quarters of what its table can do.
PERCENT_DEFAULT = 25.0


class Allowed(NamedTuple):
    """Read units per second of a whole scan, None for no limit, and why so, in words."""

    units: float | None
    why: str


def of_table(description: Mapping[str, Any]) -> Capacity:
    """The read capacity as DescribeTable tells it."""
    return capacity.of_table(description, capacity.READS)


def allowed(scan: Scan, settings: Settings, known: Capacity) -> Allowed:
    """How much the scan may take, all workers together: what a person has set goes before the configuration.

    Raises CapacityUnknown for a percentage of nothing.
    """
    if settings.read_units_per_second is not None:
        return Allowed(settings.read_units_per_second, "set by `moveout set backfill.read_units`")
    if settings.read_percent is not None:
        return _percent(settings.read_percent, known, "set by `moveout set backfill.read_percent`")
    if scan.read_units_per_second is not None:
        return Allowed(scan.read_units_per_second, "backfill.scan.read_units_per_second")
    if scan.read_percent is not None:
        return _percent(scan.read_percent, known, "backfill.scan.read_percent")
    if known.units is None:
        return Allowed(None, known.told)
    return _percent(PERCENT_DEFAULT, known, "the default, as nothing is set")


def _percent(percent: float, known: Capacity, why: str) -> Allowed:
    option, command = "backfill.scan.read_units_per_second", "`moveout set backfill.read_units=…`"
    instead = f"Set read units per second instead: {option}, or {command}"
    units = capacity.share(percent, known, f"the read capacity cannot be told ({why})", instead)
    return Allowed(units, f"{percent:g} % of {known.units:g} units ({known.told}); {why}")

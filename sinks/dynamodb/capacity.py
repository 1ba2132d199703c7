"""What a table can take per second, as it tells it, and how much of that a move may use. Pure.

A write unit is 1 KB written; a transaction takes two (AWS developer guide, "Read/write capacity modes").
Shapes: API reference, TableDescription. On-demand maximum and warm throughput are coded from it and were not run:
DynamoDB Local tells neither.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Capacity(NamedTuple):
    """Units per second of a table, None where it tells none, and where the figure is from."""

    units: float | None
    told: str


class Names(NamedTuple):
    """What DescribeTable calls one kind of unit: provisioned, on-demand maximum, warm throughput."""

    provisioned: str
    highest: str
    warm: str


class CapacityUnknown(Exception):
    """A percentage is asked for, and the table does not tell of what. The message says what to set instead."""


READS = Names("ReadCapacityUnits", "MaxReadRequestUnits", "ReadUnitsPerSecond")
WRITES = Names("WriteCapacityUnits", "MaxWriteRequestUnits", "WriteUnitsPerSecond")


def of_table(description: Mapping[str, Any], names: Names) -> Capacity:
    """The capacity as DescribeTable tells it."""
    billing = description.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    provisioned = description.get("ProvisionedThroughput", {}).get(names.provisioned, 0)
    if billing == "PROVISIONED" and provisioned > 0:
        return Capacity(float(provisioned), "provisioned")
    # -1 takes a maximum away again.
    highest = description.get("OnDemandThroughput", {}).get(names.highest, 0)
    warm = description.get("WarmThroughput", {}).get(names.warm, 0)
    known = {units: told for units, told in ((warm, "warm throughput"), (highest, "on-demand maximum")) if units > 0}
    if not known:
        return Capacity(None, "the table is on demand and tells neither a maximum nor its warm throughput")
    return Capacity(float(min(known)), f"on demand: its {known[min(known)]}")


def share(percent: float, known: Capacity, of: str, instead: str) -> float:
    """Units per second. `of` is whose capacity, in words, `instead` what to set where it cannot be told.

    Raises CapacityUnknown.
    """
    if known.units is None:
        raise CapacityUnknown(f"{percent:g} % of {of}: {known.told}. {instead} while it runs")
    return known.units * percent / 100


def consumed(answer: Mapping[str, Any]) -> float:
    """Units that a request took, all tables together; 0 where it was not asked for them (ReturnConsumedCapacity)."""
    told = answer.get("ConsumedCapacity", ())
    return float(sum(one.get("CapacityUnits", 0) for one in ([told] if isinstance(told, Mapping) else told)))

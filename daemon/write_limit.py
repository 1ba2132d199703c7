"""How fast a backfill may write to a DynamoDB target. Pure but for the look at the settings."""

from daemon.control import Settings
from daemon.settings import LiveSettings
from sinks.dynamodb.capacity import Capacity, CapacityUnknown, share
from sinks.dynamodb.options import DynamoDbOptions
from sinks.sink import SinkMisconfigured


def write_limit(settings: LiveSettings, options: DynamoDbOptions, writers: int, capacity: Capacity) -> float | None:
    """Write units per second of one of so many writers now; None is no limit. Raises SinkMisconfigured."""
    whole = allowed(options, settings.now(), capacity)
    return None if whole is None else whole / writers


def allowed(options: DynamoDbOptions, settings: Settings, capacity: Capacity) -> float | None:
    """What all writers may use together: what a person has set goes before the configuration.

    Raises SinkMisconfigured for a percentage of a capacity that the table does not tell.
    """
    if settings.write_units_per_second is not None:
        return settings.write_units_per_second
    if settings.write_percent is not None:
        return _percent(settings.write_percent, capacity)
    if options.write_percent is not None:
        return _percent(options.write_percent, capacity)
    return options.write_units_per_second


def _percent(percent: float, known: Capacity) -> float:
    instead = "Set write units per second instead: target.write_units_per_second, or `moveout set target.write_units=…`"
    try:
        return share(percent, known, "the target's write capacity cannot be told", instead)
    except CapacityUnknown as error:
        raise SinkMisconfigured(str(error)) from error

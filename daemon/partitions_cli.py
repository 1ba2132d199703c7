"""`moveout check --partitions`: a pass over all items, or over a sample, for the largest partitions."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType

from daemon import log, partitions_view
from daemon.backfill import BackfillIncomplete
from daemon.config import Config
from daemon.dry_run import Account, planned, reading, summary_of, through
from daemon.partitions import Summary, spread
from daemon.terminal import Output, err, for_each, guarded, out
from sinks.change import Change
from sinks.sink import Rejection


class Ignoring:
    """Takes everything, looks at nothing: for who only wants to see what passes."""

    def open(self) -> None:
        """Nothing to connect to."""

    def apply(self, _changes: Sequence[Change]) -> Sequence[Rejection]:
        """All of it."""
        return ()

    def close(self) -> None:
        """Nothing to release."""


def widest(config: Config, sample: int | None, progress: Console) -> tuple[RenderableType, dict[str, Any]]:
    """The largest partitions for people, and for machines; of `sample` parts only, where that is given.

    A table without a sort key is not read. Raises CheckFailed, BackfillIncomplete, and what AWS raises.
    """
    known = reading(config)
    if summary_of(known) is None:
        why = partitions_view.without_sort_key(known.keys)
        return why, {"largest": [], "warnings": [], "why": why}
    parts, summary = planned(known), Summary()
    chosen = spread(list(parts), sample) if sample else list(parts)
    account = Account({name: parts[name] for name in chosen}, known.clock.monotonic, progress)
    through(known, Ignoring(), account, summary, 1)
    if account.faults:
        raise BackfillIncomplete("; ".join(account.faults.values()))
    asked = (summary, known.keys, config.target.kind, partitions_view.Read(len(chosen), len(parts)))
    return partitions_view.told(*asked), partitions_view.as_object(*asked)


def show(tables: Sequence[Config], sample: int | None, output: Output) -> dict[str, dict[str, Any]]:
    """Tell people the largest partitions of each table; for machines, by source table. Leaves with an exit code."""
    found = {}

    def one(table: Config) -> None:
        log.configure("console", "error", migration=table.migration, role="check")
        shown, found[table.source.table] = widest(table, sample, err)
        if output != "json":
            out.print(shown, highlight=False)
            out.print()

    for_each(tables, lambda table: guarded(lambda: one(table), table))
    return found

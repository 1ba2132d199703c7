"""What a verification has found, for people and as JSON lines."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from daemon.verify import judged
from daemon.verify.record import STANDING, Count, Difference, Run, RunState, strength

SHOWN_MAX = 20


def lines(run: Run | None, count: Count, differences: Mapping[str, Difference], *, everything: bool) -> Iterator[bytes]:
    """The report: the run in the first line, then a line for each difference that stands, or for all.

    `{"run": 3, …}`, `{"id": "…", "kind": "stale", "key": {"id": {"S": "x"}}, "attributes": ["n"], …}`
    """
    yield msgspec.json.encode(summary(run, count)) + b"\n"
    for name, one in _ordered(differences):
        if everything or one.state in STANDING:
            told = {**msgspec.structs.asdict(one), "key": msgspec.Raw(one.key.encode())}
            yield msgspec.json.encode({"id": name, **told}) + b"\n"


def summary(run: Run | None, count: Count) -> dict[str, Any]:
    """The run as the document shows it, with what may be said by it."""
    shown = judged.shown(run, count, run.generation if run is not None else 0)  # the last one, whatever it was of
    if run is None or shown is None:
        return {"run": None, "told": "no run was begun"}
    differences = count.open + run.unrecorded
    parts = {"moved": run.moved, "live": run.live, "excused": run.excused, "unrecorded": run.unrecorded}
    return {**msgspec.structs.asdict(shown), **parts, "told": strength(run.compared, run.live, differences)}


def table(run: Run | None, count: Count) -> Table:
    """For people."""
    grid = Table.grid(padding=(0, 2))
    if run is None:
        grid.add_row("verification", "no run was begun: `moveout verify start`, or wait until lag is proven")
        return grid
    grid.add_row("run", f"{run.id}, {run.state.value}, asked for by {run.asked_by}, begun {_iso(run.began_at)}")
    if run.state is RunState.RUNNING:
        grid.add_row("progress", judged.progress(run))
    elif run.message:
        grid.add_row("told", Text(run.message))
    as_loaded = run.compared - run.live
    grid.add_row("compared", f"{run.compared:,}: {as_loaded:,} as the backfill wrote them, {run.live:,} at the source")
    grid.add_row("written since the backfill", f"{run.moved:,} rows, of which a share was read at the source")
    if run.excused:
        grid.add_row("excused", f"{run.excused:,} with a dead letter that is open or waived")
    grid.add_row("differences", judged.kinds(count) + (f", {run.unrecorded:,} more" if run.unrecorded else ""))
    grid.add_row("not settled", f"{count.hot:,} written each time, {count.unwatched:,} that nobody could watch")
    grid.add_row("strength", strength(run.compared, run.live, count.open + run.unrecorded))
    return grid


def sample(differences: Mapping[str, Difference]) -> Table | None:
    """The first few that stand; None where there is none."""
    standing = [(name, one) for name, one in _ordered(differences) if one.state in STANDING]
    if not standing:
        return None
    made = Table("id", "kind", "state", "key", "attributes", "found", box=None, padding=(0, 2, 0, 0))
    for name, one in standing[:SHOWN_MAX]:
        found = _iso(one.found_at)
        made.add_row(name, one.kind, one.state.value, Text(one.key), Text(", ".join(one.attributes)), found)
    return made


def _ordered(differences: Mapping[str, Difference]) -> list[tuple[str, Difference]]:
    return sorted(differences.items(), key=lambda entry: (entry[1].found_at, entry[0]))


def _iso(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="seconds")

"""`python -m tests.soak`: a live move on real parts, two replicas, and chaos until the minutes are over.

Ends with a table, and with exit code 1 when source and target differ or anything else was not as promised.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from daemon.demo.compare import Comparison
from daemon.demo.scenario import Interrupted, _interruptible
from daemon.demo.servers.cassandra_node import SYNCED
from daemon.demo.servers.process import ServerFailed
from daemon.demo.service import DemoFailed, Status, isolate
from daemon.demo.stage import Stage

from .chaos import FAILOVER_SECONDS, Chaos
from .replica import Replica, naming
from .witness import Witness, applied_through

HEAD_START_SECONDS = 2.0
BEGIN_SECONDS_MAX = 120.0
DRAIN_SECONDS_MAX = 300.0
TURN_SECONDS = 0.2
PROGRESS_SECONDS = 10.0
CHANGES = {
    "tail": {"failover_seconds": FAILOVER_SECONDS},
    # Small batches, so that the backfill is there to be killed for a while.
    "backfill": {"workers": 2, "batch_rows": 20},
}


class Options(NamedTuple):
    minutes: float
    sink: str
    seed: int
    items: int


class Result(NamedTuple):
    chaos: Chaos
    witness: Witness
    journal: dict[str, int]
    comparison: Comparison
    exit_codes: dict[str, int | None]


class Clock:
    """Lines with the time since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {text}", flush=True)


def soak(options: Options, folder: Path, say: Callable[[str], None]) -> Result:
    """The run book."""
    with Stage(folder, options.sink, SYNCED) as stage:
        say(f"starting the servers, loading {options.items:,} items; target {options.sink}, seed {options.seed}")
        stage.open()
        stage.load(options.seed, options.items, lambda _: None)
        stage.wait_for_servers()
        stage.start_application(options.seed, options.items)
        time.sleep(HEAD_START_SECONDS)
        written = stage.configure(stage.export(), "127.0.0.1:0")
        replicas = [Replica(name, written, CHANGES) for name in ("one", "two")]
        chaos = Chaos(
            stage,
            replicas,
            options.seed,
            options.minutes * 60,
            say=say,
            proven_through=lambda: max((applied_through(status) or 0 for status in statuses(replicas)), default=0),
        )
        try:
            with Witness(stage.wire, stage.target, lambda: statuses(replicas)) as witness:
                begin(replicas, say)
                storm(chaos, replicas, options.minutes * 60, say)
            journal = drain(stage, replicas, say)
        finally:
            exit_codes = {replica.name: replica.stop() for replica in replicas}
        say(f"the replicas were stopped: exit codes {exit_codes}; comparing source and target completely")
        return Result(chaos, witness, journal, stage.compare(), exit_codes)


def begin(replicas: list[Replica], say: Callable[[str], None]) -> None:
    """Both run, and the migration is anchored: from here on nothing that happens is an excuse."""
    for replica in replicas:
        say(f"moveout run: {replica.name} is process {replica.start()}")
    wait(replicas, lambda status: status["phase"] in ("backfilling", "replicating"), BEGIN_SECONDS_MAX, "an anchor")


def storm(chaos: Chaos, replicas: list[Replica], seconds: float, say: Callable[[str], None]) -> None:
    """Chaos until the time is over, told every ten seconds."""
    began = shown = time.monotonic()
    while time.monotonic() - began < seconds:
        chaos.turn()
        if time.monotonic() - shown >= PROGRESS_SECONDS:
            shown = time.monotonic()
            elapsed = shown - began
            say(f"--- {elapsed:.0f} s, {seconds - elapsed:.0f} s left: {progress(chaos, replicas)}")
        time.sleep(TURN_SECONDS)
    chaos.calm()
    say("the chaos is over, all that was stopped goes on")


def progress(chaos: Chaos, replicas: list[Replica]) -> str:
    newest = latest(replicas)
    told = "no replica answers"
    if newest is not None:
        lag, tail, backfill = newest["lag"]["seconds"], newest["tail"], newest["backfill"]
        told = (
            f"{newest['phase']}, {backfill['items_done']:,} of {backfill['items_total']:,} rows, "
            f"{tail['records']:,} records, {tail['shards_ended']} shards ended, "
            f"lag {'unbounded' if lag is None else f'{lag:.1f} s'}"
        )
    counts = f"{chaos.kills} kills, {chaos.freezes} freezes, {chaos.counts['roll_over']} rollovers"
    return f"{counts}; {told}"


def drain(stage: Stage, replicas: list[Replica], say: Callable[[str], None]) -> dict[str, int]:
    """The application stops; wait for the proof that its last write has arrived, and for the signal."""
    journal = stage.stop_application()
    stopped_at = time.time()
    say(f"the application made {journal['writes']:,} writes and stopped; waiting until they are proven to be there")
    began = time.monotonic()
    final = wait(
        replicas,
        lambda status: status["ready"]["readers"] and (applied_through(status) or 0) >= stopped_at,
        DRAIN_SECONDS_MAX,
        "ready, and lag proven past the last write",
    )
    say(f"ready after {time.monotonic() - began:.0f} s: {final['message']}; tail {final['tail']}")
    return journal


def statuses(replicas: list[Replica]) -> list[Status]:
    return [status for replica in replicas if (status := replica.status()) is not None]


def latest(replicas: list[Replica]) -> Status | None:
    return max(statuses(replicas), key=lambda status: status["published_at"], default=None)


def wait(replicas: list[Replica], holds: Callable[[Status], bool], seconds: float, expected: str) -> Status:
    """Poll both until one says so. Raises DemoFailed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for status in statuses(replicas):
            if holds(status):
                return status
        time.sleep(0.5)
    raise DemoFailed(f"expected within {seconds:g} s: {expected}. Found: {latest(replicas)}")


def report(result: Result) -> list[str]:
    """Print what was found; the faults, which are none when all is well."""
    chaos, witness, compared = result.chaos, result.witness, result.comparison
    for kind, samples in compared.samples.items():
        for sample in samples:
            print(f"{kind}: {sample.key}: {sample.detail}")
    print("by kind: " + ", ".join(f"{count} {name}" for name, count in sorted(chaos.counts.items())))
    print(f"proofs held to their word: {witness.checked}, false: {len(witness.false_proofs)}")
    print(f"items: {compared.source_items:,} in the source, {compared.target_items:,} in the target")
    figures = {
        "kills": chaos.kills,
        "freezes": chaos.freezes,
        "rollovers": chaos.counts["roll_over"],
        "outages": chaos.counts["outage"],
        "writes": result.journal["writes"],
        "differences": compared.differences,
    }
    print("  ".join(f"{name:>11}" for name in figures))
    print("  ".join(f"{figure:>11}" for figure in figures.values()), flush=True)
    stopped_badly = [f"{name} stopped with exit code {code}" for name, code in result.exit_codes.items() if code]
    differ = [f"{compared.differences} keys differ"] if compared.differences else []
    return [*differ, *witness.false_proofs, *chaos.ended_by_themselves, *stopped_badly]


def main() -> int:
    options = arguments()
    clock = Clock()
    folder = Path(tempfile.mkdtemp(prefix="moveout-soak-"))
    isolate(folder)
    faults = ["interrupted"]
    try:
        with _interruptible():
            result = soak(options, folder, clock.say)
            left_behind = naming(folder)
            faults = report(result) + [f"left behind: {pid} {line:.200}" for pid, line in left_behind.items()]
    except (DemoFailed, ServerFailed) as error:
        faults = [str(error)]
    except Interrupted:
        pass
    for fault in faults:
        print(f"FAILED: {fault}", flush=True)
    if faults:
        print(f"kept: {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return 1 if faults else 0


def arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of chaos")
    parser.add_argument("--sink", choices=("cassandra", "dynamodb"), default="cassandra")
    parser.add_argument("--seed", type=int, default=1, help="of the items, the writes and the chaos")
    parser.add_argument("--items", type=int, default=40_000, help="in the source table at the beginning")
    return Options(**vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())

"""`make simulate SEEDS=100000`: many histories, on all cores. The last line is `N seeds, M violations`.

python -m simulation.run --seeds 5000            seeds 0 to 4999
python -m simulation.run --seeds 5000 --from 70000
python -m simulation.run --seed 4711             one history again, with what led to it
"""

import argparse
import multiprocessing
import os
import sys
import time
from typing import NamedTuple

CHUNK = 20


class Outcome(NamedTuple):
    """What became of one seed; `fault` is None when every invariant held."""

    seed: int
    fault: str | None
    proofs: int
    gaps: int
    kind: str
    layout: str


def outcome(seed):
    """Run one seed to its end."""
    from simulation.world import World, quiet

    quiet()
    world = World(seed)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001  an engine that raises what nobody expects is wrong as well
        return Outcome(seed, f"{type(error).__name__}: {error}", 0, 0, world.kind, world.layout)
    return Outcome(seed, None, world.checks.proofs, world.checks.gaps, world.kind, world.layout)


def outcomes(seeds, cores, stop_at_first=False):
    """Outcomes as they come; in this process with one core."""
    if cores <= 1:
        yield from map(outcome, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for found in pool.imap_unordered(outcome, seeds, chunksize=CHUNK):
            yield found
            if stop_at_first and found.fault is not None:
                return


def main(arguments=None):
    """The exit code: 1 when an invariant was violated."""
    options = _options(arguments)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    began, done, faults, proofs, gaps = time.monotonic(), 0, 0, 0, 0
    for found in outcomes(seeds, min(options.cores, len(seeds)), options.fail_fast):
        done += 1
        proofs, gaps = proofs + found.proofs, gaps + found.gaps
        if found.fault is not None:
            faults += 1
            _say(f"\r{found.fault}\n  again: make simulate SEED={found.seed}\n")
        _bar(done, len(seeds), faults, began)
        if faults and options.fail_fast:
            break
    seconds = time.monotonic() - began
    _say("\n")
    print(f"{proofs} proofs of zero lag, {gaps} gaps healed, {seconds:.0f} s, {done / seconds:.0f} seeds/s")
    print(f"{done} seeds, {faults} violations")
    return 1 if faults else 0


def _bar(done, total, faults, began):
    if sys.stderr.isatty() or done % 500 == 0 or done == total:
        left = (time.monotonic() - began) / done * (total - done)
        filled = "#" * (30 * done // total)
        _say(f"\r[{filled:<30}] {done}/{total} seeds, {faults} violations, {left:.0f} s left ")


def _say(text):
    sys.stderr.write(text)
    sys.stderr.flush()


def _options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--fail-fast", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    sys.exit(main())

"""The processes that move rows, of which there are many: `python -m daemon.lean worker|shard …`.

    worker CONFIG INDEX OF [TABLE]     a backfill worker (daemon/worker.py)
    shard CONFIG GENERATION TABLE      one shard of a stream (daemon/kcl/shard.py)
    verify CONFIG TABLE                the comparison of source and target (daemon/verify/run.py)

All without pydantic: another process checks the configuration, before this one imports what it needs.
"""

import sys
from collections.abc import Sequence

from daemon import handed_on, pid1
from sinks import unchecked


def worker_command(config_path: str, index: int, of: int, table: str | None = None) -> tuple[str, ...]:
    """What starts share `index` of `of` of one table, or of all of the file, one after the other."""
    return (*_ENTRY, "worker", config_path, str(index), str(of), *([table] if table else []))


def shard_command(config_path: str, generation: int, table: str) -> tuple[str, ...]:
    """What starts the process of a shard; the KCL tells it which one."""
    return (*_ENTRY, "shard", config_path, str(generation), table)


def verify_command(config_path: str, table: str) -> tuple[str, ...]:
    """What starts the comparison of one table."""
    return (*_ENTRY, "verify", config_path, table)


_ENTRY = (sys.executable, "-m", "daemon.lean")


def main(arguments: Sequence[str]) -> int:
    """The exit code of one of them."""
    pid1.end_on_sigterm()  # a Job's container: `moveout backfill` has become this
    unchecked.stand_in()
    match list(arguments):
        case ["worker", path, index, of, *table]:
            tables = handed_on.given(path, *table)
            from daemon import worker

            return worker.main(tables, int(index), int(of))
        case ["shard", path, generation, table]:
            (config,) = handed_on.given(path, table)
            from daemon.kcl import shard

            return shard.main(config, int(generation))
        case ["verify", path, table]:
            (config,) = handed_on.given(path, table)
            from daemon.verify import run

            return run.main(config)
    raise ValueError(f"a worker or a shard was expected, found {' '.join(arguments)!r}: see daemon/lean.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A backfill worker's process over one file, and its memory: `python -m tests.bench.worker CONFIG PART`.

The modules of a worker's process, its clients (S3 over HTTP, DynamoDB for the control table), `worker.load_one`; a
target that takes everything. Prints one JSON object: MiB after each step, by the kernel's own count
(VmHWM, VmRSS of /proc/self/status).
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MIB = 1024  # /proc counts in KiB


def memory(name: str) -> float:
    """MiB, of VmRSS or VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / MIB


class TakesAll:
    """A target that has stored everything at once."""

    def load(self, _: Sequence[Any]) -> Sequence[Any]:
        return ()

    apply = load


def main(config_path: str, stored: str) -> dict[str, float]:
    """Load the part, JSON as the control table has it, from there; MiB by step."""
    steps = {"python": memory("VmRSS")}
    (config,) = given(config_path)
    import msgspec

    from daemon import worker
    from daemon.app import Parts
    from daemon.control import Part
    from daemon.gap import StreamIdentity
    from daemon.preflight import TableFacts
    from sinks.change import KeyAttribute, KeySchema

    steps["modules"] = memory("VmRSS")
    part = msgspec.json.decode(stored, type=Part)
    known = Parts(config)
    keys = KeySchema(KeyAttribute("id", "S"), KeyAttribute("order", "S"))  # as tests.bench.contest, which has boto3
    known.table = TableFacts(keys, "arn", StreamIdentity(None, enabled=False))
    steps["clients"] = memory("VmRSS") if known.s3 and known.control else 0
    import sinks.cassandra.sink  # noqa: F401  a target's driver comes last, and the CQL driver is the largest

    steps["driver"] = memory("VmRSS")
    target: Any = TakesAll()
    with worker.reading(known, 1) as sources:
        done = worker.load_one(known, target, part, lambda _: None, sources)
    if done.rows_read != part.items:
        raise AssertionError(f"{done.rows_read} of {part.items} rows")
    return {**steps, "peak": memory("VmHWM")}


def given(config_path: str) -> Any:
    """As a process of daemon/lean.py begins."""
    from daemon import handed_on
    from sinks import unchecked

    unchecked.stand_in()
    return handed_on.given(config_path)


def configured(endpoint_url: str) -> dict[str, Any]:
    """A configuration whose S3 is there."""
    return {
        "migration": "bench",
        "source": {"table": "orders", "region": "us-east-1"},
        "backfill": {
            "manifest": "s3://bench/AWSDynamoDB/0-0/manifest-summary.json",
            "s3_endpoint_url": endpoint_url,
        },
        "target": {
            "kind": "cassandra",
            "contact_points": ["127.0.0.1"],
            "local_datacenter": "datacenter1",
            "keyspace": "bench",
            "table": "orders",
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))

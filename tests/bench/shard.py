"""A shard's process before its first record, and its memory: `python -m tests.bench.shard CONFIG`. MiB by step, as
JSON.
"""

import json
import sys

from tests.bench.worker import given, memory


def main(config_path: str) -> dict[str, float]:
    """Its modules, its two clients, the driver of its target. Nothing is asked, and no cluster is connected to."""
    steps = {"python": memory("VmRSS")}
    (config,) = given(config_path)
    import daemon.kcl.shard  # noqa: F401
    from daemon.app import Parts

    steps["modules"] = memory("VmRSS")
    known = Parts(config)
    steps["clients"] = memory("VmRSS") if known.streams and known.control else 0
    import sinks.cassandra.sink  # noqa: F401

    return {**steps, "peak": memory("VmHWM")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))

"""What a planted bug is: one change to our own code.

`old` stands in the file exactly once; `seen_by` are the tests that must fail, the simulator where nothing is said.
"""

from typing import NamedTuple

SIMULATOR = "simulator"
PROCESSOR, SHARD, LINEAGE = "daemon/kcl/processor.py", "daemon/kcl/shard.py", "daemon/lineage.py"
STREAM, APPLY, LETTERS = "daemon/source/stream.py", "daemon/apply.py", "daemon/dead_letter.py"
CONTROL, BACKFILL, EXPORT = "daemon/control.py", "daemon/backfill.py", "daemon/source/export.py"
LAG, PROVE, CUTOVER, GAP = "daemon/lag.py", "daemon/prove.py", "daemon/cutover.py", "daemon/gap.py"
RESYNC, SERVICE, BESIDE, OBSERVE = "daemon/resync.py", "daemon/service.py", "daemon/beside.py", "daemon/observe.py"
CQL, LAYOUT, DYNAMODB = "sinks/cassandra/sink.py", "sinks/cassandra/layout.py", "sinks/dynamodb/sink.py"


class Mutant(NamedTuple):
    """One planted bug."""

    name: str
    why: str
    file: str
    old: str
    new: str
    seen_by: str = SIMULATOR

"""Where clients are told to go. A route is a decision: kept in the migration record, each change raises the epoch.

Clients fail static: silence never flips a route (facts/cutover.md §3d).
"""

from hashlib import sha256
from typing import Literal

import msgspec

Side = Literal["source", "target"]


class Routes(msgspec.Struct, frozen=True):
    """So many percent of the readers read the target; the writers write to one side, or wait while they are fenced."""

    reads_percent: int = 0
    writes: Side = "source"
    writes_fenced: bool = False  # nobody is to write, on either side


def reads_from(routes: Routes, targeting_key: str) -> Side:
    """The side that this reader is to read; the same for the same key as long as the percentage does not fall."""
    bucket = int.from_bytes(sha256(targeting_key.encode()).digest()[:4], "big") % 100
    return "target" if bucket < routes.reads_percent else "source"

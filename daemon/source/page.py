"""What every source yields: some rows, and the position behind them."""

from collections.abc import Sequence
from typing import NamedTuple

from sinks.change import Item, Key

# No item: the key was deleted. Only incremental exports say that.
Row = tuple[Key, Item | None]


class Page(NamedTuple):
    """Rows, bounded by bytes. Reading a part again from `position` yields what follows them, and nothing else."""

    rows: Sequence[Row]
    position: str  # the source's own: a number of lines, a key
    size_bytes: int  # of what was read for it, unpacked

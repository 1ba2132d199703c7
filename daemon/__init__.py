"""The engine of moveout, its modules in the order the data flows: see README.md beside this file."""

from sinks.lean import hollow, without

# structlog asks for rich, and has it at hand for tracebacks in colours that no log of ours shows: 5 MiB of each
# backfill worker's and each shard's process. asyncio is for its `ainfo` and the like, which nobody calls (2 MiB); and
# msgspec takes from typing_extensions what typing has. Here, for this is what runs first; the commands have all of it.
with without("rich", "better_exceptions", "typing_extensions"), hollow("asyncio"):
    import msgspec  # noqa: F401
    import structlog  # noqa: F401  whoever imports it from now on gets this one

__version__ = "0.1.0"

"""The engine of moveout, its modules in the order the data flows: see README.md beside this file."""

from sinks.lean import without

# structlog asks for rich, and has it at hand for tracebacks in colours that no log of ours shows: 5 MiB of each
# backfill worker's and each shard's process. Here, for this is what runs first; the commands have rich all the same.
with without("rich", "better_exceptions"):
    import structlog  # noqa: F401  whoever imports it from now on gets this one

__version__ = "0.1.0"

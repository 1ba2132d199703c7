"""Bugs of what is told to Prometheus: an alert that goes by it would sleep."""

from mutants.mutant import CONTROL, PROCESSOR, SERVICE, Mutant

TOLD = "tests/unit/test_told_figures.py"

METRICS = (
    Mutant(
        "strays of a shard that has left are forgotten",
        "a counter falls, and increase() tells of writes that never were, or of none",
        CONTROL,
        "            self.strays + state.strays,",
        "            state.strays,",
        TOLD,
    ),
    Mutant(
        "retries are not kept beside the position",
        "the next batch that is durable sets them to zero",
        PROCESSOR,
        "        self._pending = msgspec.structs.replace(self._pending, trouble=message, retries=retries)",
        "        self._pending = msgspec.structs.replace(self._pending, trouble=message)",
        "tests/unit/test_tail_pause.py",
    ),
    Mutant(
        "shards that were read to their end have an owner",
        "a replica that is gone seems to read",
        SERVICE,
        "if state.owner and not state.ended",
        "if state.owner",
        TOLD,
    ),
    Mutant(
        "time left is zero while nothing moves",
        "a backfill that stands still seems to be done",
        "daemon/metrics.py",
        "lambda d: _or_infinite(d.backfill.eta_seconds)",
        "lambda d: d.backfill.eta_seconds or 0.0",
        TOLD,
    ),
    Mutant(
        "what a client says of versions is parsed",
        "a scrape with a bad Accept header is answered by 500",
        "daemon/server/application.py",
        "choose_encoder(accepts)",
        'choose_encoder(request.headers.get("accept", ""))',
        "tests/deploy/test_exposition.py",
    ),
    Mutant(
        "the processes of other services on this machine are ours",
        "the memory limit is set by a neighbour's figures",
        "daemon/memory.py",
        "        elif _descends(seen, pid, root):",
        "        else:",
        "tests/unit/test_memory.py",
    ),
    Mutant(
        "--log-format holds for this process only",
        "workers and shards go on in JSON between the lines for people",
        "daemon/terminal.py",
        '        os.environ["MOVEOUT_LOG__FORMAT"] = log_format',
        "        del log_format",
        "tests/unit/test_log_format.py",
    ),
)

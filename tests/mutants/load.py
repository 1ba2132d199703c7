"""Bugs in the sinks, in the load, and in the state."""

from mutants.mutant import BACKFILL, BESIDE, CONTROL, CQL, CUTOVER, DYNAMODB, EXPORT, PROCESSOR, Mutant

SINKS = (
    Mutant(
        "CQL writes without their versions",
        "the last to arrive wins",
        CQL,
        "attrs, change.version, change.version))",
        "attrs, change.version, 1_800_000_000_000_000))",
    ),
    Mutant(
        "a CQL deletion one microsecond too late",
        "it ties with the next put, and the dead one wins",
        CQL,
        "self._delete.bind((change.version, *columns))",
        "self._delete.bind((change.version + 1, *columns))",
    ),
    Mutant(
        "a partial CQL batch is ignored",
        "the statements that failed are never written",
        CQL,
        "                raise as_sink_error(failure) from failure\n            refused",
        "                continue\n            refused",
    ),
    Mutant(
        "an outage is taken for a verdict on the row",
        "everything becomes a dead letter",
        "sinks/cassandra/errors.py",
        "    return isinstance(error, (InvalidRequest, *UNBINDABLE))",
        "    return error is not None",
        "tests/simulation/test_stores.py",
    ),
    Mutant(
        "of a batch, the last to arrive wins",
        "the rule of order holds between batches only",
        "sinks/change.py",
        "        if known is None or known.version < change.version:\n            latest",
        "        if True:\n            latest",
        "tests/unit/test_change.py",
    ),
    Mutant(
        "unconditional put",
        "a late duplicate overwrites what is newer",
        DYNAMODB,
        '        self._put_if(change, "attribute_not_exists(#k) OR #v < :v")\n',
        '        self._put_if(change, "attribute_not_exists(#k) OR #v < :v OR attribute_exists(#k)")\n',
    ),
    Mutant(
        "an item is created without asking for its tombstone",
        "a replay brings back what was deleted",
        DYNAMODB,
        'self._transact([{"Put": put}, {"ConditionCheck": check}])',
        '(*self._transact([{"Put": put}]), check)',
        "tests/simulation/test_stores.py",
    ),
    Mutant(
        "deletions are not remembered",
        "a backfill row that comes late is back",
        DYNAMODB,
        'self._transact([{"Delete": delete}, {"Update": remember}])',
        'self._transact([{"Delete": delete}])',
        "tests/simulation/test_stores.py",
    ),
    Mutant(
        "no sweep after the load",
        "rows that were deleted before they were loaded stay",
        BESIDE,
        "        swept = sink.settle()\n",
        "        swept = 0\n",
    ),
)

LOAD = (
    Mutant(
        "the backfill's version lies within the replay",
        "an export that is good to a minute overwrites what is newer",
        EXPORT,
        "return int(self.exported_at - OVERLAP_SECONDS) * MICROS",
        "return int(self.exported_at + 60) * MICROS",
    ),
    Mutant(
        "the checksum is not compared",
        "a damaged row gets the right one's version",
        "daemon/source/files.py",
        "    if found != part.md5:",
        "    if False:",
        "tests/unit/test_files.py",
    ),
    Mutant(
        "rows are not counted against the manifest",
        "a file cut short counts as loaded",
        BACKFILL,
        "    if part.rows_read != part.items:",
        "    if False:",
        "tests/unit/test_backfill.py",
    ),
    Mutant(
        "heartbeats of the export are loaded",
        "rows of ours stay in the target",
        BACKFILL,
        "for key, item in rows if not is_heartbeat(key)]",
        "for key, item in rows]",
    ),
    Mutant(
        "a hole between export and stream is accepted",
        "the changes in it are in neither",
        "daemon/preflight.py",
        "    if missing is not None:",
        "    if False:",
    ),
    Mutant(
        "the backfill counts as complete at once",
        "readers switch to half a table",
        CUTOVER,
        "    return migration.parts == seen.parts_total",
        "    return True or migration.parts == seen.parts_total",
    ),
    Mutant(
        "every anchoring writes under the same names",
        "parts of an attempt that crashed are taken for those of the next",
        "daemon/anchor.py",
        'return control.update("migration", Migration, taken).reserved',
        "return 1",
    ),
)

STATE = (
    Mutant(
        "a page is decoded at once",
        "a thousand items of 400 KB take the memory of the pod",
        PROCESSOR,
        "            if size >= SLICE_BYTES:",
        "            if False:",
        "tests/unit/test_bounds.py",
    ),
    Mutant(
        "records are written unconditionally",
        "whoever is late overwrites what is newer",
        CONTROL,
        'ConditionExpression="#v = :v" if revision else "attribute_not_exists(#v)",',
        'ConditionExpression="#v = :v OR attribute_exists(#v)" if revision else "attribute_not_exists(#v)",',
        "tests/simulation/test_simulated_control.py",
    ),
    Mutant(
        "a part that was done is begun again",
        "a worker that is late takes back what another has finished",
        BACKFILL,
        "lambda known: known if known and known.done else part)",
        "lambda _: part)",
        "tests/unit/test_backfill.py",
    ),
    Mutant(
        "an outage is given up on",
        "the batch is dropped with it",
        "daemon/retry.py",
        "retry=tenacity.retry_if_exception_type(SinkUnavailable),",
        "retry=tenacity.retry_if_exception_type(SinkUnavailable), stop=tenacity.stop_after_attempt(2),",
        "tests/unit/test_retry.py",
    ),
)

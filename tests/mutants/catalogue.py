"""Bugs that tools of this kind have had, or that our own first drafts had: each is one change to our own code.

`old` stands in the file exactly once; `seen_by` are the tests that must fail, the simulator where nothing is said.
"""

from typing import NamedTuple

SIMULATOR = "simulator"
PROCESSOR, SHARD, LINEAGE = "daemon/kcl/processor.py", "daemon/kcl/shard.py", "daemon/lineage.py"
STREAM, APPLY, LETTERS = "daemon/source/stream.py", "daemon/apply.py", "daemon/dead_letter.py"
CONTROL, BACKFILL, EXPORT = "daemon/control.py", "daemon/backfill.py", "daemon/source/export.py"
LAG, PROVE, CUTOVER, GAP = "daemon/lag.py", "daemon/prove.py", "daemon/cutover.py", "daemon/gap.py"
RESYNC, SERVICE, BESIDE, OBSERVE = "daemon/resync.py", "daemon/service.py", "daemon/beside.py", "daemon/observe.py"
CQL, DYNAMODB = "sinks/cassandra/sink.py", "sinks/dynamodb/sink.py"


class Mutant(NamedTuple):
    """One planted bug."""

    name: str
    why: str
    file: str
    old: str
    new: str
    seen_by: str = SIMULATOR


ORDER = (
    Mutant(
        "checkpoint before apply",
        "what a crash leaves unapplied is never read again",
        PROCESSOR,
        """            applied = deliver(self._apply, changes, self._keep)
            self._pending = _after(self._pending, events, applied, len(changes) - applied)
            self._last = Position(events[-1].sequence, events[-1].version)
        self._checkpoint(page.checkpointer)
""",
        """            self._pending = _after(self._pending, events, len(changes), 0)
            self._last = Position(events[-1].sequence, events[-1].version)
            self._checkpoint(page.checkpointer)
            deliver(self._apply, changes, self._keep)
        self._checkpoint(page.checkpointer)
""",
    ),
    Mutant(
        "the last record of a page is dropped",
        "as a page that comes with a null iterator is by two tools",
        PROCESSOR,
        "[event.change for event in events if event.change is not None]",
        "[event.change for event in events[:-1] if event.change is not None]",
    ),
    Mutant(
        "counter in memory",
        "a crash within a second deals the same versions again (Data Prepper)",
        PROCESSOR,
        "self._versions = VersionClock(self._record.version)",
        "self._versions = VersionClock(0)",
    ),
    Mutant(
        "the KCL's checkpoint before our position",
        "a crash in between leaves a checkpoint whose version nobody knows",
        PROCESSOR,
        """        self._save()
        if last is not None:
            self._to_kcl(checkpointer, last.sequence)
""",
        """        if last is not None:
            self._to_kcl(checkpointer, last.sequence)
        self._save()
""",
    ),
    Mutant(
        "a shard's end before its state",
        "its children begin with nothing to go on from",
        PROCESSOR,
        """        self._save()
        self._to_kcl(end.checkpointer, None)
""",
        """        self._to_kcl(end.checkpointer, None)
        self._save()
""",
    ),
    Mutant(
        "only the newest position is kept",
        "a crash between the save and the checkpoint loses the one that the KCL has",
        CONTROL,
        "positions=kept[-POSITIONS_MAX:]",
        "positions=kept[-1:]",
    ),
    Mutant(
        "positions that another process checkpointed are taken back",
        "a process that claims late made the shard unreadable for good",
        PROCESSOR,
        "msgspec.structs.replace(self.state, owner=owner, trouble=None,",
        "msgspec.structs.replace(self.state, owner=owner, trouble=None, positions=self.state.positions[:1],",
    ),
    Mutant(
        "a late claim opens an ended shard again",
        "its children could never begin",
        PROCESSOR,
        "msgspec.structs.replace(self.state, owner=owner, trouble=None,",
        "msgspec.structs.replace(self.state, owner=owner, trouble=None, ended=False,",
        "tests/unit/test_claim.py",
    ),
    Mutant(
        "a child starts from zero",
        "its changes look older than its parent's of the same second",
        LINEAGE,
        "ShardState(anchor=parent.version, parent=shard.parent)",
        "ShardState(anchor=0, parent=shard.parent)",
    ),
    Mutant(
        "a child starts before its parent's end",
        "two shards of one key at a time",
        LINEAGE,
        "if parent is None or not parent.ended:",
        "if parent is None:",
        "tests/unit/test_lineage.py",
    ),
    Mutant(
        "a child of an unknown parent starts at zero",
        "newer changes look older",
        LINEAGE,
        "    if parent is None or not parent.ended:\n",
        "    if parent is None:\n        return ShardState(anchor=0)\n    if not parent.ended:\n",
        "tests/unit/test_lineage.py",
    ),
    Mutant(
        "an unknown checkpoint goes on from the newest version",
        "guessing where the order goes on from",
        LINEAGE,
        "    if not found:\n",
        "    if not found:\n        return state.version\n    if not found:\n",
        "tests/unit/test_lineage.py",
    ),
    Mutant(
        "a replay goes on from the newest version",
        "it deals other versions than before, so zombies are not harmless any more",
        LINEAGE,
        "    return found[0]\n",
        "    return state.version\n",
        "tests/unit/test_lineage.py",
    ),
    Mutant(
        "whole seconds",
        "two writes of one second are not ordered",
        STREAM,
        "self.last = max(self.last + 1, created_millis // 1000 * MICROS)",
        "self.last = created_millis // 1000 * MICROS",
    ),
    Mutant(
        "ties within a second",
        "of two writes as old the larger value wins, or the deletion",
        STREAM,
        "self.last = max(self.last + 1, created_millis // 1000 * MICROS)",
        "self.last = max(self.last, created_millis // 1000 * MICROS)",
    ),
    Mutant(
        "deletions are passed over",
        "rows that are gone stay",
        STREAM,
        "        change = Change(key, version, _item(found, sequence))\n",
        '        change = None if found.event == "REMOVE" else Change(key, version, _item(found, sequence))\n',
    ),
    Mutant(
        "LATEST at start",
        "what came before the first look is lost",
        "daemon/kcl/properties.py",
        '"initialPositionInStream": "TRIM_HORIZON"',
        '"initialPositionInStream": "LATEST"',
        "tests/unit/test_kcl_properties.py",
    ),
    Mutant(
        "exceptions are swallowed",
        "the stock loop then reports the batch as done",
        PROCESSOR,
        "                self._die(1)\n",
        "                return\n",
        "tests/seam/test_shard_process.py",
    ),
    Mutant(
        "a zombie goes on after its checkpoint was refused",
        "two processes work on one shard",
        PROCESSOR,
        "                    self._lost = True\n                    return\n",
        "                    return\n",
        "tests/seam/test_shard_process.py",
    ),
)
REFUSALS = (
    Mutant(
        "rejections are dropped",
        "log and go on: silent loss",
        APPLY,
        "        keep(rejections)\n",
        "        pass\n",
    ),
    Mutant(
        "the tail of a batch is dropped",
        "a partial batch is taken for the whole",
        APPLY,
        "rejections = into(changes)",
        "rejections = into(changes[:-1])",
    ),
    Mutant(
        "the record of a dead letter before its body",
        "a crash in between leaves a letter without a content",
        LETTERS,
        '        where = self._box.put(name, msgspec.json.encode(body) + b"\\n")\n',
        "        self._control.update(LETTERS + name, DeadLetter, lambda known: known or DeadLetter("
        "key.decode(), 0, reason, origin, self._sink, at, name))\n"
        '        where = self._box.put(name, msgspec.json.encode(body) + b"\\n")\n',
        "tests/unit/test_dead_letter.py",
    ),
    Mutant(
        "a letter is settled before the deletion is applied",
        "readers see a row that was overwritten and then deleted",
        LETTERS,
        "return letter.gone_at is not None and not there and (applied_through or 0.0) > letter.gone_at",
        "return not there",
        "tests/unit/test_dead_letter.py",
    ),
    Mutant(
        "a refused retry counts as stored",
        "the letter is closed and the change is nowhere",
        LETTERS,
        "            return refused[0].reason\n",
        "            pass\n",
        "tests/unit/test_dead_letter.py",
    ),
    Mutant(
        "open dead letters do not keep ready away",
        "readers switch to a table that lacks rows",
        CUTOVER,
        '            seen.dead_letter is None,\n            "NoneOpen"',
        '            True,\n            "NoneOpen"',
    ),
)
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
PROOF = (
    Mutant(
        "a single heartbeat",
        "one shard that is through is taken for all",
        LAG,
        "proven = min(rounds[slowest], listed_after)",
        "proven = max(rounds.values())",
        "tests/property/test_lag.py",
    ),
    Mutant(
        "a listing older than the round",
        "shards that opened since are not asked",
        LAG,
        "proven = min(rounds[slowest], listed_after)",
        "proven = rounds[slowest]",
        "tests/property/test_lag.py",
    ),
    Mutant(
        "shards that nobody reads do not count",
        "their changes are missing while lag is zero",
        LAG,
        "    unowned = [shard.id for shard in stream.shards.values() if shard.id not in states]\n",
        "    unowned = []\n    states = {**{s: ShardState(anchor=0, ended=True, heartbeat_round=1 << 30)"
        " for s in stream.shards}, **states}\n",
        "tests/property/test_lag.py",
    ),
    Mutant(
        "a closed shard that is not read to its end",
        "its last records are missing while lag is zero",
        LAG,
        "    elif unread:",
        "    elif False:",
        "tests/property/test_lag.py",
    ),
    Mutant(
        "an only child is trusted at once",
        "the other half of a split is not listed yet",
        LAG,
        "    elif alone:",
        "    elif False:",
        "tests/property/test_lag.py",
    ),
    Mutant(
        "the round begins when its heartbeats are written",
        "what was written meanwhile is claimed as well",
        PROVE,
        "        self._started[proof.round] = started\n",
        "        self._started[proof.round] = started + 20\n",
    ),
    Mutant(
        "lag has a bound while the backfill runs",
        "caught up on a table that is half there",
        CUTOVER,
        "    if migration.phase is not Phase.REPLICATING or seen.applied_through is None:",
        "    if seen.applied_through is None:",
    ),
    Mutant(
        "ready is not taken back",
        "readers switch while the target is behind",
        CUTOVER,
        "caught_up_since=None, ready_since=None, message=kept)",
        "caught_up_since=None, message=kept)",
        "tests/unit/test_cutover.py",
    ),
)
GAPS = (
    Mutant(
        "a gap that is seen is not believed",
        "the move goes on without what was lost",
        CUTOVER,
        "    if migration.gap is not None or seen.gap is not None:",
        "    if migration.gap is not None:",
    ),
    Mutant(
        "the table's stream is looked at only once",
        "a stream that was disabled and enabled again goes unnoticed",
        OBSERVE,
        "            self._identity_gap = gap.of_identity(migration, found.stream)\n",
        "            self._identity_gap = None\n",
    ),
    Mutant(
        "the watermark rule is off",
        "no error ever reports a shard of which one half is trimmed",
        GAP,
        "        if now - read_to > REACH_SECONDS:",
        "        if False:",
        "tests/unit/test_gap.py",
    ),
    Mutant(
        "a vanished shard counts as read",
        "its last records are lost without a word",
        GAP,
        "    if not gone:\n",
        "    if True:\n",
        "tests/unit/test_gap.py",
    ),
    Mutant(
        "after a gap the stream's versions start anew",
        "they lie below what the new export was loaded at",
        RESYNC,
        "facts.stream.shards, load.anchor_version)",
        "facts.stream.shards, 0)",
    ),
    Mutant(
        "a new export is loaded below what was applied before the gap",
        "stale rows win",
        RESYNC,
        "    return max(int(now + SKEW_SECONDS) * MICROS, *dealt) + 1",
        "    return migration.backfill_version + 10 + 0 * len(dealt)",
    ),
    Mutant(
        "nothing is swept after a resync",
        "rows that were deleted in the gap stay",
        BESIDE,
        "        if migration.sweep is not None:",
        "        if False:",
    ),
    Mutant(
        "the sweep does not ask the source",
        "rows that no window had to mention are removed",
        RESYNC,
        "return untouched and not (wanted.ask_source and in_source(key))",
        "return untouched",
    ),
    Mutant(
        "windows are ranked by their begin",
        "a window inside of another one wins although it is older",
        "daemon/source/incremental.py",
        "ordered = sorted(windows, key=lambda window: (window.to_time, window.from_time, window.manifest))",
        "ordered = sorted(windows, key=lambda window: (window.from_time, window.manifest))",
        "tests/unit/test_incremental.py tests/property/test_incremental.py",
    ),
    Mutant(
        "a resync is noticed only by a restart",
        "the old generation's processes go on for ever",
        SERVICE,
        "            if migration.generation != self._generation:",
        "            if False:",
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
MUTANTS = (*ORDER, *REFUSALS, *SINKS, *LOAD, *PROOF, *GAPS, *STATE)

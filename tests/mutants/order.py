"""Bugs in the order of steps and of versions, and in what becomes of a refused change."""

from mutants.mutant import APPLY, CONTROL, CUTOVER, LETTERS, LINEAGE, PROCESSOR, STREAM, Mutant

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
        '_unless("DeadLettersResolved", seen.dead_letter, "Open", holds)',
        '_unless("DeadLettersResolved", None, "Open", holds)',
    ),
)

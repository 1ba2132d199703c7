"""Bugs in what a target needs before, during and after a move: each brings deleted rows back, or loses what was set."""

from mutants.mutant import CUTOVER, OBSERVE, SERVICE, Mutant

SETTINGS, PROVISION, VIEWS = (f"sinks/cassandra/{name}.py" for name in ("settings", "provision", "views"))
REMEMBERED, COMPLETION, SCHEMA = (f"daemon/{name}.py" for name in ("target_settings", "completion", "schema_cli"))

PROVISIONED = (
    Mutant(
        "a short grace is taken for a long one",
        "a tombstone is purged before an older backfill row arrives",
        SETTINGS,
        "if by_grace and grace_seconds < keep_seconds:",
        "if by_grace and grace_seconds < 0:",
        "tests/unit/test_target_settings.py",
    ),
    Mutant(
        "windows are always days",
        "a row and its tombstone are never compacted together",
        SETTINGS,
        "size * WINDOW_SECONDS.get(unit, DAY_SECONDS) < keep_seconds",
        "size * DAY_SECONDS < keep_seconds",
        "tests/unit/test_target_settings.py",
    ),
    Mutant(
        "what was there is noted anew each time",
        "moveout complete restores what the move itself has set",
        REMEMBERED,
        "Before({**settings, **(known.settings if known else {})})",
        "Before({**(known.settings if known else {}), **settings})",
        "tests/unit/test_completion.py",
    ),
    Mutant(
        "what was there is not noted",
        "moveout complete has nothing to give back",
        SCHEMA,
        "        if step.before:\n",
        "        if not step.before:\n",
        "tests/unit/test_schema_cli.py",
    ),
    Mutant(
        "an interrupted completion leaves no trace",
        "the service starts again over a target that has forgotten deletions",
        COMPLETION,
        "    _record(known.control, begun)\n    if isinstance(sink, Guarded):",
        "    if isinstance(sink, Guarded):",
        "tests/unit/test_completion.py",
    ),
    Mutant(
        "a service that still runs may be completed",
        "what it writes afterwards is held back by nothing",
        COMPLETION,
        "is_current(published[0], known.clock.time())",
        "not is_current(published[0], known.clock.time())",
        "tests/unit/test_completion.py",
    ),
    Mutant(
        "an altered setting does not keep readers from switching",
        "deleted rows come back under their eyes",
        CUTOVER,
        '"TargetSafe",\n        seen.hazard is None,',
        '"TargetSafe",\n        True,',
        "tests/unit/test_cutover.py",
    ),
    Mutant(
        "nobody looks at what the guard has seen",
        "deleted rows come back and the status says that all is well",
        OBSERVE,
        "hazard=self._guard.hazard(),",
        "hazard=None,",
        "tests/unit/test_guarded_service.py",
    ),
    Mutant(
        "a completed migration runs again",
        "replayed changes bring deleted rows back",
        SERVICE,
        "        completion.refuse_if_begun(self._control)\n",
        "",
        "tests/unit/test_guarded_service.py",
    ),
    Mutant(
        "a table made on ScyllaDB may purge from its first row on",
        "between CREATE and ALTER a tombstone is lost",
        PROVISION,
        "keeps = scylla.created(statement) if scylla.is_scylla(metadata) else statement",
        "keeps = statement",
        "tests/unit/test_provision_scylla.py",
    ),
    Mutant(
        "a view with two columns beside the key is proposed",
        "no node takes it",
        VIEWS,
        "    if len(added) > 1:",
        "    if len(added) > 2:",
        "tests/unit/test_views.py",
    ),
)

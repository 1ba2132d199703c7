"""The switch of the writers as it is acted, and what verification may leave open: what a review has found."""

from mutants.mutant import Mutant

HANDOVER, SEAL, SETTLE = "daemon/handover.py", "daemon/seal.py", "daemon/verify/settle.py"
JUDGED, KEEPING = "daemon/verify/judged.py", "daemon/verify/keeping.py"
HANDED, OVER = "tests/unit/test_handover.py", "tests/unit/test_seal_over.py"
KEPT = "tests/unit/test_verify_keeping.py"

ACTED = (
    Mutant(
        "the stream is opened again by whoever waits for the target",
        "the fence stays up as long as the target is away",
        HANDOVER,
        "                return self._sealing.done(token, lambda: self._reopened(migration, SealStep.REOPENED))",
        "                return self._checking.done(token, lambda: self._reopened(migration, SealStep.REOPENED))",
        HANDED,
    ),
    Mutant(
        "a fence that was held late is lifted while the stream is closed",
        "what the application writes then is in no stream, and nobody notices",
        HANDOVER,
        "return under_way and switch is not None and switch.step is not Step.UNFENCE",
        "return under_way and switch is not None and switch.step not in (Step.UNFENCE, Step.REOPEN)",
        HANDED,
    ),
    Mutant(
        "a late lift takes off the resource policy of a later attempt",
        "writers write behind the proof of a switch that goes on",
        "daemon/fence/resource_policy.py",
        "if not 0 <= _epoch(one) <= attempt.epoch]",
        "if _epoch(one) < 0]",
        "tests/unit/test_fence.py",
    ),
    Mutant(
        "the window is measured from look to look",
        "a slow listing makes it shorter than configured, and a writer that polls as configured comes behind the proof",
        "daemon/writers.py",
        "begun[last].after - begun[first].before < window_seconds",
        "begun[last].before - begun[first].before < window_seconds",
        HANDED,
    ),
    Mutant(
        "a seal of another stream has to be undone first",
        "after a resync the fence cannot be lifted: the stream that is asked for is gone",
        SEAL,
        "    return state.step is SealStep.OPEN or state.stream_arn != migration.stream_arn",
        "    return state.step is SealStep.OPEN",
        OVER,
    ),
    Mutant(
        "a process of another generation goes on through the switch",
        "where its service hangs, it writes behind COMMIT",
        "daemon/freeze.py",
        "return WAIT if migration.phase in (Phase.SWITCHING, Phase.SWITCHED) else GO_ON",
        "return GO_ON",
        "tests/unit/test_freeze.py",
    ),
)

LEFT_OPEN = (
    Mutant(
        "a row that nobody could watch is hot",
        "lost rows keep nobody waiting: `Verified` holds",
        SETTLE,
        "unanswered = watched - untouched if watched and not self._watch.knows() else set()",
        "unanswered = set()",
        "tests/unit/test_verify_settle.py",
    ),
    Mutant(
        "rows that could not be watched do not count",
        "lost rows keep nobody waiting: `Verified` holds",
        JUDGED,
        '; {again()}" if count.unwatched else None',
        '; {again()}" if False else None',
        KEPT,
    ),
    Mutant(
        "a run of another generation is shown",
        "`moveout wait --for verified` ends with 0 before the resync has loaded a row",
        JUDGED,
        "    if run is None or run.generation != generation:\n        return None\n    differences",
        "    if run is None:\n        return None\n    differences",
        KEPT,
    ),
    Mutant(
        "the comparison goes on behind COMMIT",
        "each row that the application writes to the target is a difference",
        KEEPING,
        "comparable = self._run, migration.phase in runs.COMPARABLE",
        "comparable = self._run, True",
        KEPT,
    ),
)

PUBLISHED = (
    Mutant(
        "a resync writes the routes that it has read when it began",
        "readers that a person has sent back to the source read a target with a gap again",
        "daemon/resync.py",
        '"epoch": current.epoch, "routes": current.routes}',
        '"epoch": current.epoch}',
        HANDED,
    ),
    Mutant(
        "a leader that was asleep publishes what it knew",
        "the other replicas send the writers back to the source, behind COMMIT",
        "daemon/service.py",
        "lambda found: found if found is not None and found.epoch > made.epoch else made",
        "lambda _: made",
        "tests/unit/test_service.py",
    ),
)

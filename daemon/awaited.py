"""What `moveout wait --for` can wait for: when it holds, and when it can hold no more."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from daemon.phase import Phase
from daemon.signal.document import Document, epoch_seconds, iso
from daemon.signal.verdict import Kind, Question, why_not

UNPROVEN = "quiet"
# From these nothing goes on by itself.
ENDS = (Phase.NEEDS_RESYNC, Phase.LOADED, Phase.ABORTED, Phase.SWITCHED)
# In their order; what fails between SWITCHING and SWITCHED goes back to REPLICATING.
_WAY = [Phase.CREATED, Phase.ANCHORED, Phase.BACKFILLING, Phase.REPLICATING, Phase.SWITCHING, Phase.SWITCHED]


class Options(NamedTuple):
    """Beside `--for`. Instants in epoch seconds."""

    max_lag_seconds: float | None = None
    stable_for_seconds: float | None = None
    since: float | None = None
    allow_unproven: bool = False


class Awaited(NamedTuple):
    """`holds` is asked with the time; `never` says why not, or None; `told` is the sentence of success."""

    holds: Callable[[Document, float], bool]
    never: Callable[[Document], str | None]
    told: Callable[[Document], str] = lambda document: document.message
    is_decision: bool = True  # False: figures decide, which change without any decision


def awaited(text: str, options: Options, began_at: float) -> Awaited:
    """What `--for` names. `began_at`: when the command did, in epoch seconds. Raises ValueError for what is unknown."""
    name, _, value = text.partition("=")
    limits = (options.max_lag_seconds, options.stable_for_seconds)
    if any(limit is not None for limit in limits) and not text.startswith("ready-"):
        raise ValueError("--max-lag and --stable-for go with --for ready-readers or ready-writers")
    if (options.since is not None or options.allow_unproven) and text != "drained":
        raise ValueError("--since and --allow-unproven go with --for drained")
    if text == "ready-readers":
        return _ready(Question("readers", *limits))
    if text == "ready-writers":
        return _ready(Question("writers", *limits))
    if text == "drained":
        return _drained(options, began_at)
    if text == "verified":
        return Awaited(_is_verified, _never_verified, _verified, is_decision=False)
    if name == "phase" and value in {phase.value for phase in Phase}:
        return _phase(Phase(value))
    phases = ", ".join(f"phase={phase.value}" for phase in Phase)
    raise ValueError(
        f"--for {text!r} is not known; known are ready-readers, ready-writers, drained, verified, {phases}"
    )


def instant(text: str) -> float:
    """Epoch seconds of an instant in ISO 8601, which names its offset. Raises ValueError, with the sentence."""
    told = f"an instant is written like 2026-01-31T12:00:00Z, not {text!r}"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(told) from None
    if found.tzinfo is None:
        raise ValueError(told)
    return found.timestamp()


def _ready(question: Question) -> Awaited:
    who: Kind = question.kind

    def never(document: Document) -> str | None:
        if document.phase not in ENDS:
            return None
        return (
            _ended(document)
            if document.phase is not Phase.SWITCHED
            else f"the writers have switched: {_said(document)}"
        )

    return Awaited(
        lambda document, now: why_not(document, question, now) is None,
        never,
        lambda document: document.message if who == "readers" else f"writers may switch: {document.message}",
        is_decision=question.max_lag_seconds is None and question.stable_for_seconds is None,
    )


def _drained(options: Options, began_at: float) -> Awaited:
    """Zero for everything before an instant (facts: `Zero(F)`): all of it is durable in the target, or was waived."""
    # The service's clock may be ahead of ours: then what it has just published is not before our "now".
    instants = [options.since if options.since is not None else began_at]

    def since(document: Document) -> float:
        if options.since is None and len(instants) == 1:
            instants.append(epoch_seconds(document.published_at))
        return max(instants)

    def holds(document: Document, _: float) -> bool:
        through = document.lag.applied_through
        if through is None or document.dead_letters.open:
            return False
        bounded = document.lag.seconds is not None or document.phase is Phase.SWITCHED
        return bounded and epoch_seconds(through) >= since(document) and _is_proven(document, options)

    def never(document: Document) -> str | None:
        if not _is_proven(document, options):
            return (
                "lag is not proven: tail.proof is quiet, which only says that nothing more was seen. "
                "--allow-unproven takes that for drained; tail.proof: heartbeat proves it"
            )
        return _ended(document) if document.phase in ENDS else None

    def told(document: Document) -> str:
        unproven = "" if _is_proven(document, Options()) else ", as far as was seen: nothing proves it"
        return f"every write before {iso(since(document))} is durable in the target{unproven}"

    return Awaited(holds, never, told, is_decision=False)


def _is_proven(document: Document, options: Options) -> bool:
    return options.allow_unproven or document.lag.proof != UNPROVEN


def _is_verified(document: Document, _: float) -> bool:
    """As the condition `Verified`: a row that is written all the time moves, and is settled at the fence."""
    found = document.verification
    return found is not None and found.state == "finished" and not (found.unwatched or sum(found.differences.values()))


def _never_verified(document: Document) -> str | None:
    found = document.verification
    if document.phase in (Phase.NEEDS_RESYNC, Phase.ABORTED):
        return _ended(document)
    if found is None or found.state == "running":
        return None
    differences = sum(found.differences.values())
    if found.state == "finished" and not (differences or found.unwatched):
        return None  # it is what was waited for, in a document that has expired
    unlike = f"{differences} difference(s), {found.unwatched} not known to be equal"
    what = unlike if found.state == "finished" else f"it is {found.state}"
    return f"run {found.run} of the verification: {what}. {found.message} `moveout verify show` says more"


def _verified(document: Document) -> str:
    found = document.verification
    if found is None:
        return document.message
    bound = "" if found.upper_bound is None else f": at most {found.upper_bound:.2g} of all differ, at 95 %"
    return f"no difference in {found.compared:,} comparisons{bound}"


def _phase(wanted: Phase) -> Awaited:
    def never(document: Document) -> str | None:
        phase = document.phase
        if phase in ENDS:
            return None if phase is wanted else _ended(document)
        # The switch of the writers may fail, and all is replicating again.
        passed = wanted in _WAY and phase in _WAY and _WAY.index(phase) > _WAY.index(wanted)
        returns = phase is Phase.SWITCHING and wanted is Phase.REPLICATING
        return f"phase {wanted.value} is passed: {_said(document)}" if passed and not returns else None

    return Awaited(lambda document, _: document.phase is wanted, never)


def _ended(document: Document) -> str:
    return f"nothing goes on by itself from phase {_said(document)}"


def _said(document: Document) -> str:
    return f"{document.phase.value}: {document.message}"

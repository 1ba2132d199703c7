"""`moveout check`: every check that can be made, each with its finding; nothing is touched."""

from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from daemon import files_plan, identities, ordered, preflight, scanning, warm
from daemon.app import Parts
from daemon.control import Settings
from daemon.plan import plan
from daemon.preflight import CheckFailed, Finding
from sinks.custom import CustomOptions
from sinks.jsonl.options import JsonlOptions
from sinks.sink import SinkError


def check_all(known: Parts) -> list[Finding]:
    """Who asks, source, export, target, Java; what rests on a failed check is said to be left out."""
    findings = [_found(f"identity of {who}", look) for who, look in identities.asked(known.config)]
    findings.append(_found("source", lambda: _source(known)))
    if findings[-1].good:
        findings.append(_found("backfill", lambda: _backfill(known)))
        findings.append(_found("target", lambda: _target(known)))
    else:
        skipped = "not checked: the source's key is not known"
        findings += [Finding("backfill", good=False, message=skipped), Finding("target", good=False, message=skipped)]
    findings.append(_found("dead letters", lambda: _letters(known)))
    return [*findings, _found("java", _java)] if known.config.tails else findings


def _found(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, good=True, message=look())
    except (CheckFailed, SinkError, ClientError, BotoCoreError) as error:
        return Finding(check, good=False, message=str(error))


def _source(known: Parts) -> str:
    if not known.config.tails:
        return f"table {known.config.source.table!r} with key {known.keys}; its stream is not followed"
    facts = known.facts
    return (
        f"table {known.config.source.table!r} with key {facts.keys}; its stream shows {facts.stream.view_type} "
        f"in {len(facts.stream.shards)} shard(s)"
    )


def _backfill(known: Parts) -> str:
    if not known.config.loads:
        return "mode is tail: nothing is loaded, the stream is followed from its begin"
    if known.config.backfill.from_ == "scan" and known.config.loads:
        return scanning.told(known)
    made = plan(known)
    if made.pending:
        meanwhile = ", and the stream is followed meanwhile" if known.config.tails else ""
        return f"{made.origin}; its files are loaded when AWS has made it{meanwhile}"
    if known.config.backfill.from_ == "files":
        return files_plan.told(known, made.parts)
    items = sum(part.items for part in made.parts)
    _in_time(known, items)
    joins = "; it joins the stream without a hole" if known.config.tails else ""
    return f"{items:,} items in {len(made.parts):,} file(s){joins}"


def _in_time(known: Parts, items: int) -> None:
    """Raises CheckFailed where a tail that waits for the load would be trimmed first."""
    rate = known.config.backfill.items_per_second
    found = ordered.too_long(items, rate) if rate and known.config.tails and ordered.is_ordered(known.config) else None
    if found is not None:
        raise CheckFailed(found)


def _target(known: Parts) -> str:
    target = known.config.target
    found = preflight.target(known.sink(may_create=False), will_create=target.create_table)
    warm.tellable(known.config, Settings())
    if isinstance(target, CustomOptions):
        return f"{target.sink} answers"
    return f"{target.to} is there, or can be made" if isinstance(target, JsonlOptions) else found


def _letters(known: Parts) -> str:
    return f"what the target refuses is written to {known.config.dead_letters_to}; that is tried when the move begins"


def _java() -> str:
    from daemon.java.jre import JavaMissing, java

    try:
        return f"{java()}"
    except JavaMissing as error:
        raise CheckFailed(str(error)) from error

"""`moveout backfill --sink …`: load everything as the move would, into files or into nothing. Nothing else is touched.

No service, no stream, no control table: DynamoDB is only read, which `ReadOnly` holds, and a part that fails is not
remembered. What the lines look like: sinks/README.md.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, RenderableType
from rich.live import Live

from daemon import aws, backfill, partitions_view, progress_view, worker
from daemon.app import Parts
from daemon.apply import Ways
from daemon.backfill import BackfillIncomplete, Loading
from daemon.config import Config
from daemon.control import Control, Part
from daemon.pace import Pace
from daemon.partitions import Summary, counting
from daemon.plan import plan
from daemon.preflight import CheckFailed
from daemon.progress import Progress, progress
from daemon.retry import Retrying
from daemon.source.export import version_of
from daemon.source.pages import Sources, pages
from sinks.attributes import UnreadableItem
from sinks.change import Change
from sinks.jsonl.options import JsonlOptions
from sinks.sink import Rejection, Sink

MEMORY, JSONL = "memory", "jsonl:"
REFRESH_PER_SECOND = 2
LINE_SECONDS = 10.0
REASONS_MAX = 10
PAUSES_SECONDS = (1.0, 5.0, 25.0)  # while AWS is away, beyond boto3's own attempts
READING = ("describe_", "list_", "get_", "batch_get_", "query", "scan", "meta", "exceptions", "close")


class WouldWrite(Exception):
    """A dry run was about to write to DynamoDB: a fault of moveout."""


class ReadOnly:
    """A boto3 client of which only what reads can be called."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        """The client's own. Raises WouldWrite."""
        if not name.startswith(READING):
            raise WouldWrite(f"{name} was asked for in a dry run, which only reads: report this as a bug")
        return getattr(self._client, name)


class NoTable:
    """The control table of a dry run: nothing is in it, nothing can be put there."""

    def get_item(self, **_: Any) -> dict[str, Any]:
        """Not there."""
        return {}

    def __getattr__(self, name: str) -> Any:
        """Raises WouldWrite."""
        raise WouldWrite(f"{name} of the control table was asked for in a dry run: report this as a bug")


class Checking:
    """Decodes every item and keeps none: what cannot be read is rejected."""

    def open(self) -> None:
        """Nothing to connect to."""

    def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """What is no item in DynamoDB's typed JSON."""
        return [rejection for change in changes if (rejection := _checked(change)) is not None]

    def close(self) -> None:
        """Nothing to release."""


def _checked(change: Change) -> Rejection | None:
    try:
        if change.item is not None:
            change.item.attributes()
    except UnreadableItem as error:
        return Rejection(change, str(error))
    return None


def target(config: Config, sink: str) -> JsonlOptions | None:
    """What `--sink` names; None for memory. A bucket is written to as the export's is read.

    Of several tables each has a folder of its own in it: a key says nothing of its table.

    Raises ValueError with what it may be.
    """
    to = sink.removeprefix(JSONL)
    if sink == MEMORY:
        return None
    if not sink.startswith(JSONL) or not to:
        raise ValueError(f"--sink is jsonl:FOLDER, jsonl:s3://BUCKET/PREFIX or memory, not {sink!r}")
    if config.one_of > 1:
        to = f"{to.rstrip('/')}/{config.source.table}"
    if not to.startswith("s3://"):
        return JsonlOptions(kind="jsonl", to=str(Path(to).absolute()))
    place = aws.bucket(config)
    return JsonlOptions(
        kind="jsonl",
        to=to,
        region=place.region,
        endpoint_url=place.endpoint_url,
        sts_endpoint_url=place.access.sts_endpoint_url,
        role_arn=place.access.role_arn,
        external_id=place.access.external_id,
    )


def reading(config: Config, options: JsonlOptions | None = None) -> Parts:
    """The parts of a move of which nothing is followed, and nothing is written but lines. Raises CheckFailed."""
    if not config.loads:
        raise CheckFailed("mode is tail: there is nothing to load. Set mode to backfill or backfill-and-tail")
    into = config.target if options is None else options
    known = Parts(config.model_copy(update={"mode": "backfill", "target": into}))
    known.dynamodb = ReadOnly(known.dynamodb)
    known.control = Control(NoTable(), "", config.name)
    return known


def planned(known: Parts) -> dict[str, Part]:
    """What would be loaded, by record name. Raises CheckFailed, ClientError, BotoCoreError."""
    made = plan(known)
    if made.pending:
        raise CheckFailed(
            f"{made.origin} is not there yet, and a dry run asks AWS for none: it costs money. Give backfill.manifest"
        )
    version = made.version or version_of(known.clock.time())
    versioned = [part if part.version else msgspec.structs.replace(part, version=version) for part in made.parts]
    return backfill.part_names(versioned, 0)


def run(config: Config, options: JsonlOptions | None, index: int, of: int, consoles: tuple[Console, Console]) -> None:
    """Load share `index` of `of`, the summary to the first console, progress to the second.

    Raises CheckFailed before anything is written, BackfillIncomplete at the end, and what sinks and AWS raise.
    """
    out, err = consoles
    known = reading(config, options)
    known_parts = planned(known)
    parts = {name: known_parts[name] for name in backfill.mine(known_parts, index, of)}
    sink: Sink = Checking() if options is None else known.sink()
    account, summary = Account(parts, known.clock.monotonic, err), summary_of(known)
    through(known, sink, account, summary, of)
    read = partitions_view.Read(sum(part.done for part in account.parts), len(known_parts))
    out.print(_partitions(config, known, summary, read), highlight=False)
    _told(account, out, "" if options is None else options.to)


def summary_of(known: Parts) -> Summary | None:
    """None for a table whose partitions are one item each."""
    return Summary() if known.keys.sort is not None else None


def _partitions(config: Config, known: Parts, summary: Summary | None, read: partitions_view.Read) -> RenderableType:
    if summary is None:
        return partitions_view.without_sort_key(known.keys)
    return partitions_view.told(summary, known.keys, config.target.kind, read)


def through(known: Parts, sink: Sink, account: "Account", summary: Summary | None, of: int) -> None:
    """Every part of the account through the sink, and its items into the summary."""
    into = Retrying(sink, on_trouble=account.trouble, wanted=lambda: True, sleep=known.clock.sleep)
    into.open()
    # What windows change is in the full export as well: it counts once.
    load = into.apply if summary is None else counting(into.apply, summary)
    try:
        with account.shown(), worker.reading(known, of) as sources:
            _load(known, Ways(load, into.apply, account.keep), account, sources, worker.rows_pace(known, of))
    finally:
        into.close()


def _load(known: Parts, ways: Ways, account: "Account", sources: Sources, pace: Pace) -> None:
    def load(part: Part) -> Loading:
        return backfill.loading(_read(sources), part, ways, known.config.backfill.batch_rows, pace)

    for part in account.parts:
        fault = patiently(account, part.name, load, known.clock.sleep)
        if fault is not None:
            account.faults[part.name] = fault


def patiently(
    account: "Account", name: str, load: Callable[[Part], Loading], sleep: Callable[[float], None]
) -> str | None:
    """Load a part, and go on behind its last page when AWS was away for a moment; what is wrong with it, or None.

    Nobody starts a dry run again, as the service does with its workers. Raises ClientError, BotoCoreError when AWS
    stays away.
    """
    for pause_seconds in PAUSES_SECONDS:
        try:
            return backfill.load_accounted(account, account.part(name), load)
        except (ClientError, BotoCoreError) as error:
            account.trouble(str(error))
            sleep(pause_seconds)
            account.trouble(None)
    return backfill.load_accounted(account, account.part(name), load)


def _read(sources: Sources) -> Callable[[Part], Any]:
    return lambda part: pages(sources, part)


def _told(account: "Account", out: Console, where: str) -> None:
    """The summary. Raises BackfillIncomplete where a part is not done."""
    shown = account.look()
    out.print(progress_view.summary(shown, dict.fromkeys(account.faults, "failed")), highlight=False)
    for reason in account.reasons:
        out.print(f"refused: {reason}", markup=False, highlight=False, soft_wrap=True)
    written = f"Written to {where}" if where else "Nothing was written"
    out.print(f"{written}; DynamoDB was only read.", markup=False, highlight=False, soft_wrap=True)
    if account.faults:
        raise BackfillIncomplete("; ".join(account.faults.values()))


class Account:
    """Keeps the parts in memory, and shows how they stand: on a screen all the time, else a line now and then."""

    def __init__(self, parts: dict[str, Part], monotonic: Callable[[], float], err: Console) -> None:
        self._parts = {part.name: part for part in parts.values()}
        self._monotonic = monotonic
        self._err = err
        self._seen: Progress = progress(self.parts, monotonic())
        self._line_at = monotonic()
        self._trouble: str | None = None
        self.faults: dict[str, str] = {}
        self.reasons: list[str] = []

    @property
    def parts(self) -> list[Part]:
        """As they stand, in the order of the loading."""
        return list(self._parts.values())

    def part(self, name: str) -> Part:
        """As it stands."""
        return self._parts[name]

    def progress(self, part: Part) -> None:
        """So far."""
        self._parts[part.name] = part
        if not self._err.is_terminal and self._monotonic() - self._line_at >= LINE_SECONDS:
            self._line_at = self._monotonic()
            self._err.print(progress_view.line(self.look()), markup=False, highlight=False, soft_wrap=True)

    def write(self, part: Part) -> None:
        """Done."""
        self.progress(part)

    def fail(self, part: Part, error: str, *, anew: bool) -> None:
        """Not done; what was read of it was read."""
        del anew
        self._parts[part.name] = msgspec.structs.replace(self._parts[part.name], error=error)

    def keep(self, rejections: Sequence[Rejection]) -> None:
        """Count them, and keep the first reasons; nothing is lost, for nothing is moved."""
        room = REASONS_MAX - len(self.reasons)
        self.reasons += [f"{rejection.change.key}: {rejection.reason}" for rejection in rejections[:room]]

    def trouble(self, message: str | None) -> None:
        """The files cannot be written at the moment, or can again."""
        self._trouble = message
        if message is not None and not self._err.is_terminal:
            self._err.print(f"waiting: {message}", markup=False, highlight=False, soft_wrap=True)

    def look(self) -> Progress:
        """How it stands now."""
        self._seen = progress(self.parts, self._monotonic(), self._seen)
        return self._seen

    def shown(self) -> Any:
        """Shows it while the block runs."""
        if not self._err.is_terminal:
            return nullcontext()
        # Its thread looks; the loading only puts parts, which are never changed in place.
        return Live(
            get_renderable=self._screen, console=self._err, refresh_per_second=REFRESH_PER_SECOND, transient=True
        )

    def _screen(self) -> RenderableType:
        return f"waiting: {self._trouble}" if self._trouble else progress_view.live(self.look())

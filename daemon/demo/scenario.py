"""`moveout demo`: the whole move on this machine, on real parts, with a proof at the end.

The function `_move` is the run book: what a user does, in this order, and what goes wrong on the way.
"""

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from daemon.demo.compare import Comparison
from daemon.demo.screen import Screen, screen, show_status
from daemon.demo.servers.process import ServerFailed, free_port
from daemon.demo.service import DemoFailed, Service, Status, isolate
from daemon.demo.stage import Stage
from daemon.java import jars
from daemon.java.compile import NotCompiled
from daemon.java.jars import JarProgress, JarsUnavailable
from daemon.java.jre import JavaMissing

HEAD_START_SECONDS = 3.0  # the application writes this long before the export
KILL_AT = 0.3  # of the backfill
FIRST_ANSWER_SECONDS = 90.0
EXPORT_SECONDS = 90.0
BACKFILL_SECONDS = 150.0
TAIL_SECONDS = 150.0
ROLLOVER_SECONDS = 90.0
READERS_PERCENT = (10, 50, 100)
READERS_SECONDS = 2.0
WRITERS_TIMEOUT = "60s"
AFTER_SECONDS = 4.0
READY_SECONDS = 180
EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


class Options(NamedTuple):
    """What the user asked for."""

    sink: str
    seed: int
    items: int


class Result(NamedTuple):
    """What the closing table tells."""

    journal: dict[str, Any]
    signal: Status
    comparison: Comparison
    crashes: list[str]
    backfill_seconds: float


class Watch:
    """Sees every status that is read: shows it, and keeps when the backfill began and ended."""

    def __init__(self, show: Screen) -> None:
        self._show = show
        self._began: float | None = None
        self.backfill_seconds = 0.0

    def see(self, status: Status) -> None:
        """Take note of one status."""
        if self._began is None and status["backfill"]["items_total"]:
            self._began = time.monotonic()
        if self._began is not None and not self.backfill_seconds and _loaded(status):
            self.backfill_seconds = time.monotonic() - self._began
        show_status(self._show, status)


class Interrupted(Exception):
    """SIGINT or SIGTERM: everything is to be stopped in order."""


def run_demo(sink: str, seed: int, items: int, keep: bool) -> int:  # noqa: FBT001  the command line's own shape
    """Play the whole move; the exit code: 0 when the signal came and not one item differs."""
    folder = Path(tempfile.mkdtemp(prefix="moveout-demo-"))
    isolate(folder)
    code = EXIT_FAILED
    with screen() as show:
        try:
            with _interruptible():
                code = _play(Options(sink, seed, items), folder, show)
        except (DemoFailed, ServerFailed, JarsUnavailable, JavaMissing, NotCompiled) as error:
            show.say(f"FAILED: {error}")
        except Interrupted:
            show.say("interrupted: everything has been stopped")
            code = EXIT_INTERRUPTED
        if code == EXIT_OK and not keep:
            shutil.rmtree(folder)
        else:
            show.say(f"kept: {folder} (moveout.yaml, service.log, application.log, and a folder per server)")
    return code


def _play(options: Options, folder: Path, show: Screen) -> int:
    with Stage(folder, options.sink) as stage:
        result = _move(stage, options, show)
        with show.phase("stop", "stopping the servers"):
            stage.close()
    _report(options, result, show)
    return EXIT_FAILED if result.comparison.differences else EXIT_OK


def _move(stage: Stage, options: Options, show: Screen) -> Result:
    """The run book."""
    listen = f"127.0.0.1:{free_port()}"
    _prepare(stage, options, listen, show)
    config = stage.configure(None, listen)
    watch = Watch(show)
    service = Service(config, stage.folder / "service.log", listen, watch.see, show.say)
    try:
        crashes = [_crash_in_the_backfill(service, config, show)]
        records = _wait_for_the_tail(service, show)
        crashes.append(_crash(service, f"after {records:,} changes of the tail", show))
        _roll_over(stage, service, records, show)
        with show.phase("catch up", "waiting until the backfill is done: lag has no bound before"):
            service.follow(_loaded, "the backfill to be done", BACKFILL_SECONDS)
            service.follow(_bounded, "a proven lag", TAIL_SECONDS)
        journal, ready = _switch(stage, service, show)
    finally:
        show.say("stopping the service")
        service.stop()
    says = "comparing the target with the source and the application's journal completely, both ways"
    with show.phase("compare", f"{says}, by an independent reader"):
        comparison = stage.compare()
    return Result(journal, ready, comparison, crashes, watch.backfill_seconds)


def _fetch(sink: str, show: Screen) -> None:
    """Have all jars at hand before a server needs them; on all but the first run they are."""

    def fetched(progress: JarProgress) -> None:
        show.bar(name, progress.done, progress.total, progress.coordinate)

    with show.phase("jars", "checking the jars of the JVM parts; missing ones are fetched once, into a cache"):
        for name in ("dynamodb-local", "kcl", *(["cassandra"] if sink == "cassandra" else [])):
            jars.ensure(name, fetched)


def _prepare(stage: Stage, options: Options, listen: str, show: Screen) -> None:
    _fetch(options.sink, show)
    others = "an S3 server and a Cassandra node" if options.sink == "cassandra" else "an S3 server"
    with show.phase("servers", f"starting DynamoDB Local, and beside it {others}"):
        stage.open()
    with show.phase("load", f"loading {options.items:,} items of every DynamoDB type while the others start"):
        stage.load(options.seed, options.items, _bar(show, "load", options.items))
        stage.wait_for_servers()
    pid = stage.start_application(options.seed, options.items, service=f"http://{listen}")
    show.say(f"the application writes to the source from now on, about 200 times a second (process {pid})")
    time.sleep(HEAD_START_SECONDS)


def _crash_in_the_backfill(service: Service, config: Path, show: Screen) -> str:
    """Start the service, kill all of it in the middle of the backfill, start it again."""
    says = f"moveout run --config {config}: checks, notes the stream's position, asks for an export, backfills"
    with show.phase("to the crash", says):
        show.say(f"the service is process {service.start()}")
        service.follow(_answered, "a first answer over HTTP", FIRST_ANSWER_SECONDS)
        service.follow(_exported, "the export to be made, while the stream is followed", EXPORT_SECONDS)
        status = service.follow(_half_way, f"{KILL_AT:.0%} of the backfill", BACKFILL_SECONDS)
    return _crash(service, f"at {_share(status):.0%} of the backfill", show)


def _wait_for_the_tail(service: Service, show: Screen) -> int:
    """Wait until it reads the stream's backlog; how many records so far."""
    says = "waiting for the tail: the KCL's first start takes 30-60 s, as it makes its tables and elects a leader"
    with show.phase("tail starts", says):
        return _records(service.follow(lambda status: _records(status) > 0, "records from the stream", TAIL_SECONDS))


def _crash(service: Service, when: str, show: Screen) -> str:
    count = service.kill()
    show.say(f"kill -9 of the whole service, {count} processes, {when}")
    show.say(f"started again, with the same command (process {service.start()})")
    return f"kill -9 of {count} processes {when}"


def _roll_over(stage: Stage, service: Service, records: int, show: Screen) -> None:
    """Let the tail go on past where it was killed, then end its shard."""
    with show.phase("tail returns", "waiting for the tail: it goes on behind its last checkpoint"):
        status = service.follow(lambda status: _records(status) > records, "more records", TAIL_SECONDS)
    with show.phase("rollover", "forcing a rollover: the open shard ends, its child goes on"):
        stage.roll_over()
        ended = status["tail"]["shards_ended"]
        service.follow(lambda status: status["tail"]["shards_ended"] > ended, "an ended shard", ROLLOVER_SECONDS)


def _switch(stage: Stage, service: Service, show: Screen) -> tuple[dict[str, Any], Status]:
    """Readers first, then the writers, under a live application; what it wrote and read, and the signal."""
    with show.phase("signal", f"moveout wait --for ready-readers --timeout {READY_SECONDS}"):
        ready = service.wait_ready(READY_SECONDS)
    show.say(f"SIGNAL: switch readers (epoch {ready['epoch']}, since {ready['ready']['since']}): {ready['message']}")
    with show.phase("readers", "the readers follow the flag demo.reads over OFREP: 10, 50, 100 percent of them"):
        for percent in READERS_PERCENT:
            show.say(service.ask("cutover", "readers", "--percent", str(percent)))
            time.sleep(READERS_SECONDS)
    with show.phase("writers", "moveout cutover writers: fence, drain, verify, freeze, commit"):
        show.say(service.ask("cutover", "writers", "--no-reverse", "--timeout", WRITERS_TIMEOUT))
    with show.phase("after", "the application goes on at the target, and has not been told by anyone but the signal"):
        time.sleep(AFTER_SECONDS)
        journal = stage.stop_application()
    writes = {kind: count for kind, count in journal.items() if isinstance(count, int)}
    show.say(f"the application made {journal['writes']:,} writes: {_kinds(writes)}")
    show.say(f"it could not write for {journal['fence_seconds']} s; its readers were sent to {journal['reads']}")
    if not any(kind.startswith("target ") for kind in journal):
        raise DemoFailed(f"the application was to write to the target after the switch, and did not: {journal}")
    return journal, ready


def _answered(_: Status) -> bool:
    return True


def _exported(status: Status) -> bool:
    return bool(status["backfill"]["items_total"])


def _records(status: Status) -> int:
    return int(status["tail"]["records"])


def _half_way(status: Status) -> bool:
    return _share(status) >= KILL_AT


def _share(status: Status) -> float:
    backfill = status["backfill"]
    return float(backfill["items_done"] / backfill["items_total"]) if backfill["items_total"] else 0.0


def _loaded(status: Status) -> bool:
    backfill = status["backfill"]
    return bool(0 < backfill["parts_total"] == backfill["parts_done"])


def _bounded(status: Status) -> bool:
    return status["lag"]["seconds"] is not None


def _bar(show: Screen, name: str, total: int) -> Callable[[int], None]:
    began = time.monotonic()

    def moved(done: int) -> None:
        per_second = done / max(time.monotonic() - began, 0.001)
        eta = f", ETA {(total - done) / per_second:.0f} s" if 0 < done < total else ""
        show.bar(name, done, total, f"{per_second:,.0f} items/s{eta}")

    return moved


def _kinds(journal: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in journal.items() if kind != "writes")


def _report(options: Options, result: Result, show: Screen) -> None:
    compared, tail, backfill = result.comparison, result.signal["tail"], result.signal["backfill"]
    rows = [
        ("items expected", f"{compared.source_items:,}: the source's, and the writes behind the switch over them"),
        (f"items in the target ({options.sink})", f"{compared.target_items:,}"),
        ("backfill", _backfill_row(backfill["items_total"], result.backfill_seconds)),
        ("changes", f"{result.journal['writes']:,} writes, {tail['records']:,} stream records read"),
        ("lag at the signal", f"{result.signal['lag']['seconds']} s, proven by {result.signal['lag']['proof']}"),
        ("readers", ", ".join(f"{count:,} sent to the {side}" for side, count in result.journal["reads"].items())),
        ("write fence", f"{result.journal['fence_seconds']} s without a write, by the application's own clock"),
        ("shards", f"{tail['shards_ended']} ended, {tail['shards_open']} open"),
        ("restarts", "; ".join(result.crashes)),
        ("differences", ", ".join(f"{count:,} {kind}" for kind, count in compared.counts.items())),
        ("seconds", ", ".join(f"{name} {seconds:.0f}" for name, seconds in show.seconds.items())),
        ("in all", f"{show.elapsed_seconds:.0f} s, seed {options.seed}"),
    ]
    show.table("The move", rows)
    for kind, samples in compared.samples.items():
        for sample in samples:
            show.say(f"{kind}: {sample.key}: {sample.detail}")
    show.say("FAILED: source and target differ" if compared.differences else "no difference: the move is complete")


def _backfill_row(items: int, seconds: float) -> str:
    rate = items / max(seconds, 0.1)
    return f"{items:,} rows in {seconds:.0f} s, crashes included: {rate:,.0f} rows/s"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into an exception once, so that everything is stopped in order and stays stopped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave servers behind
        raise Interrupted

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's: a test that runs the demo in another has its own way out
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

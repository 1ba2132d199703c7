import json
import re
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from served import published
from served import served as one_served

from daemon import waiting
from daemon.awaited import Options, awaited
from daemon.phase import Phase
from daemon.report import render
from daemon.routes import Routes
from daemon.server import ListenFailed, serving
from daemon.signal import file
from daemon.signal.document import VALID_SECONDS, Document, Paused, Verification

READY = awaited("ready-readers", Options(), 0)


@pytest.fixture
def served():
    with one_served() as made:
        yield made


def test_readers_may_switch_is_200_and_not_yet_is_503_with_the_same_document(served):
    served.document = published(ready=True)
    assert served.get("/v1/ready/readers")[0] == 200
    served.document = published(ready=False)
    status, body = served.get("/v1/ready/readers")
    assert (status, json.loads(body)["phase"]) == (503, "replicating")


def test_an_old_document_is_no_consent(served):
    served.document = published(ready=True, now=time.time() - VALID_SECONDS - 1)
    assert served.get("/v1/ready/readers")[0] == 503


def test_before_anything_is_known_nothing_is_promised(served):
    assert served.get("/v1/ready/readers")[0] == 503
    assert served.get("/v1/migration")[0] == 503


def test_readyz_tells_why_the_data_path_does_not_work(served):
    assert served.get("/readyz")[0] == 200
    served.why_not = "the KCL is not running (last exit code 1)"
    assert served.get("/readyz") == (503, "the KCL is not running (last exit code 1)\n")


def test_livez_fails_when_the_loop_stands_still(served):
    assert served.get("/livez")[0] == 200
    served.looped_at = time.monotonic() - 3600
    assert served.get("/livez")[0] == 503


def test_metrics_tell_lag_phase_conditions_and_restarts(served):
    served.document = published()
    _, text = served.get("/metrics")
    for line in (
        'moveout_lag_seconds{migration="orders",table="customers"} 1.0',
        'moveout_ready{kind="readers",migration="orders",table="customers"} 1.0',
        'moveout_phase{migration="orders",phase="replicating",table="customers"} 1.0',
        'moveout_condition{condition="CaughtUp",migration="orders",table="customers"} 1.0',
        'moveout_process_restarts_total{process="kcl"} 3.0',
        'moveout_stream_records_total{migration="orders",table="customers"} 10.0',
    ):
        assert line in text


def samples(served, name):
    _, text = served.get("/metrics")
    told = re.findall(rf"^{name}\{{([^}}]*)\}} (\S+)$", text, re.MULTILINE)
    return {tuple(re.findall(r'"([^"]*)"', labels)): float(value) for labels, value in told}


@pytest.mark.parametrize(
    ("routes", "used"),
    [
        (Routes(), {("reads", "source"), ("writes", "source")}),
        (Routes(40), {("reads", "source"), ("reads", "target"), ("writes", "source")}),
        (Routes(100, writes_fenced=True), {("reads", "target"), ("writes", "fenced")}),
        (Routes(100, "target"), {("reads", "target"), ("writes", "target")}),
    ],
)
def test_metrics_tell_each_route_and_who_may_switch(served, routes, used):
    served.document = published(routes=routes, writers=True, epoch=4)
    told = samples(served, "moveout_route")
    assert {(kind, to) for (kind, _, _, to), value in told.items() if value} == used
    assert len(told) == 5
    assert samples(served, "moveout_reads_target_percent") == {("orders", "customers"): routes.reads_percent}
    assert samples(served, "moveout_epoch") == {("orders", "customers"): 4}
    assert samples(served, "moveout_ready") == {(who, "orders", "customers"): 1.0 for who in ("readers", "writers")}


def test_metrics_tell_every_phase_and_which_one_holds(served):
    for phase in Phase:
        served.document = published(phase=phase)
        told = samples(served, "moveout_phase")
        assert {name for (_, name, _), value in told.items() if value} == {phase.value}
        assert len(told) == len(Phase)


def test_metrics_tell_of_a_verification_once_there_is_one(served):
    served.document = published()
    assert samples(served, "moveout_verification_differences") == {}
    served.document = published(verification=Verification(2, "running", 50, 90, {"missing": 1, "stale": 0}, open=3))
    kinds = {kind: value for (kind, _, _), value in samples(served, "moveout_verification_differences").items()}
    assert kinds == {"missing": 1, "stale": 0}
    (compared,) = samples(served, "moveout_verification_compared").values()
    (still_open,) = samples(served, "moveout_verification_open").values()
    (bound,) = samples(served, "moveout_verification_upper_bound").values()
    assert (compared, still_open, bound) == (50, 3, 1)


def test_a_pause_is_told_with_what_is_left_in_document_metrics_and_status(served):
    served.document = published(paused=Paused(backfill=False, tail=True, trims_in_seconds=5400.0))
    _, text = served.get("/metrics")
    assert 'moveout_paused{migration="orders",part="tail",table="customers"} 1.0' in text
    assert 'moveout_paused{migration="orders",part="backfill",table="customers"} 0.0' in text
    assert 'moveout_stream_trims_in_seconds{migration="orders",table="customers"} 5400.0' in text
    document = json.loads(served.get("/v1/migration")[1])
    assert document["paused"] == {"backfill": False, "tail": True, "trims_in_seconds": 5400.0, "tail_waits": False}
    assert "the tail is paused: `moveout resume` goes on" in document["message"]
    with (console := Console(width=200)).capture() as shown:
        console.print(render(served.document))
    assert "forgets what is not applied in 1.5 h" in shown.get()
    assert "tail, by `moveout pause`" in shown.get()


def test_a_document_of_before_there_were_pauses_is_still_read():
    old = json.loads(msgspec.json.encode(published()))
    del old["paused"]
    assert msgspec.json.decode(json.dumps(old), type=Document).paused == Paused()


def test_lag_without_a_bound_is_infinite_in_metrics_and_null_in_json(served):
    served.document = published(phase=Phase.BACKFILLING, ready=False)
    assert 'moveout_lag_seconds{migration="orders",table="customers"} +Inf' in served.get("/metrics")[1]
    assert json.loads(served.get("/v1/migration")[1])["lag"]["seconds"] is None


def test_an_address_in_use_is_refused_with_the_option_to_change(served):
    with pytest.raises(ListenFailed, match=r"server\.listen"), serving(served.view, "127.0.0.1", served.port):
        pass


def test_waiting_ends_with_the_document_when_it_holds(served):
    served.document = published(ready=True)
    outcome = waiting.wait(served.url, READY, 5, lambda _: None)
    assert (outcome.code, outcome.document.migration) == (0, "orders")


def test_waiting_says_what_is_missing_and_ends_at_its_time(served):
    served.document, said = published(ready=False), []
    outcome = waiting.wait(served.url, READY, 1, said.append)
    assert (outcome.code, said[0]) == (4, "replicating: all is well")


def test_waiting_for_what_can_never_come_ends_at_once(served):
    served.document = published(ready=False, phase=Phase.NEEDS_RESYNC)
    assert waiting.wait(served.url, READY, 0, lambda _: None).code == 5


def test_waiting_for_a_service_that_stays_away_ends_and_says_so():
    clock = iter(range(0, 10_000, 10))
    outcome = waiting.wait("http://127.0.0.1:9", READY, 0, lambda _: None, lambda: next(clock), lambda _: None)
    assert (outcome.code, "moveout run" in outcome.message) == (6, True)


def test_the_signal_file_is_the_document_and_is_never_half_written(tmp_path):
    path = tmp_path / "deep" / "signal.json"
    file.publish(path, published())
    assert msgspec.json.decode(path.read_bytes(), type=Document).ready.readers
    assert [p.name for p in path.parent.iterdir()] == ["signal.json"]
    assert Path(path).read_text().endswith("\n")

"""What `moveout wait` takes for reached, for never, and for away; and how it asks."""

import time

import msgspec
import pytest
from served import published, several
from served import served as one_served
from typer.testing import CliRunner

from daemon.awaited import Options, awaited, instant
from daemon.cli import app
from daemon.phase import Phase
from daemon.signal.document import VALID_SECONDS, Verification, iso
from daemon.waiting import AWAY_SECONDS_MAX, NEVER, REACHED, TIMEOUT, UNREACHABLE, Answer, wait

NOW = 1_700_000_000.0
NONE = Options()


class Service:
    """Answers with one document after the other; the last one for ever. Remembers what it was asked."""

    def __init__(self, *documents, holds=False):
        self._documents, self._holds = list(documents), holds
        self.asked = []

    def __call__(self, hold_seconds, known):
        self.asked.append((hold_seconds, known))
        document = self._documents.pop(0) if len(self._documents) > 1 else self._documents[0]
        return document if isinstance(document, str) else Answer(document, "7" if self._holds else None)


def waited(text, *documents, options=NONE, timeout=5, holds=False, began=NOW):
    """How it ends, and what the service was asked. A second passes whenever the time is looked at."""
    clock, service = iter(range(100_000)), Service(*documents, holds=holds)
    outcome = wait(
        "http://h",
        awaited(text, options, began),
        timeout,
        lambda _: None,
        now=lambda: next(clock),
        sleep=lambda _: None,
        ask=service,
        clock=lambda: NOW,
    )
    return outcome, service


def made(**about):
    return published(now=NOW, **about)


def verified(state="finished", open_=0, unwatched_=0, **differences):
    found = {"missing": 0, "extra": 0, "stale": 0, "changed": 0, **differences}
    return made(verification=Verification(4, state, 3000, 3000, found, open_, unwatched_, upper_bound=0.001))


def proof(kind, **about):
    document = made(**about)
    return msgspec.structs.replace(document, lag=msgspec.structs.replace(document.lag, proof=kind))


def drained_to(epoch_seconds, letters=0, phase=Phase.REPLICATING):
    document = made(phase=phase)
    lag = msgspec.structs.replace(document.lag, applied_through=iso(epoch_seconds), seconds=1.0)
    counts = msgspec.structs.replace(document.dead_letters, open=letters)
    return msgspec.structs.replace(document, lag=lag, dead_letters=counts)


@pytest.mark.parametrize(
    ("text", "document", "code"),
    [
        ("ready-readers", made(), REACHED),
        ("ready-readers", made(ready=False, phase=Phase.BACKFILLING), TIMEOUT),
        ("ready-readers", made(ready=False, phase=Phase.NEEDS_RESYNC), NEVER),
        ("ready-readers", made(ready=False, phase=Phase.LOADED), NEVER),
        ("ready-readers", made(ready=False, phase=Phase.ABORTED), NEVER),
        ("ready-readers", made(ready=False, phase=Phase.SWITCHED), NEVER),
        ("ready-readers", made(ready=True, phase=Phase.SWITCHED), REACHED),
        ("ready-readers", made(ready=False, phase=Phase.SWITCHING), TIMEOUT),
        ("ready-writers", made(ready=True), TIMEOUT),
        ("ready-writers", made(writers=True), REACHED),
        ("ready-writers", made(phase=Phase.SWITCHED), NEVER),
        ("phase=needs-resync", made(ready=False, phase=Phase.NEEDS_RESYNC), REACHED),
        ("phase=loaded", made(ready=False, phase=Phase.LOADED), REACHED),
        ("phase=replicating", made(ready=False, phase=Phase.LOADED), NEVER),
        ("phase=replicating", made(ready=False, phase=Phase.ABORTED), NEVER),
        ("phase=backfilling", made(phase=Phase.REPLICATING), NEVER),  # it is passed
        ("phase=replicating", made(ready=False, phase=Phase.BACKFILLING), TIMEOUT),
        ("phase=replicating", made(ready=False, phase=Phase.SWITCHING), TIMEOUT),  # a switch that fails comes back
        ("phase=replicating", made(ready=False, phase=Phase.SWITCHED), NEVER),
        ("phase=writers-switched", made(phase=Phase.SWITCHED), REACHED),
        ("phase=aborted", made(phase=Phase.SWITCHED), NEVER),
        ("verified", made(), TIMEOUT),
        ("verified", verified("running"), TIMEOUT),
        ("verified", verified(), REACHED),
        ("verified", verified(missing=1), NEVER),
        ("verified", verified(open_=1), REACHED),  # a busy counter: settled at the fence
        ("verified", verified(open_=1, unwatched_=1), NEVER),
        ("verified", verified("running", missing=1), TIMEOUT),
        ("verified", verified("failed"), NEVER),
        ("verified", made(ready=False, phase=Phase.ABORTED), NEVER),
        ("drained", made(phase=Phase.NEEDS_RESYNC), NEVER),
    ],
)
def test_what_holds_is_reached_and_what_can_hold_no_more_is_not_waited_for(text, document, code):
    outcome, _ = waited(text, document)
    assert outcome.code == code, outcome.message


@pytest.mark.parametrize("text", ["ready-readers", "verified", "drained", "phase=replicating"])
def test_an_expired_document_holds_nothing(text):
    document = msgspec.structs.replace(drained_to(NOW + 10), verification=verified().verification)
    assert waited(text, document)[0].code == REACHED
    old = msgspec.structs.replace(document.ready, valid_until=iso(NOW - 1))
    assert waited(text, msgspec.structs.replace(document, ready=old))[0].code == TIMEOUT


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (drained_to(NOW - 0.1), TIMEOUT),
        (drained_to(NOW), REACHED),
        (drained_to(NOW, letters=1), TIMEOUT),  # refused, and not durable anywhere
        (made(ready=False, phase=Phase.BACKFILLING), TIMEOUT),
        (drained_to(NOW, phase=Phase.SWITCHED), REACHED),
        (drained_to(NOW - 1, phase=Phase.SWITCHED), NEVER),  # nothing is applied any more
    ],
)
def test_drained_is_every_write_of_before_the_command(document, code):
    assert waited("drained", document)[0].code == code


def test_drained_goes_by_the_later_of_two_clocks():
    # Ours is an hour late: what the service has just published is not from before the command.
    assert waited("drained", drained_to(NOW - 60), began=NOW - 3600)[0].code == TIMEOUT
    assert waited("drained", drained_to(NOW), began=NOW - 3600)[0].code == REACHED


def test_drained_as_of_an_instant_that_was_named():
    named = Options(since=instant("2023-11-14T22:13:00Z"))
    assert waited("drained", drained_to(named.since - 1), options=named)[0].code == TIMEOUT
    outcome, _ = waited("drained", drained_to(named.since + 1), options=named)
    assert (outcome.code, "before 2023-11-14T22:13:00.000+00:00" in outcome.message) == (REACHED, True)


def test_drained_refuses_what_is_not_proven_unless_told_otherwise():
    quiet = msgspec.structs.replace(drained_to(NOW), lag=msgspec.structs.replace(drained_to(NOW).lag, proof="quiet"))
    refused, _ = waited("drained", quiet)
    assert (refused.code, "--allow-unproven" in refused.message) == (NEVER, True)
    taken, _ = waited("drained", quiet, options=Options(allow_unproven=True))
    assert (taken.code, "nothing proves it" in taken.message) == (REACHED, True)
    assert waited("drained", proof("seal", lag=-1))[0].code == REACHED


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(max_lag_seconds=1), REACHED),
        (Options(max_lag_seconds=0.5), TIMEOUT),
        (Options(stable_for_seconds=5), REACHED),
        (Options(stable_for_seconds=60), TIMEOUT),
    ],
)
def test_more_can_be_asked_for_than_the_service_decided(options, code):
    assert waited("ready-readers", made(lag=1.0), options=options)[0].code == code


def test_of_several_tables_all_are_waited_for():
    done = verified().verification
    half = several(made(table="a", verification=done), made(table="b"))
    assert waited("ready-readers", several(made(table="a"), made(table="b", ready=False)))[0].code == TIMEOUT
    assert waited("verified", half)[0].code == TIMEOUT  # the other's is still to begin
    assert waited("verified", several(*[made(table=t, verification=done) for t in "ab"]))[0].code == REACHED


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("ready-raeders", Options(), "known are ready-readers"),
        ("phase=done", Options(), "phase=loaded"),
        ("drained", Options(max_lag_seconds=1), "--max-lag and --stable-for go with"),
        ("verified", Options(since=1.0), "--since"),
        ("ready-readers", Options(allow_unproven=True), "--allow-unproven"),
    ],
)
def test_what_is_waited_for_must_be_known(text, options, told):
    with pytest.raises(ValueError, match=told):
        awaited(text, options, NOW)


@pytest.mark.parametrize("text", ["yesterday", "2026-01-31T12:00:00", "2026-01-31", ""])
def test_an_instant_names_its_offset(text):
    with pytest.raises(ValueError, match="2026-01-31T12:00:00Z"):
        instant(text)


def test_a_service_that_comes_back_is_waited_for_and_one_that_stays_away_is_told():
    back, _ = waited("ready-readers", "refused", "refused", made(), timeout=0)
    assert back.code == REACHED
    away, service = waited("ready-readers", made(ready=False), "refused", timeout=0)
    assert (away.code, "moveout run" in away.message, away.document.migration) == (UNREACHABLE, True, "orders")
    assert len(service.asked) < AWAY_SECONDS_MAX


def test_a_decision_is_waited_for_in_the_service_and_a_figure_is_asked_for():
    _, service = waited("ready-readers", made(ready=False), timeout=100, holds=True)
    assert service.asked[:2] == [(5.0, None), (5.0, "7")]
    assert all(hold <= 5 for hold, _ in service.asked)
    _, service = waited("drained", drained_to(NOW - 9), timeout=100, holds=True)
    assert {hold for hold, _ in service.asked} <= {0.0, 1.0}


def test_it_asks_for_no_longer_than_its_own_time_is():
    _, service = waited("ready-readers", made(ready=False), timeout=4, holds=True)
    assert max(hold for hold, _ in service.asked) < 4


CONFIG = """
migration: orders
source: {table: customers, region: eu-west-1}
backfill: {from: scan}
dead_letters: {to: FOLDER/letters}
target: {kind: dynamodb, table: moved, region: us-east-1}
"""


@pytest.fixture
def command(tmp_path):
    path = tmp_path / "moveout.yaml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)))

    def run(*options):
        return CliRunner().invoke(app, ["wait", "--config", str(path), *options])

    return run


def test_the_command_gives_the_document_to_machines_and_its_exit_code(command):
    with one_served() as served:
        served.document = published()
        reached = command("--url", served.url, "--output", "json", "--max-lag", "1m", "--stable-for", "1")
        assert (reached.exit_code, msgspec.json.decode(reached.stdout)["phase"]) == (0, "replicating")
        served.document = published(ready=False)
        late = command("--url", served.url, "--timeout", "500ms")
        assert (late.exit_code, late.stdout) == (4, "")
        assert "all is well" in late.stderr
        served.document = published(ready=False, phase=Phase.ABORTED)
        assert command("--url", served.url).exit_code == 5


def test_the_command_hears_of_a_change_from_the_service_that_holds_its_answer(command):
    import threading

    with one_served() as served:
        served.document = published(ready=False)

        def switch():
            time.sleep(0.5)
            served.document = published(ready=True)

        (thread := threading.Thread(target=switch)).start()
        assert command("--url", served.url).exit_code == 0
        thread.join()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--for", "nothing"], "known are"),
        (["--timeout", "soon"], "--timeout is a duration"),
        (["--max-lag", "2 s"], "--max-lag is a duration"),
        (["--for", "drained", "--since", "now"], "an instant is written like"),
    ],
)
def test_what_the_command_does_not_understand_is_usage(command, options, told):
    refused = command(*options)
    assert refused.exit_code == 2
    assert told in refused.stderr


def test_the_time_that_a_document_is_good_for_is_longer_than_an_answer_is_held():
    from daemon.waiting import HOLD_SECONDS

    assert 2 * HOLD_SECONDS < VALID_SECONDS

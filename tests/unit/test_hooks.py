"""Hooks: real programs and a web server that fail, are late, answer wrongly; who may say no; what is never told."""

import json
import os
import threading
import time
from types import SimpleNamespace

import documents
import msgspec
import pytest
import yaml
from pydantic import ValidationError
from receiver import Receiver, Reply, verified
from structlog.testing import capture_logs

from daemon.config import Config, ConfigurationError, load
from daemon.sections import Hook
from daemon.signal import events, webhook
from daemon.signal.hooks import deliver, title, vetoes
from daemon.switching import Step

SECRET = b"a-secret-that-nobody-may-read"
EVENT = events.before("orders", 3, events.ROUTE_READERS, "25", 1000.0, documents.published(epoch=3))


def program(tmp_path, script, name="hook"):
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def web(url, **options):
    return Hook(on=["route"], webhook={"url": url, **options})


def known(*hooks):
    return SimpleNamespace(config=SimpleNamespace(hooks=hooks))


# Programs.


def test_a_program_gets_the_event_on_stdin_its_type_as_argument_and_in_short_in_its_environment(tmp_path):
    script = f'cat > {tmp_path}/stdin; echo "$1 $2" > {tmp_path}/arguments; env > {tmp_path}/env'
    assert deliver(Hook(on=["route"], exec=[program(tmp_path, script), "mine"]), EVENT) is None
    assert json.loads((tmp_path / "stdin").read_text()) == json.loads(events.encoded(EVENT))
    assert (tmp_path / "arguments").read_text() == "mine moveout.route.readers\n"
    assert "MOVEOUT_EVENT_ID=orders/3/moveout.route.readers/25/before\n" in (tmp_path / "env").read_text()


def test_a_program_that_fails_says_why_on_its_first_line(tmp_path):
    path = program(tmp_path, "echo; echo 'the   cache is \033[31mcold' >&2; echo more; exit 3")
    assert deliver(Hook(on=["route"], exec=[path]), EVENT) == "the   cache is [31mcold"


def test_a_program_that_fails_and_says_nothing_has_its_code_told(tmp_path):
    assert deliver(Hook(on=["route"], exec=[program(tmp_path, "exit 3")]), EVENT) == "it ends with exit code 3"


def test_a_late_program_is_killed_with_all_that_it_has_started(tmp_path):
    script = f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait"
    hook = Hook(on=["route"], exec=[program(tmp_path, script)], timeout_seconds=3)
    assert "within 3 s, and was killed" in deliver(hook, EVENT)
    for name in ("self", "child"):
        assert gone(int((tmp_path / name).read_text()))


def gone(pid):
    """True once it has ended; a child whose parent was killed is reaped by somebody else, in a moment."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_a_program_that_talks_without_end_costs_no_memory_and_is_heard_at_its_begin(tmp_path):
    with capture_logs() as logs:
        hook = Hook(on=["route"], exec=[program(tmp_path, "echo first; head -c 50000000 /dev/zero; exit 1")])
        assert deliver(hook, EVENT) == "first"
    assert [len(entry["output"]) for entry in logs] == [4096]


def test_a_program_that_leaves_somebody_behind_is_not_waited_for(tmp_path):
    script = f"sleep 600 & echo $! > {tmp_path}/child; exit 0"
    assert deliver(Hook(on=["route"], exec=[program(tmp_path, script)]), EVENT) is None
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_a_program_that_reads_nothing_of_a_large_event_blocks_nobody(tmp_path):
    large = msgspec.structs.replace(EVENT, data=msgspec.Raw(b'"' + b"x" * 1_000_000 + b'"'))
    assert deliver(Hook(on=["route"], exec=[program(tmp_path, "exit 0")]), large) is None


def test_a_program_that_is_missing_is_a_failure_and_no_crash(tmp_path):
    assert "cannot be run: No such file" in deliver(Hook(on=["route"], exec=[str(tmp_path / "absent")]), EVENT)


# Web servers.


def test_a_web_server_gets_a_cloud_event_that_is_signed(tmp_path):
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    with Receiver(Reply(200)) as receiver:
        assert deliver(web(receiver.url, secret_file=tmp_path / "secret"), EVENT) is None
        (request,) = receiver.requests
    assert request.headers["Content-Type"] == "application/cloudevents+json"
    assert abs(verified(SECRET, request) - time.time()) < 3600
    assert verified(b"another", request) is None
    assert verified(SECRET, request._replace(body=request.body + b" ")) is None
    told = request.event
    assert documents.decoded(json.dumps(told.pop("data"))) == documents.published(epoch=3)
    assert told == {
        "specversion": "1.0",
        "id": "orders/3/moveout.route.readers/25/before",
        "source": "/moveout/orders",
        "type": "moveout.route.readers",
        "subject": "25",
        "time": "1970-01-01T00:16:40.000Z",
        "datacontenttype": "application/json",
        "moveoutpre": True,
    }


def test_without_a_secret_nothing_is_signed():
    with Receiver() as receiver:
        assert deliver(web(receiver.url), EVENT) is None
        assert "X-Moveout-Signature" not in receiver.requests[0].headers


def test_an_answer_that_is_not_2xx_is_none_and_its_first_line_says_why():
    with Receiver(Reply(409, "the cache is cold\nmore")) as receiver:
        assert deliver(web(receiver.url), EVENT) == "the cache is cold"
    with Receiver(Reply(500)) as receiver:
        assert deliver(web(receiver.url), EVENT) == "it answers 500"


def test_a_redirect_is_no_consent_and_is_not_followed():
    with Receiver(Reply(200)) as elsewhere, Receiver(Reply(302, location=elsewhere.url)) as receiver:
        assert deliver(web(receiver.url), EVENT) == "it answers 302"
        assert elsewhere.requests == []


def test_a_web_server_that_answers_too_late_has_not_answered():
    hold = threading.Event()
    with Receiver(Reply(200, hold=hold)) as receiver:
        assert "has not answered within 0.3 s" in deliver(web(receiver.url, timeout_seconds=0.3), EVENT)
        hold.set()


def test_a_web_server_that_answers_a_byte_at_a_time_is_late_as_well():
    with Receiver(Reply(200, slowly=True)) as receiver:
        assert "has not answered within 0.5 s" in deliver(web(receiver.url, timeout_seconds=0.5), EVENT)


def test_a_web_server_that_hangs_up_or_is_not_there_has_not_answered():
    with Receiver(Reply(drop=True)) as receiver:
        assert "cannot be asked" in deliver(web(receiver.url), EVENT)
        url = receiver.url
    assert "cannot be asked: Connection refused" in deliver(web(url), EVENT)


@pytest.mark.parametrize("given", [{"secret_file": "/nowhere/secret"}, {"secret_env": "NO_SUCH_SECRET"}])
def test_a_secret_that_is_missing_is_told_and_nothing_is_sent_unsigned(given):
    with Receiver() as receiver:
        why = deliver(web(receiver.url, **given), EVENT)
        assert "secret_file /nowhere/secret" in why or "NO_SUCH_SECRET is empty" in why
        assert receiver.requests == []


def test_the_lock_of_a_fence_can_ask_by_itself():
    with Receiver(Reply(200, "locked")) as receiver:
        answer = webhook.post(receiver.url, b'{"lock": true}', SECRET, 5.0)
        assert (answer.good, answer.text) == (True, "locked")
        assert verified(SECRET, receiver.requests[0]) is not None
        assert receiver.requests[0].headers["Content-Type"] == "application/json"


# Who may say no.


def pre(tmp_path, script, *on):
    return Hook(on=on or ("route",), pre=True, exec=[program(tmp_path, script, f"pre-{time.monotonic_ns()}")])


def test_a_pre_hook_vetoes_with_its_reason(tmp_path):
    no = vetoes(known(pre(tmp_path, "exit 0"), pre(tmp_path, "echo 'sale until noon'; exit 1")), EVENT)
    assert no.startswith("hooks.1 (")
    assert no.endswith("vetoes moveout.route.readers 25: sale until noon")


def test_when_all_agree_there_is_no_veto(tmp_path):
    with Receiver(Reply(200, "fine")) as receiver:
        agreed = Hook(on=["route"], pre=True, webhook={"url": receiver.url})
        assert vetoes(known(pre(tmp_path, "exit 0"), agreed), EVENT) is None
        assert len(receiver.requests) == 1


def test_no_answer_in_time_is_a_veto():
    hold = threading.Event()
    with Receiver(Reply(200, hold=hold)) as receiver:
        late = Hook(on=["route"], pre=True, webhook={"url": receiver.url, "timeout_seconds": 0.2})
        assert "has not answered" in vetoes(known(late), EVENT)
        hold.set()


def test_only_pre_hooks_of_that_kind_are_asked(tmp_path):
    told_later = Hook(on=["route"], exec=[program(tmp_path, "exit 1")])
    other_kind = pre(tmp_path, "exit 1", "switch")
    assert vetoes(known(told_later, other_kind), EVENT) is None
    step = events.before("orders", 3, events.switch_type(Step.COMMIT), "cut-1", 1000.0)
    assert "vetoes moveout.switch.commit cut-1" in vetoes(known(told_later, other_kind), step)


# The configuration.


def moveout_yaml(tmp_path, hooks):
    path = tmp_path / "moveout.yaml"
    base = {"migration": "orders", "mode": "tail", "source": {"table": "orders", "region": "eu-west-1"}}
    target = {"kind": "dynamodb", "table": "moved", "region": "eu-west-1"}
    path.write_text(yaml.safe_dump({**base, "target": target, "dead_letters": {"to": "/letters"}}) + hooks)
    return path


def test_the_bare_word_on_is_a_name_though_yaml_reads_a_truth_value(tmp_path):
    found = load(moveout_yaml(tmp_path, "hooks:\n  - on: [phase, route]\n    exec: [/bin/true]\n"))
    assert found.hooks[0].on == ("phase", "route")


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        ({"on": ["phase"]}, "exec or webhook"),
        ({"on": ["phase"], "exec": ["/x"], "webhook": {"url": "http://a"}}, "exec or webhook"),
        ({"on": ["phase"], "pre": True, "exec": ["/x"]}, "observed, not decided"),
        ({"on": [], "exec": ["/x"]}, "at least 1 item"),
        ({"on": ["lag"], "exec": ["/x"]}, "'phase', 'ready', 'route' or 'switch'"),
        ({"on": ["route"], "webhook": {"url": "http://a"}, "attempts": 3}, "inside of `webhook`"),
        ({"on": ["route"], "webhook": {"url": "http://a", "secret_env": "A", "secret_file": "/a"}}, "not both"),
    ],
)
def test_a_hook_that_cannot_work_is_refused_at_the_start(hook, why):
    with pytest.raises(ValidationError, match=why):
        Hook(**hook)


def test_the_key_of_an_item_may_not_be_one_of_our_attributes(tmp_path):
    with pytest.raises(ConfigurationError, match="'epoch' is one of those that moveout writes"):
        load(moveout_yaml(tmp_path, "signal: {dynamodb_item: {table: settings, key: {epoch: 1}}}\n"))


# Secrets.

HIDDEN = "https://user:pass-word@hooks.example:8443/services/T0/secret-path?token=secret-query"


def test_no_secret_stands_in_a_configuration_that_is_shown_in_a_title_or_in_a_fault(tmp_path):
    config: Config = load(moveout_yaml(tmp_path, f"hooks:\n  - on: [route]\n    webhook: {{url: '{HIDDEN}'}}\n"))
    shown = [repr(config), str(config), repr(config.hooks[0]), title(0, config.hooks[0])]
    with pytest.raises(ConfigurationError) as refused:
        load(moveout_yaml(tmp_path, f"hooks:\n  - on: [route]\n    webhook: {{url: 'x{HIDDEN}'}}\n"))
    for text in (*shown, str(refused.value)):
        assert not [one for one in ("pass-word", "secret-path", "secret-query") if one in text], text
    assert title(0, config.hooks[0]) == "hooks.0 (https://hooks.example:8443)"


def test_no_secret_stands_in_a_log_or_a_veto_whatever_goes_wrong(tmp_path):
    (tmp_path / "secret").write_bytes(SECRET)
    with Receiver(Reply(500), Reply(drop=True), Reply(204)) as receiver, capture_logs() as logs:
        address = receiver.url.replace("/hook", "/secret-path?token=secret-query")
        asked = Hook(on=["route"], pre=True, webhook={"url": address, "secret_file": tmp_path / "secret"})
        said = [vetoes(known(asked), EVENT) for _ in range(3)]
    said += [vetoes(known(asked), EVENT)]  # nobody listens any more
    assert [bool(one) for one in said] == [True, True, False, True]
    for hidden in (SECRET.decode(), "secret-path", "secret-query"):
        assert hidden not in repr(logs) + repr(said)

"""The fences: idempotent, theirs is theirs, and what they answer is told."""

import hmac
import json
from http.server import BaseHTTPRequestHandler

import pytest
from botocore.exceptions import ClientError

from daemon.demo.servers.loopback import serving
from daemon.fence import Attempt, FenceFailed
from daemon.fence.resource_policy import NO_POLICY, SID, ResourcePolicyFence
from daemon.fence.webhook import Webhook
from daemon.sections import LockWebhook

ATTEMPT = Attempt("x", 4)
ROLE = "arn:aws:iam::111111111111:role/moveout"


class Policies:
    """As much of boto3's client as a resource policy asks for. DynamoDB Local has no such calls."""

    def __init__(self, policy=None):
        self.policy, self.revision, self.writes = policy, 1, 0

    def describe_table(self, *, TableName):  # noqa: N803  boto3's names
        return {"Table": {"TableArn": f"arn:aws:dynamodb:r:1:table/{TableName}"}}

    def get_resource_policy(self, *, ResourceArn):  # noqa: N803, ARG002
        if self.policy is None:
            raise refused()
        return {"Policy": json.dumps(self.policy), "RevisionId": str(self.revision)}

    def put_resource_policy(self, *, ResourceArn, Policy, ExpectedRevisionId):  # noqa: N803, ARG002
        self._expected(ExpectedRevisionId)
        self.policy = json.loads(Policy)

    def delete_resource_policy(self, *, ResourceArn, ExpectedRevisionId):  # noqa: N803, ARG002
        self._expected(ExpectedRevisionId)
        self.policy = None

    def _expected(self, revision):
        if revision != (NO_POLICY if self.policy is None else str(self.revision)):
            raise refused()
        self.revision += 1
        self.writes += 1


def refused():
    return ClientError({"Error": {"Code": "PolicyNotFoundException", "Message": "no"}}, "X")


OTHERS = {"Sid": "Others", "Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*"}


def test_a_deny_for_everyone_else_comes_and_goes_and_the_table_is_as_it_was():
    policies = Policies()
    fence = ResourcePolicyFence(policies, "orders", [ROLE])
    fence.hold(ATTEMPT)
    fence.hold(ATTEMPT)
    (deny,) = policies.policy["Statement"]
    assert (deny["Effect"], deny["Resource"]) == ("Deny", "arn:aws:dynamodb:r:1:table/orders")
    assert deny["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [ROLE]}}
    assert "dynamodb:PutItem" in deny["Action"]
    fence.lift(ATTEMPT, "source")
    fence.lift(ATTEMPT, "source")
    assert (policies.policy, policies.writes) == (None, 2)


@pytest.mark.parametrize("statement", [OTHERS, [OTHERS]], ids=["alone", "in-a-list"])
def test_what_others_have_said_stays(statement):
    policies = Policies({"Version": "2012-10-17", "Statement": statement})
    fence = ResourcePolicyFence(policies, "orders", [ROLE])
    fence.hold(ATTEMPT)
    assert [one["Sid"] for one in policies.policy["Statement"]] == ["Others", f"{SID}{ATTEMPT.epoch}"]
    fence.lift(ATTEMPT, "source")
    assert policies.policy["Statement"] == [OTHERS]


def test_once_the_writers_are_at_the_target_the_source_stays_closed():
    policies = Policies()
    fence = ResourcePolicyFence(policies, "orders", [ROLE])
    fence.hold(ATTEMPT)
    fence.lift(ATTEMPT, "target")
    assert policies.policy is not None


def test_a_leader_that_slept_lifts_nothing_that_a_later_attempt_holds():
    policies = Policies()
    fence = ResourcePolicyFence(policies, "orders", [ROLE])
    later = Attempt("y", ATTEMPT.epoch + 2)
    fence.hold(ATTEMPT)
    fence.hold(later)  # over what the earlier one has left
    fence.lift(ATTEMPT, "source")
    (deny,) = policies.policy["Statement"]
    assert deny["Sid"] == f"{SID}{later.epoch}"
    with pytest.raises(FenceFailed, match="a later attempt holds"):
        fence.hold(ATTEMPT)
    fence.lift(later, "source")
    assert policies.policy is None


def test_a_change_by_somebody_else_at_the_same_time_is_never_overwritten():
    policies = Policies({"Version": "2012-10-17", "Statement": [OTHERS]})
    asked = policies.get_resource_policy

    def then_another(**request):
        found = asked(**request)
        policies.revision += 1
        return found

    policies.get_resource_policy = then_another
    with pytest.raises(FenceFailed, match="somebody else"):
        ResourcePolicyFence(policies, "orders", [ROLE]).hold(ATTEMPT)
    assert policies.policy["Statement"] == [OTHERS]


@pytest.fixture
def lock():
    """A lock webhook: what it was asked, and what it answers."""
    asked, answer = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((json.loads(body), self.headers.get("X-Moveout-Signature"), body))
            self.send_response(answer[0])
            self.send_header("Location", self.path)
            self.end_headers()
            self.wfile.write(b"writers are busy")

        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    with serving(Handler) as url:
        yield f"{url}/lock", asked, answer


def webhook(url, **options):
    return Webhook(LockWebhook(url=url, timeout_seconds=5, **options), "orders", "Orders")


def test_the_webhook_is_told_what_to_do_of_which_switch_and_epoch_and_by_whom(lock, monkeypatch):
    url, asked, _ = lock
    monkeypatch.setenv("LOCK_SECRET", "hush")
    fence = webhook(url, secret_env="LOCK_SECRET")
    fence.hold(ATTEMPT)
    fence.lift(Attempt("x", 5), "target")
    same = {"migration": "orders", "table": "Orders", "switch": "x"}
    assert asked[0][0] == {"action": "hold", "writes": None, "epoch": 4, **same}
    assert asked[1][0] == {"action": "lift", "writes": "target", "epoch": 5, **same}
    _, signature, body = asked[0]
    assert signature == "sha256=" + hmac.new(b"hush", body, "sha256").hexdigest()


def test_a_lock_that_is_refused_or_does_not_answer_is_a_failure_that_says_so(lock):
    url, _, answer = lock
    answer[0] = 423
    with pytest.raises(FenceFailed, match="refuses to hold: 423 writers are busy"):
        webhook(url).hold(ATTEMPT)
    with pytest.raises(FenceFailed, match="does not answer"):
        webhook("http://127.0.0.1:1/lock").hold(ATTEMPT)
    with pytest.raises(FenceFailed, match="NO_SUCH"):
        webhook(url, secret_env="NO_SUCH").hold(ATTEMPT)


def test_a_lock_that_sends_us_elsewhere_holds_nothing(lock):
    url, asked, answer = lock
    answer[0] = 302
    with pytest.raises(FenceFailed, match="refuses to hold: 302"):
        webhook(url).hold(ATTEMPT)
    assert len(asked) == 1  # a client that follows asks again, with GET, and takes the page for a yes

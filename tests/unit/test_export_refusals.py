"""What AWS may answer to a request for an export, and what becomes of it."""

from datetime import UTC, datetime

import pytest
from unit.managed_export import LIMITS, MARGIN, NOW, TABLE_ARN, Move, answer, running

from daemon import exporting
from daemon.control import Conflict, Migration
from daemon.cutover import Observation, conditions, decide
from daemon.phase import Phase
from daemon.preflight import CheckFailed
from daemon.signal.document import Progress, Tail, document


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("PointInTimeRecoveryUnavailableException", "aws dynamodb update-continuous-backups --table-name orders"),
        ("ExportConflictException", "conflict with another export"),
        ("TableNotFoundException", "does not find the table 'orders'"),
        ("AccessDeniedException", "allow dynamodb:ExportTableToPointInTime"),
        ("ValidationException", "refuses the export (ValidationException: because)"),
    ],
)
def test_a_refused_request_waits_for_a_person_and_says_what_to_do(code, told):
    move = Move().waits()
    move.api.refusals = [answer(code)]
    job = move.advance(MARGIN + 1)
    assert job.state == "failed"
    assert told in job.message
    assert "then `moveout export --again`" in job.message
    move.advance(3600)
    assert len(move.api.requests) == 1


@pytest.mark.parametrize(
    "code", ["LimitExceededException", "InternalServerError", "ThrottlingException", "InvalidExportTimeException"]
)
def test_a_refusal_that_passes_is_asked_again_by_itself_later_and_later(code):
    move = Move().waits()
    move.api.refusals = [answer(code)] * 2
    job = move.advance(MARGIN + 1)
    assert (job.state, bool(job.message)) == ("asking", True)
    move.advance(5)
    assert len(move.api.requests) == 1
    move.advance(60)
    assert len(move.api.requests) == 2
    move.advance(30)
    assert len(move.api.requests) == 2
    assert move.advance(60).state == "running"
    assert len({request["ClientToken"] for request in move.api.requests}) == 1


def test_a_time_that_aws_goes_on_refusing_waits_for_a_person_in_the_end():
    move = Move().waits()
    move.api.refusals = [answer("InvalidExportTimeException")] * 50
    for _ in range(50):
        move.advance(700)
    assert move.job.state == "failed"
    assert len(move.api.requests) < 12
    assert "describe-continuous-backups" in move.job.message


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("S3NoSuchBucket", "make the bucket"),
        ("S3AccessDenied", "allow s3:PutObject"),
        ("KMSAccessDeniedException", "kms:GenerateDataKey"),
        ("NeverHeardOf", "FAILED with NeverHeardOf (because)"),
    ],
)
def test_a_failed_export_says_why_and_waits_for_a_person(code, told):
    move = running()
    move.api.fail(code)
    job = move.advance(20)
    assert (job.state, told in job.message, "because" in job.message) == ("failed", True, True)
    move.advance(3600)
    assert len(move.api.requests) == 1
    assert move.migration.pending


@pytest.mark.parametrize("code", ["InternalServerError", "ServiceUnavailable"])
def test_an_export_that_failed_for_a_reason_that_passes_is_made_again_a_few_times(code):
    move = running()
    for _ in range(10):
        if move.job.state == "running":
            move.api.fail(code)
        move.advance(700)
    assert move.job.state == "failed"
    requests = move.api.requests
    assert len(requests) == 1 + exporting.REPEATS_MAX
    assert len({request["ClientToken"] for request in requests}) == len(requests)
    assert [request["ExportTime"] for request in requests] == sorted({request["ExportTime"] for request in requests})


def test_another_attempt_by_a_persons_word_has_a_token_and_a_time_of_its_own_and_can_succeed():
    move = running()
    move.api.fail("S3NoSuchBucket")
    move.advance(20)
    assert exporting.again(move.control).attempt == 2
    assert move.advance(20).state == "running"
    first, second = move.api.requests
    assert (first["ClientToken"] != second["ClientToken"], first["ExportTime"] < second["ExportTime"]) == (True, True)
    move.api.finish()
    move.advance(20)
    assert not move.migration.pending


def test_no_other_attempt_is_made_while_one_runs_or_after_one_was_accepted():
    move = running()
    with pytest.raises(CheckFailed, match="needs no other attempt: running"):
        exporting.again(move.control)
    move.api.finish()
    move.advance(20)
    with pytest.raises(CheckFailed, match="no export is waited for"):
        exporting.again(move.control)
    with pytest.raises(CheckFailed, match="no export was asked for yet"):
        exporting.again(Move().waits().control)


def test_a_person_and_the_leader_at_once_one_of_them_is_told():
    move = running()
    move.api.fail("S3NoSuchBucket")
    move.advance(20)
    put = move.control.put
    move.control.put = lambda *_: (_ for _ in ()).throw(Conflict("export"))
    with pytest.raises(Conflict):
        exporting.again(move.control)
    move.control.put = put
    assert move.job.attempt == 1


def test_an_export_as_of_an_earlier_time_than_was_asked_for_is_of_no_use():
    move = running()
    move.api.finish(export_time=datetime.fromtimestamp(NOW, UTC))
    job = move.advance(20)
    assert job.state == "failed"
    assert "changes of the time between" in job.message
    assert move.parts == []


def test_an_export_of_another_table_or_with_a_file_missing_is_of_no_use():
    move = running()
    move.api.finish(table_arn=TABLE_ARN + "2")
    assert "the source is" in move.advance(20).message
    move = running()
    move.api.finish()
    gone = next(key for key in move.store.objects if key[1].endswith(".json.gz"))
    del move.store.objects[gone]
    job = move.advance(20)
    assert (job.state, "missing" in job.message) == ("failed", True)


def test_a_right_that_is_missing_for_a_look_costs_time_and_not_the_export():
    move = running()
    move.api.finish()
    whole = move.api.describe_export
    move.api.describe_export = lambda **_: _refuse("AccessDeniedException")
    job = move.advance(20)
    assert (job.state, "AccessDenied" in job.message) == ("running", True)
    move.api.describe_export = whole
    assert move.advance(20).state == "accepted"


def _refuse(code):
    raise answer(code, "DescribeExport")


def seen(move):
    job = move.job
    return Observation(
        now=move.clock.now,
        parts_total=len(move.parts),
        parts_done=0,
        items_total=sum(part.items for part in move.parts),
        items_done=0,
        part_error=None,
        applied_through=move.clock.now,
        lag_reason="",
        trouble=None,
        export=exporting.told(job, move.clock.now),
        export_failed=job is not None and job.state == "failed",
    )


def complete(move):
    return conditions(move.migration, seen(move), LIMITS)[0]


def test_a_move_whose_export_is_pending_stays_anchored_and_tells_what_it_waits_for():
    move = Move().waits()
    assert (complete(move).reason, complete(move).status) == ("ExportPending", False)
    assert "clock_margin_seconds" in complete(move).message
    move.advance(MARGIN + 1)
    move.clock.now += 130
    assert "for 2 min by now; the table has 3.2 GB" in complete(move).message
    assert "at least 3 min more" in complete(move).message
    move.clock.now += 600
    assert "may be done at any time" in complete(move).message
    decided = decide(move.migration, seen(move), LIMITS)
    assert (decided.phase, "while the export is made" in decided.message) == (Phase.ANCHORED, True)
    assert decide(decided, seen(move), LIMITS) == decided


def test_a_failed_export_is_told_by_condition_decision_and_document_and_nothing_is_ready():
    move = running()
    move.api.fail("S3NoSuchBucket")
    move.advance(20)
    assert complete(move).reason == "ExportFailed"
    decided = decide(move.migration, seen(move), LIMITS)
    assert (decided.phase, "needs a person" in decided.message) == (Phase.ANCHORED, True)
    letters = dict.fromkeys(("open", "settled", "retried", "waived"), 0)
    told = document("m", decided, seen(move), LIMITS, Progress(1, 0.0, Tail(*[0] * 7), letters))
    assert told.message.startswith("waiting for BackfillComplete: AWS's export FAILED with S3NoSuchBucket")
    assert (told.backfill.eta_seconds, told.ready.readers, told.lag.seconds) == (None, False, None)


def test_when_the_parts_are_known_and_seen_the_backfill_begins():
    move = running()
    move.api.finish()
    unseen = seen(move)
    move.advance(20)
    assert decide(move.migration, unseen, LIMITS).phase is Phase.ANCHORED
    begun = decide(move.migration, seen(move), LIMITS)
    assert (begun.phase, "loading 7 items" in begun.message) == (Phase.BACKFILLING, True)


def test_a_gap_in_the_stream_ends_the_waiting_as_it_ends_everything():
    move = running()
    lost = decide(move.migration, seen(move)._replace(gap="trimmed"), LIMITS)
    assert lost.phase is Phase.NEEDS_RESYNC
    move.control.update("migration", Migration, lambda _: lost)
    move.api.finish()
    assert move.advance(20).state == "running"

"""What an export has to be at the anchor: still to be made, or known by its ARN."""

from datetime import UTC, datetime

import pytest
from unit.managed_export import MARGIN, NOW, ROWS, TABLE_ARN, Move, answer

from daemon import exporting
from daemon.plan import plan
from daemon.preflight import CheckFailed
from daemon.source.export import version_of


def test_the_anchor_comes_first_and_the_export_is_asked_for_behind_it():
    move = Move()
    migration = move.anchored()
    assert (migration.pending, migration.parts, migration.backfill_version) == (True, 0, 0)
    assert move.api.requests == []
    move.advance(MARGIN + 1)
    assert move.api.requests[0]["ExportTime"] >= migration.anchored_at + MARGIN


def test_without_point_in_time_recovery_the_move_does_not_begin_and_the_command_is_told():
    move = Move()
    move.api.recovery = "DISABLED"
    with pytest.raises(CheckFailed, match="aws dynamodb update-continuous-backups --table-name orders"):
        move.anchored()
    assert move.control.records == {}


ARN = f"{TABLE_ARN}/export/01"


def given(status, at=NOW - 600, **more):
    move = Move(export_arn=ARN)
    move.api.exports[ARN] = {
        "ExportStatus": status,
        "TableArn": TABLE_ARN,
        "S3Bucket": "bbb",
        "ExportTime": datetime.fromtimestamp(at, UTC),
        **more,
    }
    if status == "COMPLETED":
        move.api.finish(ARN)
    return move


def test_an_export_given_by_its_arn_that_is_complete_is_as_its_manifest():
    made = plan(given("COMPLETED").known)
    assert (made.origin, made.pending, made.exported_at, made.version) == (
        ARN,
        False,
        pytest.approx(NOW - 600, abs=0.001),
        version_of(NOW - 600),
    )
    assert sum(part.items for part in made.parts) == len(ROWS)


def test_an_export_given_by_its_arn_that_is_being_made_is_waited_for():
    move = given("IN_PROGRESS")
    migration = move.anchored()
    assert (migration.pending, migration.exported_at) == (True, pytest.approx(NOW - 600, abs=0.001))
    assert move.advance(1).state == "running"
    assert move.api.requests == []
    move.api.finish(ARN)
    assert move.advance(1).state == "accepted"
    assert not move.migration.pending


@pytest.mark.parametrize("status", ["COMPLETED", "IN_PROGRESS"])
def test_an_export_that_would_leave_a_hole_before_the_stream_is_refused_at_the_anchor(status):
    move = given(status, at=NOW - 3600 + MARGIN - 1)
    with pytest.raises(CheckFailed, match="would be in neither"):
        move.anchored()
    assert move.control.records == {}
    assert given(status, at=NOW - 3600 + MARGIN + 1).anchored()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"TableArn": TABLE_ARN + "2"}, "wanted is a FULL_EXPORT of"),
        ({"ExportType": "INCREMENTAL_EXPORT"}, "is a INCREMENTAL_EXPORT of"),
        ({"ExportStatus": "FAILED", "FailureCode": "S3NoSuchBucket"}, "make the bucket"),
    ],
)
def test_an_export_that_cannot_be_used_is_refused_with_the_reason(more, told):
    with pytest.raises(CheckFailed, match=told):
        plan(given("IN_PROGRESS", **more).known)


def test_an_export_that_does_not_exist_or_may_not_be_read_is_named():
    move = Move(export_arn=ARN)
    with pytest.raises(CheckFailed, match=f"{ARN} does not exist"):
        plan(move.known)
    move.api.exports[ARN] = answer("AccessDeniedException", "DescribeExport")
    with pytest.raises(CheckFailed, match="allow dynamodb:DescribeExport"):
        plan(move.known)


def test_an_export_of_somebody_else_that_fails_waits_for_a_person_and_is_looked_at_again_by_their_word():
    move = given("IN_PROGRESS")
    move.anchored()
    move.advance(1)
    move.api.exports[ARN] |= {"ExportStatus": "FAILED", "FailureCode": "InternalServerError"}
    assert move.advance(1).state == "failed"
    move.api.exports[ARN] |= {"ExportStatus": "IN_PROGRESS"}
    exporting.again(move.control)
    assert move.advance(1).state == "running"
    assert move.api.requests == []

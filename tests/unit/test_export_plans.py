"""What an export has to be at the anchor: still to be made, or known by its ARN."""

from datetime import UTC, datetime

import msgspec
import pytest
from fakes import ObjectStore
from unit.managed_export import MARGIN, NOW, ROWS, TABLE_ARN, Move, answer

from daemon import anchor, check, exporting, resync
from daemon.control import Migration, Sweep
from daemon.demo.export import write_export
from daemon.demo.incremental_export import Record, write_incremental_export
from daemon.phase import Phase
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


def test_a_slow_clock_does_not_date_the_export_before_the_begin_of_a_stream_enabled_a_moment_ago():
    move = Move()
    move.known.facts.stream.created_at = NOW + 300
    move.anchored()
    assert move.advance(300 + MARGIN - 1) is None
    move.advance(3)
    assert move.api.requests[0]["ExportTime"] >= NOW + 300 + MARGIN


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


# a full export and its windows

HOUR = 3600
FULL_AT = NOW // 1 - 3 * HOUR


def windowed(*cuts, full_at=FULL_AT, stream_age=HOUR):
    """A full export, and windows of these hours before now."""
    store = ObjectStore()
    full = write_export(store, "bbb", "p", TABLE_ARN, ROWS, files=2, export_time=datetime.fromtimestamp(full_at, UTC))
    record = Record(1, {"id": {"S": "1"}}, {"id": {"S": "1"}})
    windows = [
        write_incremental_export(store, "bbb", "p", TABLE_ARN, [record], from_time=begin, to_time=end, files=2)
        for begin, end in cuts
    ]
    move = Move(manifest=full, windows=windows)
    move.known.s3 = store
    move.known.facts.stream.created_at = NOW - stream_age
    return move


def test_a_full_export_with_windows_that_touch_is_loaded_below_them_and_nothing_is_swept():
    end = FULL_AT + 2 * HOUR + 600
    made = plan(windowed((FULL_AT + HOUR, end), (FULL_AT, FULL_AT + HOUR)).known)
    base = version_of(end)
    assert [(part.kind, part.version) for part in made.parts] == [
        ("full", base - 3),
        ("incremental", base - 2),
        ("incremental", base - 1),
    ]
    assert (made.version, made.exported_at, made.sweep) == (base, end, None)


def test_windows_that_overlap_are_swept_by_asking_the_source():
    end = FULL_AT + 2 * HOUR + 600
    made = plan(windowed((FULL_AT - 1, end)).known)
    base = version_of(end)
    assert made.sweep == Sweep(below=base - 1, at=base, since=0, ask_source=True)


@pytest.mark.parametrize(
    ("cuts", "told"),
    [
        ([(FULL_AT + 1, FULL_AT + 2 * HOUR + 600)], "changes of 1.000 s are in neither"),
        ([(FULL_AT, FULL_AT + HOUR), (FULL_AT + HOUR + 1, FULL_AT + 2 * HOUR + 600)], "changes of 1 s are in neither"),
        ([(FULL_AT, FULL_AT + 2 * HOUR)], "the last of backfill.windows: the export is as of"),
        ([(FULL_AT - HOUR, FULL_AT)], "Leave it out"),
    ],
)
def test_windows_with_a_hole_anywhere_between_the_full_export_and_the_stream_are_refused(cuts, told):
    with pytest.raises(CheckFailed, match=told):
        plan(windowed(*cuts).known)


def test_a_full_export_in_the_place_of_a_window_is_refused():
    move = windowed((FULL_AT, FULL_AT + 2 * HOUR + 600))
    backfill = move.known.config.backfill
    spoiled = backfill.model_copy(update={"windows": [backfill.manifest]})
    move.known.config = move.known.config.model_copy(update={"backfill": spoiled})
    with pytest.raises(CheckFailed, match="is of a FULL_EXPORT"):
        plan(move.known)


def test_a_restart_with_other_windows_is_refused():
    move = windowed((FULL_AT, FULL_AT + 2 * HOUR + 600))
    migration = move.anchored()
    anchor.unchanged(move.known, migration)
    fewer = move.known.config.backfill.model_copy(update={"windows": []})
    move.known.config = move.known.config.model_copy(update={"backfill": fewer})
    with pytest.raises(CheckFailed, match="was begun with"):
        anchor.unchanged(move.known, migration)


def test_a_resync_puts_an_end_to_the_waiting_for_an_export():
    move = Move()
    move.anchored()
    lost = {"phase": Phase.NEEDS_RESYNC, "gap": "trimmed"}
    move.control.update("migration", Migration, lambda known: msgspec.structs.replace(known, **lost))
    at = datetime.fromtimestamp(NOW, UTC)
    healed = resync.by_full_export(move.known, write_export(move.store, "bbb", "p", TABLE_ARN, ROWS, export_time=at))
    assert (healed.pending, healed.phase, healed.parts > 0) == (False, Phase.ANCHORED, True)
    assert move.advance(MARGIN + 1) is None


def test_the_check_says_that_the_export_is_still_to_be_made_and_touches_nothing():
    move = Move()
    assert "loaded when AWS has made it" in check._backfill(move.known)
    assert (move.api.requests, move.control.records) == ([], {})

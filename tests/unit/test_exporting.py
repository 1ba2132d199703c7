"""The export that moveout asks for, with a crash at each write."""

from botocore.exceptions import EndpointConnectionError
from fakes import Crash
from unit.managed_export import MARGIN, NOW, ROWS, TABLE_ARN, CrashingControl, Move, running

from daemon import exporting
from daemon.control import Migration, Part, parts_of
from daemon.phase import Phase
from daemon.source.export import version_of


def test_nothing_is_asked_for_before_the_margin_behind_the_anchor_is_over():
    move = Move().waits()
    assert move.advance(MARGIN - 1) is None
    assert move.api.requests == []
    assert move.advance(2).state == "running"
    (request,) = move.api.requests
    assert request["ExportTime"] >= NOW + MARGIN
    assert request["ExportTime"] <= move.clock.now


def test_the_request_has_what_was_configured():
    wanted = {"bucket": "bbb", "prefix": "p", "bucket_owner": "123456789012", "kms_key_id": "k", "format": "ION"}
    (request,) = running(export=wanted).api.requests
    assert {**request, "ClientToken": "", "ExportTime": 0} == {
        "TableArn": TABLE_ARN,
        "S3Bucket": "bbb",
        "S3Prefix": "p",
        "S3BucketOwner": "123456789012",
        "S3SseAlgorithm": "KMS",
        "S3SseKmsKeyId": "k",
        "ExportFormat": "ION",
        "ExportType": "FULL_EXPORT",
        "ExportTime": 0,
        "ClientToken": "",
    }
    assert len(request["ClientToken"]) <= 36
    assert request["ClientToken"].isascii()


def test_a_complete_export_becomes_the_parts_of_this_generation_and_then_the_migration_knows_it():
    move = running()
    move.advance(20)
    assert move.parts == []
    assert move.migration.pending
    move.api.finish()
    assert move.advance(20).state == "accepted"
    exported_at = move.job.export_time
    assert sum(part.items for part in move.parts) == len(ROWS)
    assert {part.version for part in move.parts} == {version_of(exported_at)}
    migration = move.migration
    assert (migration.pending, migration.parts, migration.exported_at, migration.backfill_version) == (
        False,
        len(move.parts),
        exported_at,
        version_of(exported_at),
    )
    assert migration.phase is Phase.ANCHORED


def played(dies_at=None, *, after=False):
    """From the anchor to the parts, with a crash at one write to the control table."""
    control = CrashingControl()
    move = Move(control).waits()
    control.writes, control.dies_at, control.after = 0, dies_at, after
    crashed = False
    for _ in range(6):
        try:
            move.advance(MARGIN)
        except Crash:
            crashed, control.dies_at = True, None
            move.advance()
        job = move.job
        if job is not None and job.state == "running" and "ExportManifest" not in move.api.exports[job.arn]:
            move.api.finish()
    return move, control.writes, crashed


def test_a_restart_at_each_point_asks_for_one_export_and_ends_with_the_same_parts():
    whole, writes, _ = played()
    assert not whole.migration.pending
    assert writes > 5
    for after in (False, True):
        for dies_at in range(writes):
            move, _, crashed = played(dies_at, after=after)
            assert crashed
            assert len(move.api.exports) == 1, dies_at
            assert len({request["ExportTime"] for request in move.api.requests}) == 1
            assert (len(move.parts), move.migration.parts) == (len(whole.parts), len(whole.parts))
            assert not move.migration.pending


def test_an_answer_that_is_lost_is_asked_for_again_with_the_very_same_request():
    move = Move().waits()
    accept = move.api.export_table_to_point_in_time

    def lost(**request):
        accept(**request)
        raise EndpointConnectionError(endpoint_url="https://aws")

    move.api.export_table_to_point_in_time = lost
    assert "does not answer" in move.advance(MARGIN + 1).message
    move.api.export_table_to_point_in_time = accept
    assert move.advance(60).state == "running"
    first, second = move.api.requests
    assert first == second
    assert len(move.api.exports) == 1


def test_after_hours_without_an_answer_the_export_is_looked_for_before_another_one_is_made():
    move = Move().waits()
    accept = move.api.export_table_to_point_in_time

    def lost(**request):
        accept(**request)
        raise EndpointConnectionError(endpoint_url="https://aws")

    move.api.export_table_to_point_in_time = lost
    move.advance(MARGIN + 1)
    move.api.export_table_to_point_in_time = accept
    move.api.tokens.clear()  # AWS forgets them
    move.api.exports = {f"{TABLE_ARN}/export/x": {"TableArn": TABLE_ARN}, **move.api.exports}
    assert move.advance(9 * 3600).state == "running"
    assert len(move.api.requests) == 1
    assert move.job.arn == list(move.api.exports)[1]


def test_two_leaders_at_once_make_one_export():
    move = Move().waits()
    get, twice = move.control.get, []

    def interleaved(record, kind):
        found = get(record, kind)
        if record == exporting.RECORD and not twice:
            twice.append(True)
            exporting.advance(move.known)
        return found

    move.control.get = interleaved
    move.advance(MARGIN + 1)
    move.control.get = get
    move.advance(1)
    assert len(move.api.exports) == 1


def test_a_part_that_was_begun_to_be_loaded_is_not_written_again_by_a_leader_that_slept():
    move = running()
    move.api.finish()
    migration = move.migration
    move.advance(20)
    (name, (part, _)), *_ = move.control.all(parts_of(1), Part).items()
    move.control.update(parts_of(1) + name, Part, lambda known: Part(known.name, known.md5, known.items, rows_read=1))
    exporting._accepted(move.known, migration, move.job)
    assert move.control.get(parts_of(1) + name, Part)[0].rows_read == 1
    assert part.rows_read == 0


def test_an_export_of_before_a_resync_does_not_reach_into_the_new_generation():
    move = running()
    move.api.finish()
    slept = move.migration
    move.control.update(
        "migration", Migration, lambda _: Migration(phase=Phase.BACKFILLING, generation=2, backfill_version=9)
    )
    assert move.advance(20).state == "running"
    export = exporting.read_export(move.store, exporting.described(move.api, move.job.arn).manifest)
    assert exporting._known(move.migration, slept, export) == move.migration

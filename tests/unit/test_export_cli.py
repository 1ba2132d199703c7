import msgspec
import pytest
from typer.testing import CliRunner
from unit.managed_export import MARGIN, Move

from daemon.cli import app
from daemon.control import Migration
from daemon.export_cli import answer
from daemon.phase import Phase
from daemon.preflight import CheckFailed


def test_the_command_says_where_the_export_stands_and_asks_for_another_attempt():
    move = Move().waits()
    assert "as soon as the stream is surely followed" in answer(move.known, again=False)
    move.advance(MARGIN + 1)
    assert "AWS tells no progress" in answer(move.known, again=False)
    with pytest.raises(CheckFailed, match="needs no other attempt"):
        answer(move.known, again=True)
    move.api.fail("S3NoSuchBucket")
    move.advance(20)
    assert "make the bucket" in answer(move.known, again=False)
    assert answer(move.known, again=True) == "attempt 2 will be asked for by the service"
    move.advance(20)
    assert len(move.api.requests) == 2


def test_where_no_export_is_waited_for_the_command_says_so():
    move = Move()
    assert "has not begun" in answer(move.known, again=False)
    move.control.put("migration", Migration(phase=Phase.REPLICATING, generation=1), 0)
    assert "no export is waited for: the migration is in phase replicating" in answer(move.known, again=False)


def test_what_an_export_of_before_a_resync_said_is_not_told_of_the_next_one():
    move = Move().waits()
    move.advance(MARGIN + 1)
    move.control.update("migration", Migration, lambda known: msgspec.structs.replace(known, generation=2))
    assert "as soon as the stream is surely followed" in answer(move.known, again=False)


def test_one_of_several_tables_can_be_asked_for():
    assert "--table" in CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200"}).stdout

import pytest
from unit.managed_export import MARGIN, Move

from daemon.export_cli import answer
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

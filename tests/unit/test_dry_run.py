"""A dry run reads and counts; what would write to DynamoDB is stopped before it is sent."""

import io
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError
from msgspec.structs import replace
from rich.console import Console

from daemon import progress_view
from daemon.config import Config
from daemon.control import Control, Migration, Part, Settings
from daemon.dry_run import Account, Checking, NoTable, ReadOnly, WouldWrite, patiently, reading, target
from daemon.preflight import CheckFailed
from daemon.progress import progress
from daemon.settings import LiveSettings
from sinks.change import Change, Item, Key

FILE = {
    "migration": "orders",
    "source": {"table": "orders", "region": "eu-west-1"},
    "backfill": {"manifest": "s3://b/AWSDynamoDB/01/manifest-summary.json", "s3_region": "eu-north-1"},
    "target": {"kind": "dynamodb", "table": "moved", "region": "us-east-1"},
}
CONFIG = Config(**FILE)


@pytest.mark.parametrize(
    "operation", ["put_item", "update_item", "delete_item", "create_table", "update_table", "transact_write_items"]
)
def test_what_writes_is_stopped(operation):
    client = SimpleNamespace(describe_table=lambda: "answer", **{operation: lambda: None})
    assert ReadOnly(client).describe_table() == "answer"
    with pytest.raises(WouldWrite, match=operation):
        getattr(ReadOnly(client), operation)()


def test_there_is_no_control_table_and_none_is_made():
    control = Control(NoTable(), "", "orders")
    assert control.get("migration", Migration) is None
    assert LiveSettings(control, reading(CONFIG).clock).now() == Settings()
    with pytest.raises(WouldWrite):
        control.put("migration", Migration(), 0)
    with pytest.raises(WouldWrite):
        control.create_table()


def test_every_client_of_the_source_only_reads_and_nothing_is_followed():
    known = reading(CONFIG)
    assert isinstance(known.dynamodb, ReadOnly)
    assert not known.config.tails
    with pytest.raises(WouldWrite):
        known.control.create_table()


def test_a_mode_that_loads_nothing_is_refused():
    with pytest.raises(CheckFailed, match="there is nothing to load"):
        reading(Config(**{**FILE, "mode": "tail"}))


def test_a_bucket_is_written_to_as_the_export_is_read():
    options = target(CONFIG, "jsonl:s3://other/prefix")
    assert (options.to, options.region, options.role_arn) == ("s3://other/prefix", "eu-north-1", None)


def test_a_relative_folder_is_taken_from_where_one_stands(tmp_path):
    assert target(CONFIG, "jsonl:lines").to.endswith("/lines")
    assert target(CONFIG, f"jsonl:{tmp_path}").to == str(tmp_path)
    assert target(CONFIG, "memory") is None


def test_of_several_tables_each_has_its_own_folder():
    one = CONFIG.model_copy(update={"one_of": 2})
    assert target(one, "jsonl:/lines/").to == "/lines/orders"
    assert target(one, "jsonl:s3://b").to == "s3://b/orders"


def test_what_is_no_item_is_rejected_and_told():
    good, bad = Change(Key("a"), 1, Item(b'{"id":{"S":"a"}}')), Change(Key("b"), 1, Item(b'{"id":{"N":"b"}}'))
    (rejection,) = Checking().apply([good, bad, Change(Key("c"), 1, None)])
    assert (rejection.change, "'b' is not a number" in rejection.reason) == (bad, True)
    account = Account({}, lambda: 0.0, Console())
    account.keep([rejection] * 100)
    assert len(account.reasons) == 10


def test_a_part_goes_on_behind_its_last_page_when_aws_was_away_for_a_moment():
    account, begun, slept = Account({"1": Part("a", "", 20)}, lambda: 0.0, Console(file=io.StringIO())), [], []

    def load(part):
        begun.append(part.position)
        if not part.position:
            yield replace(part, position="10", rows_read=10)
            raise EndpointConnectionError(endpoint_url="http://s3")
        yield replace(part, done=True, rows_read=20)

    assert patiently(account, "a", load, slept.append) is None
    assert (begun, slept, account.part("a").done) == (["", "10"], [1.0], True)


def test_aws_that_stays_away_ends_the_dry_run():
    account, slept = Account({"1": Part("a", "", 20)}, lambda: 0.0, Console(file=io.StringIO())), []

    def load(*_):
        raise EndpointConnectionError(endpoint_url="http://s3")

    with pytest.raises(EndpointConnectionError):
        patiently(account, "a", load, slept.append)
    assert slept == [1.0, 5.0, 25.0]


def test_the_view_says_what_is_known_and_what_is_not():
    parts = [
        Part("s3://b/data/one.json.gz", "", 1500, done=True, rows_read=1500, bytes_read=2_500_000, rejected=1),
        Part("s3://b/data/two.json.gz", "", 2_000_000, rows_read=10, bytes_read=1000, skipped=2),
    ]
    shown = progress(parts, 0.0)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(progress_view.live(shown), progress_view.summary(shown, {"s3://b/data/two.json.gz": "failed"}))
    told = console.export_text()
    for said in ("two.json.gz", "10 of 2,000,000", "rate not known yet", "unknown", "failed", "1,510 of 2,001,500"):
        assert said in told
    assert "2.39 MiB, 1 of 2 parts, rate not known yet, time left unknown" in progress_view.line(shown)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "unknown"), (0, "0 s"), (89, "89 s"), (91, "2 min"), (12_000, "3 h 20 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_told_as_people_say_them(seconds, told):
    assert progress_view.duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 B"), (1023, "1,023 B"), (1024, "1.00 KiB"), (15 * 2**30, "15.0 GiB")]
)
def test_sizes_are_told_with_three_digits(number, told):
    assert progress_view.size(number) == told

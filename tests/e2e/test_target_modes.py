"""The ways of a target that are not its default, through the whole service: `mode: ordered`, `layout: columns`.

Each with a live application, a kill -9 in the backfill and one in the tail, and an independent comparison at the end.
"""

import contextlib
import subprocess
import sys
import time

import boto3
import pytest
from e2e.columns_side import ColumnsSide
from e2e.watched import Watched, ready

from daemon.control import Control, ShardState, shards_of
from daemon.demo.compare import compare
from daemon.demo.configuration import KEYSPACE, SOURCE_TABLE, TARGET_TABLE
from daemon.demo.dataset import PARTITION, SORT
from daemon.demo.processes import kill_tree
from daemon.demo.servers.process import free_port
from daemon.demo.sides import DynamoDbSide
from daemon.demo.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(800)]
ITEMS, ITEMS_PER_SECOND, EXPIRES_SECONDS = 1200, 120, 6 * 3600
SLOW, HELD_SECONDS = 12, 5  # so that the KCL is up, and wants to go on, long before all is loaded
KEYS = (PARTITION, SORT)
# `total` has cents more often than not, `coupon` is NULL now and then: what does not fit stays in attrs.
COLUMNS = """\
  layout: columns
  columns:
    status: text
    total: bigint
    paid: boolean
    coupon: text
    ledger: varint
    tags: set<text>
    scores: set<decimal>
    signature: blob
    expires: decimal
  ttl: {attribute: expires, as: ttl}
"""


class Move:
    """A stage, its application, and a service over it that is killed and started again."""

    def __init__(self, folder, sink, target):
        self.stage, self._folder, self._target = Stage(folder, sink), folder, target
        self.service = None

    def begin(self):
        self.stage.open()
        self.stage.load(1, ITEMS, lambda _: None)
        self.client = boto3.client("dynamodb", endpoint_url=self.stage.wire.endpoint_url, region_name="us-east-1")
        self.stage.wait_for_servers()
        self.stage.start_application(1, ITEMS)
        time.sleep(2)  # the stream must be older than the margin

    def configure(self, items_per_second=ITEMS_PER_SECOND):
        """The demo's configuration, with the target's own lines, and a backfill that takes its time."""
        self._listen = f"127.0.0.1:{free_port()}"
        self._config = self.stage.configure(self.stage.export(), self._listen)
        text = self._config.read_text().replace("  create_table: true\n", f"  create_table: true\n{self._target}")
        paced = f"  workers: 1\n  items_per_second: {items_per_second}\n"
        self._config.write_text(text.replace("  workers: 1 ", f"{paced}  # ", 1))

    def start(self):
        self.service = Watched(self._config, self._listen, self._folder / f"service-{time.monotonic_ns()}.log")

    def kill_and_start(self):
        kill_tree(self.service.process.pid)
        self.service.process.wait(10)
        self.start()

    def command(self, *words):
        command = [sys.executable, "-m", "daemon.cli", *words, "--config", str(self._config)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def tail_begins(self):
        """A process has taken a shard, and would apply what is in it."""
        control = Control(self.client, "moveout-control", "demo")
        return any(state.owner for state, _ in control.all(shards_of(1), ShardState).values())

    def drained(self):
        """The application stops, and all that it wrote has arrived."""
        self.stage.stop_application()
        stopped = time.time()
        return self.service.wait(lambda d: ready(d) and d["lag"]["seconds"] < time.time() - stopped)

    def put(self, name, **attributes):
        self.client.put_item(TableName=SOURCE_TABLE, Item={PARTITION: {"S": name}, SORT: {"S": "1"}, **attributes})

    def end(self):
        if self.service is not None:
            self.service.process.terminate()
            self.service.process.wait(60)


@contextlib.contextmanager
def moving(folder, sink, target):
    """A Move that is stopped at its end, whatever happened."""
    move = Move(folder, sink, target)
    with move.stage:
        move.begin()
        try:
            yield move
        finally:
            move.end()


def under_way(document):
    backfill = document["backfill"]
    return ITEMS / 5 < backfill["items_done"] < backfill["items_total"]


def test_mode_ordered_loads_first_then_follows_over_two_kills_and_nothing_differs(tmp_path):
    with moving(tmp_path, "dynamodb", "  mode: ordered\n") as move:
        move.configure(SLOW)
        move.start()
        move.service.wait(lambda _: move.tail_begins())
        time.sleep(HELD_SECONDS)
        loading = move.service.document()
        assert loading["backfill"]["items_done"] < loading["backfill"]["items_total"]
        assert loading["paused"]["tail_waits"]
        assert loading["tail"]["applied"] == 0
        move.put("written while it loads", n={"N": "1"})
        move.kill_and_start()
        move.command("set", "backfill.rate=2000")
        tailing = move.service.wait(lambda d: d["tail"]["applied"] > 0)
        assert tailing["backfill"]["parts_done"] == tailing["backfill"]["parts_total"]
        assert not tailing["paused"]["tail_waits"]
        move.kill_and_start()
        move.put("written while it was dead", n={"N": "2"})
        assert move.drained()["tail"]["applied"] > tailing["tail"]["applied"]
        # No hidden attribute: what the target holds is what the source holds, as it is.
        target = DynamoDbSide(move.stage.wire, TARGET_TABLE["dynamodb"])
        compared = compare(DynamoDbSide(move.stage.wire, SOURCE_TABLE), target, KEYS)
        assert (compared.differences, compared.source_items > ITEMS) == (0, True), compared.samples


def test_layout_columns_types_what_fits_spills_the_rest_and_nothing_differs(tmp_path):
    with moving(tmp_path, "cassandra", COLUMNS) as move:
        expires = str(int(time.time()) + EXPIRES_SECONDS)
        move.put("expires", expires={"N": expires}, total={"N": "12"})
        move.configure()
        move.start()
        move.service.wait(under_way)
        move.put("expires, of the tail", expires={"N": expires}, total={"S": "not a number"})
        move.kill_and_start()
        tailing = move.service.wait(lambda d: d["tail"]["applied"] > 0)
        move.kill_and_start()
        assert move.drained()["tail"]["applied"] > tailing["tail"]["applied"]
        session, table = move.stage._session, f'"{KEYSPACE}"."{TARGET_TABLE["cassandra"]}"'
        target = ColumnsSide(session, table, KEYS)
        compared = compare(DynamoDbSide(move.stage.wire, SOURCE_TABLE), target, KEYS)
        assert (compared.differences, compared.source_items > ITEMS) == (0, True), compared.samples
        chosen = {"status", "total", "paid", "coupon", "ledger", "tags", "scores", "signature", "expires"}
        assert target.in_columns == chosen | set(KEYS)
        assert {"total", "coupon"} <= target.spilled
        lives = f'SELECT TTL(version), expires FROM {table} WHERE "{PARTITION}" = %s AND "{SORT}" = %s'  # noqa: S608
        for name in ("expires", "expires, of the tail"):
            left, _ = session.execute(lives, (name, "1")).one()
            assert 0 < left <= EXPIRES_SECONDS

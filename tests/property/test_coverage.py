"""Which keys a round writes to: every open shard is reached, with one write for each once that is learned."""

import bisect
import math
from hashlib import sha256

import pytest
from fakes import MemoryControl

from daemon import reserved
from daemon.control import Proof, ShardState
from daemon.prove import FRESH_MAX, Prover
from daemon.reserved import KEYS_MAX, Reserved, deal, quota
from daemon.source.heartbeat import Form
from daemon.source.shards import Shard, Stream
from sinks.change import KeyAttribute, KeySchema

KEYS = KeySchema(KeyAttribute("id", "S"))


class Table:
    """A source whose keys fall into hash ranges, one for each open shard; what is put is applied at once."""

    def __init__(self, shards):
        self.control = MemoryControl()
        self.begins = [place / shards for place in range(shards)]
        self.leaves = [f"s{place}" for place in range(shards)]
        self.shards = {name: Shard(name, None, closed=False) for name in self.leaves}
        self.states = {name: ShardState(anchor=0) for name in self.leaves}
        self.puts = []
        form = Form(KEYS, "ours")
        self.prover = Prover(self.control, self, None, "t", form, self._listed(), 1)

    def _listed(self):
        return Stream("arn", "NEW_IMAGE", "ENABLED", 0.0, dict(self.shards), 1e9)

    def put_item(self, *, TableName, Item):  # noqa: ARG002, N803  boto3's names
        self.puts.append(Item["id"]["S"])

    def round(self):
        """Keys written, and where they fell: learned at once."""
        self.prover._stream, self.prover._states = self._listed(), dict(self.states)
        number = self.control.update("proof", Proof, lambda found: found or Proof()).round + 1
        before = len(self.puts)
        self.prover._write(number, 0.0)
        for key in self.puts[before:]:
            place = int.from_bytes(sha256(key.encode()).digest()[:8], "big") / 2**64
            leaf = self.leaves[bisect.bisect(self.begins, place) - 1]
            self.states[leaf] = ShardState(anchor=0, heartbeat_round=number, heartbeat_key=key)
        return len(self.puts) - before

    def reached(self):
        return all(self.states[leaf].heartbeat_key for leaf in self.leaves)

    def learn(self, rounds_max):
        for taken in range(rounds_max):
            if self.reached():
                return taken
            self.round()
        raise AssertionError("not learned")

    def roll_over(self):
        for place, parent in enumerate(self.leaves):
            self._child(place, parent)

    def split(self, place):
        parent, begin = self.leaves[place], self.begins[place]
        end = self.begins[place + 1] if place + 1 < len(self.begins) else 1.0
        self._child(place, parent)
        self.begins.insert(place + 1, (begin + end) / 2)
        self.leaves.insert(place + 1, "")
        self._child(place + 1, parent)

    def _child(self, place, parent):
        name = f"c{len(self.shards)}"
        self.shards[parent] = Shard(parent, self.shards[parent].parent, closed=True)
        self.shards[name] = Shard(name, parent, closed=False)
        self.leaves[place], self.states[name] = name, ShardState(anchor=0)


@pytest.mark.parametrize("shards", [1, 7, 300])
def test_once_learned_a_round_is_one_write_for_each_open_shard(shards):
    table = Table(shards)
    table.learn(rounds_max=math.ceil(2 * quota(shards) / 8) + 2)
    assert [table.round() for _ in range(3)] == [shards] * 3
    assert table.control.get(reserved.RECORD, Reserved)[0].used <= quota(shards) + FRESH_MAX


def test_a_rollover_of_every_shard_costs_no_write_more():
    table = Table(300)
    table.learn(2000)
    table.roll_over()
    assert table.round() == 300
    assert table.reached()


def test_after_splits_the_keys_are_learned_again_and_few_are_new():
    table = Table(200)
    table.learn(2000)
    known = table.control.get(reserved.RECORD, Reserved)[0].used
    for place in (150, 100, 50, 0):
        table.split(place)
    assert not table.reached()
    table.learn(400)
    assert table.round() == 204
    # A key in 400 reaches a given half. Of eight halves one in 3,000 runs needs more than so many.
    assert table.control.get(reserved.RECORD, Reserved)[0].used <= known + 8 * 400


def test_while_nothing_is_read_keys_are_tried_again_and_again_and_hardly_grow():
    used = cursor = 0
    for _ in range(17_280):  # a day of rounds of five seconds
        dealt = deal(used, cursor, FRESH_MAX, 10)
        assert len(dealt.numbers) <= FRESH_MAX
        used, cursor = dealt.used, dealt.cursor
    assert used < 13_000
    assert deal(KEYS_MAX, KEYS_MAX, 64, 10).used == KEYS_MAX


def test_what_is_dealt_is_on_record_before_it_is_written():
    table = Table(50)
    table.round()
    on_record = table.control.get(reserved.RECORD, Reserved)[0]
    assert set(table.puts) <= set(on_record.keys("S", range(on_record.used)))

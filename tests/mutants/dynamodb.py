"""Bugs of writing to DynamoDB in numbers: the lane, batches, rates, and the order that mode `ordered` rests on."""

from mutants.mutant import Mutant

LANE = "tests/unit/test_dynamodb_lane.py"
ROUNDS = "tests/unit/test_dynamodb_rounds.py"

WRITES = (
    Mutant(
        "in mode ordered the tail does not wait for the backfill",
        "a backfill row overwrites what the tail wrote",
        "daemon/kcl/shard.py",
        "known.settings.now().tail_paused or waits()",
        "known.settings.now().tail_paused",
        "tests/simulation/test_ordered.py",
    ),
    Mutant(
        "UnprocessedItems are overlooked",
        "throttled writes of a 200 are lost",
        "sinks/dynamodb/batches.py",
        "        if not left:\n",
        "        if True:\n",
        ROUNDS,
    ),
    Mutant(
        "a refused batch is a refused item",
        "one item too large makes 24 others dead letters, or none",
        "sinks/dynamodb/batches.py",
        "return Verdict((parcel[:half], parcel[half:]))",
        "return Verdict((parcel[:half],))",
        ROUNDS,
    ),
    Mutant(
        "what is left after an outage is only what was sent last",
        "the refused changes are neither stored nor written down",
        "sinks/dynamodb/sink.py",
        "[*(error.left or ()), *puts.absent, *_refused(puts), *behind]",
        "[*(error.left or ())]",
        "tests/simulation/test_stores.py",
    ),
    Mutant(
        "answers are taken in the order in which they come",
        "the verdict on one row is given to another",
        "sinks/dynamodb/lane/lane.py",
        "        self._outcomes[connection.place] = outcome\n",
        "        self._outcomes[self._outcomes.index(None)] = outcome\n",
        LANE,
    ),
    Mutant(
        "a response is whole with its head",
        "the body of an answer is cut",
        "sinks/dynamodb/lane/reply.py",
        "    if missing > 0:\n",
        "    if missing > 10_000_000:\n",
        LANE,
    ),
    Mutant(
        "the day's signing key is kept for ever",
        "after midnight every request is refused",
        "sinks/dynamodb/lane/signature.py",
        "self._day_key[:2] == (keys, day)",
        "self._day_key[0] == keys",
        LANE,
    ),
    Mutant(
        "what the service says it took is not counted",
        "a share of the capacity is whatever the bytes suggest",
        "sinks/dynamodb/throughput.py",
        "            self._units += expected - measured\n",
        "            self._units += 0.0\n",
        ROUNDS,
    ),
    Mutant(
        "unprocessed writes that are not known again are forgotten",
        "a batch counts as stored that was not",
        "sinks/dynamodb/batches.py",
        "if len(unprocessed) != len(left):",
        "if False:",
        ROUNDS,
    ),
)

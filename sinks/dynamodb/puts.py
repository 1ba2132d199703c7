"""Conditional puts: PutItem bodies out of raw items, and what an answer means."""

from collections.abc import Callable, Iterable, Sequence

from botocore.exceptions import ClientError

from sinks.attributes import UnreadableItem
from sinks.change import Change, KeySchema
from sinks.dynamodb.capacity import consumed
from sinks.dynamodb.errors import code_of, is_rejection
from sinks.dynamodb.exchange import Outcome
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.rounds import TAKEN, Parcel, Verdict, Write, again
from sinks.dynamodb.throughput import expected_units
from sinks.dynamodb.wire import answer_of, conditional_put, put_body, versioned
from sinks.sink import Rejection

# "#k" stands for the partition key: its presence is the item's presence.
NEWER = "attribute_exists(#k) AND #v < :v"
NEWER_OR_ABSENT = "attribute_not_exists(#k) OR #v < :v"
_STORED = b"{}"


class Puts:
    """The puts of one `apply` or `load`.

    `rejections`: what can never be stored. `absent`: the condition failed and nothing is there, which is told
    where `show` asks for it.
    """

    def __init__(
        self, options: DynamoDbOptions, keys: KeySchema, condition: str, *, show: bool, measured: bool
    ) -> None:
        self._attribute = options.version_attribute
        self._head = put_body(options.table, keys, self._attribute, condition, show=show, measured=measured)
        self._show = show
        self.rejections: list[Rejection] = []
        self.absent: list[Change] = []

    def parcels(self, changes: Iterable[Change]) -> Sequence[Parcel]:
        """One put each."""
        return [(write,) for change in changes if (write := self._write(change)) is not None]

    def _write(self, change: Change) -> Write | None:
        assert change.item is not None  # noqa: S101  only puts come here
        try:
            return Write(change, versioned(change.item.json, self._attribute, change.version))
        except UnreadableItem as error:
            self.rejections.append(Rejection(change, str(error)))
            return None

    @property
    def body(self) -> Callable[[Parcel], bytes]:
        """Makes request bodies."""
        head = self._head
        return lambda parcel: conditional_put(head, parcel[0].change.version, parcel[0].json)

    def judge(self, parcel: Parcel, outcome: Outcome) -> Verdict:
        """Raises SinkMisconfigured."""
        if isinstance(outcome, bytes):
            return TAKEN if outcome == _STORED else Verdict(units=consumed(answer_of(outcome)))
        if not isinstance(outcome, ClientError):
            return again(parcel, outcome)
        if code_of(outcome) == "ConditionalCheckFailedException":
            if self._show and not outcome.response.get("Item"):
                self.absent.append(parcel[0].change)
            # Billed by the item's size, which the error does not tell (developer guide, "Condition expressions").
            return Verdict(units=expected_units(len(parcel[0].json)))
        if is_rejection(outcome):
            self.rejections.append(Rejection(parcel[0].change, f"the target refuses this item: {outcome}"))
            return TAKEN
        return again(parcel, outcome)

"""A seal that belongs to the past: it keeps no fence up, and behind COMMIT nobody asks for a stream that is gone."""

from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest
from botocore.exceptions import ClientError
from fakes import MemoryControl
from unit.managed_export import Clock, configured
from unit.test_cutover import LIMITS, SEEN

from daemon import seal
from daemon.control import Migration
from daemon.cutover import conditions
from daemon.observe import Observer
from daemon.phase import Phase
from daemon.seal import RECORD, SealState, SealStep
from daemon.switching import Step, Switch

GONE, HERE = "arn/stream/1", "arn/stream/2"


class Source:
    """A table whose first stream has been disabled for more than 24 hours; maybe it has another one."""

    def __init__(self, arn):
        self.arn, self.asked = arn, []

    def describe_table(self, **_):
        about = {"LatestStreamArn": self.arn, "StreamSpecification": {"StreamEnabled": self.arn == HERE}}
        keys = {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }
        return {"Table": {**about, **keys, "TableArn": "arn"}}

    def describe_time_to_live(self, **_):
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}

    def describe_stream(self, **asked):
        self.asked.append(asked["StreamArn"])
        if asked["StreamArn"] == GONE:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "gone"}}, "DescribeStream")
        told = {"StreamViewType": "NEW_IMAGE", "StreamStatus": "ENABLED", "Shards": []}
        return {"StreamDescription": {**told, "CreationRequestDateTime": datetime.now(UTC)}}


def moved(arn):
    config, source = configured(), Source(arn)
    config = config.model_copy(update={"tail": config.tail.model_copy(update={"proof": "seal"})})
    return SimpleNamespace(config=config, control=MemoryControl(), clock=Clock(), dynamodb=source, streams=source)


def switching(step, phase=Phase.SWITCHING, arn=HERE):
    made = Switch("two", step, 0.0, 9.0, sealing=True)
    return Migration(phase=phase, generation=3, stream_arn=arn, switch=made)


@pytest.mark.parametrize("step", [SealStep.SEALED, SealStep.REOPENING, SealStep.REOPENED])
def test_a_seal_of_a_stream_that_is_followed_no_more_keeps_no_fence_up(step):
    # A resync had come in between: REOPEN asked for the stream of before, for ever, and the writers stood.
    known = moved(HERE)
    known.control.put(RECORD, SealState("one", step, 0.0, GONE, "NEW_IMAGE", ""), 0)
    assert seal.reopen(known, switching(Step.REOPEN), 99.0).may_lift
    assert seal.recorded(known.control).attempt == "two"


def test_a_seal_of_before_does_not_stop_the_next_switch_under_its_fence():
    known = moved(HERE)
    known.control.put(RECORD, SealState("one", SealStep.REOPENED, 0.0, GONE, "NEW_IMAGE", ""), 0)
    assert seal.advance(known, switching(Step.DRAIN), 99.0).step is SealStep.WATCHING


def test_a_switch_is_refused_before_its_fence_while_the_stream_of_the_last_one_is_not_followed_yet():
    known = moved(HERE)
    known.control.put("migration", Migration(stream_arn=GONE), 0)
    known.control.put(RECORD, SealState("one", SealStep.REOPENED, 0.0, GONE, "NEW_IMAGE", "", new_arn=HERE), 0)
    assert "is not followed yet" in seal.refused(known)[0]
    known.control.update("migration", Migration, lambda _: Migration(stream_arn=HERE))
    assert seal.refused(known) == []


def test_behind_commit_a_sealed_stream_is_looked_at_no_more_for_a_day_later_it_is_gone():
    # Every turn failed on it: nothing was published any more, and a replica that restarted was never ready.
    known = moved(GONE)
    known.control.put(RECORD, SealState("two", SealStep.SEALED, 0.0, GONE, "NEW_IMAGE", "", sealed_at=5.0), 0)
    known.dead_letters = None
    committed = switching(Step.DONE, Phase.SWITCHED, GONE)
    observer = Observer(known, committed, SimpleNamespace(hazard=lambda: None))
    look = observer.look(committed, settled=True)
    assert (look.observation.gap, look.observation.strays, known.streams.asked) == (None, 0, [])


def test_whoever_cannot_see_stray_writes_does_not_say_that_there_are_none():
    committed = switching(Step.DONE, Phase.SWITCHED)
    told = conditions(committed, SEEN, LIMITS)[-1]
    assert (told.type, told.status, told.reason) == ("NoStrayWrites", True, "NotSeen")
    assert "cannot be seen" in told.message
    seen = msgspec.structs.replace(committed, switch=Switch("two", Step.DONE, 0.0, 9.0))
    assert conditions(seen, SEEN, LIMITS)[-1].reason == "NoneSeen"

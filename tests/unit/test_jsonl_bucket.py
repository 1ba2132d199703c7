"""What S3's refusals mean for the sink of JSON lines."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from fakes import ObjectStore

from sinks.jsonl.bucket import BucketObjects
from sinks.sink import SinkMisconfigured, SinkUnavailable


class Refusing(ObjectStore):
    """S3 that refuses puts so often, or for ever; a lost answer: the object is there all the same."""

    def __init__(self, error, *, times=10**9, lost=False):
        super().__init__()
        self.error, self.times, self.lost = error, times, lost

    def head_bucket(self, **_):
        raise self.error

    def put_object(self, **request):
        if self.times and self.lost:
            super().put_object(**request)
        if self.times:
            self.times -= 1
            raise self.error
        return super().put_object(**request)


def answered(code):
    return ClientError({"Error": {"Code": code, "Message": "because"}}, "PutObject")


def objects(store):
    return BucketObjects(store, "s3://b/p", "stem", ".jsonl")


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "PermanentRedirect"])
def test_a_denied_or_missing_bucket_needs_a_person(code):
    with pytest.raises(SinkMisconfigured, match=rf"s3://b/p.*{code}.*s3:PutObject"):
        objects(Refusing(answered(code))).append(b"1\n")


@pytest.mark.parametrize("error", [answered("SlowDown"), answered("500"), EndpointConnectionError(endpoint_url="x")])
def test_a_busy_s3_is_waited_for(error):
    store = Refusing(error, times=1)
    made = objects(store)
    with pytest.raises(SinkUnavailable):
        made.append(b"1\n")
    made.append(b"1\n")
    assert list(store.objects.values()) == [b"1\n"]


def test_a_write_that_lands_although_its_answer_was_lost_replaces_nothing():
    store = Refusing(answered("500"), times=1, lost=True)
    made = objects(store)
    with pytest.raises(SinkUnavailable):
        made.append(b"1\n")
    made.append(b"2\n")
    assert sorted(store.objects.values()) == [b"1\n", b"2\n"]


def test_whoever_may_write_need_not_be_allowed_to_list():
    objects(Refusing(answered("403"))).check()
    with pytest.raises(SinkMisconfigured):
        objects(Refusing(answered("404"))).check()

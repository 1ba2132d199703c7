"""The network between the engine and its servers fails in every way we know; what was confirmed is still true."""

import contextlib
import itertools
import random
import threading
import time
from functools import partial
from urllib.parse import urlsplit

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from faults.proxy import FaultProxy
from sink_contract import TEXT_KEYS, deleted, put

from daemon.control import Conflict, Control
from daemon.demo.export import write_export
from daemon.retry import Retrying
from daemon.source import files
from daemon.source.export import read_export
from daemon.source.pages import Sources, pages
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import Key, newest
from sinks.dynamodb.options import DynamoDbOptions
from sinks.dynamodb.sink import DynamoDbSink
from sinks.sink import SinkUnavailable

pytestmark = pytest.mark.server

FAULTS = {
    "refuse": FaultProxy.refuse,
    "black_hole": FaultProxy.black_hole,
    "mute": FaultProxy.mute,
    "reset_after": partial(FaultProxy.reset_after, n_bytes=4000),
    "delay": partial(FaultProxy.delay, seconds=0.6),
    "slice": partial(FaultProxy.slice, n_bytes=200),
}
# Shorter than a delayed answer: requests are given up that arrive all the same.
TIMEOUT_SECONDS = 0.4
# A short one to be ridden out, and one that outlasts a client's own attempts.
SPELLS_SECONDS, CLEAR_SECONDS = (0.3, 1.6), 0.2
ROUNDS_MAX = 20
_cases = itertools.count(1)
AWAY = (ClientError, BotoCoreError)
each_fault = pytest.mark.parametrize("fault", FAULTS)


class Storm:
    """The fault and clear spells by turns, from a thread; clear at the end."""

    def __init__(self, proxy, fault):
        self._proxy = proxy
        self._begin = FAULTS[fault]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._blow)

    @property
    def over(self):
        return self._over.is_set()

    def _blow(self):
        for _ in range(ROUNDS_MAX):
            for seconds in SPELLS_SECONDS:
                self._begin(self._proxy)
                self._over.wait(seconds)
                self._proxy.pass_through()
                self._over.wait(CLEAR_SECONDS)
            if self._proxy.struck:  # on a busy machine a spell may pass between two requests
                break
        self._over.set()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def port_of(server):
    return urlsplit(server.endpoint_url).port


def boto(service, port, timeout_seconds=TIMEOUT_SECONDS):
    """A client of no patience, where it is not given some."""
    config = Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": 2},
        s3={"addressing_style": "path"},
    )
    return boto3.client(service, region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}", config=config)


@pytest.fixture(params=["cassandra", "cassandra by driver", "dynamodb"])
def kind(request):
    return request.param


@pytest.fixture
def port(kind, request):
    """The port of this kind's server."""
    server = request.getfixturevalue(kind.split()[0])
    return port_of(server) if kind == "dynamodb" else server.port


@pytest.fixture
def make_sink(kind, port):
    """A sink of this kind on one table for all cases; by way of a proxy where its port is given."""
    made = []

    def make(at=port, timeout_seconds=10.0):
        patience = {"request_timeout_seconds": timeout_seconds, "create_table": True, "table": "faults"}
        if kind != "dynamodb":
            place = {"contact_points": ["127.0.0.1"], "port": at, "local_datacenter": "datacenter1"}
            place["transport"] = "driver" if kind.endswith("driver") else "lane"
            made.append(CassandraSink(CassandraOptions(**place, **patience, keyspace="moved"), TEXT_KEYS))
        else:
            place = {"region": "us-east-1", "endpoint_url": f"http://127.0.0.1:{at}"}
            made.append(DynamoDbSink(DynamoDbOptions(kind="dynamodb", **place, **patience), TEXT_KEYS))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def batches():
    """Without end: puts and deletes of a few keys, versions rising, and keys that are written only once."""
    case, chance, versions = f"case-{next(_cases)}", random.Random(1), itertools.count(1)

    def change(order):
        key, version = Key(case, order), next(versions)
        return deleted(key, version) if chance.random() < 0.3 else put(key, version, text="x" * chance.randrange(400))

    for number in itertools.count():
        again = [str(chance.randrange(20)) for _ in range(20)]
        yield [change(order) for order in (*again, *(f"once-{number}-{n}" for n in range(5)))]


def test_all_that_a_sink_sends_goes_through_the_proxy(port, make_sink):
    with FaultProxy(port) as proxy:
        sink = make_sink(proxy.port)
        sink.open()
        before = proxy.to_server_bytes
        noise = random.Random(1).randbytes(100_000).hex()
        assert list(sink.apply([put(Key("counted", "1"), 1, text=noise)])) == []
        assert proxy.to_server_bytes - before > len(noise)
        sink.close()


class Away:
    """What a process with a sink knows of its troubles."""

    def __init__(self):
        self.heard = []

    def retrying(self, sink):
        return Retrying(
            sink, on_trouble=self.heard.append, wanted=lambda: True, sleep=lambda seconds: time.sleep(min(seconds, 0.2))
        )


def apply_through(proxy, fault, sink):
    """Batch after batch until the storm is over; the changes of those that were confirmed."""
    applied, coming = [], batches()
    with Storm(proxy, fault) as storm:
        while not storm.over:
            batch = next(coming)
            assert list(sink.apply(batch)) == []
            applied += batch
    return applied


def differences(sink, applied):
    """The keys whose last change is not what the target holds."""
    sink.open()
    last = newest(applied)
    held = {key: stored.version for key, stored in sink.read([change.key for change in last]).items()}
    expected = {change.key: change.version for change in last if change.item is not None}
    return dict(held.items() ^ expected.items())


@each_fault
def test_what_was_applied_through_a_bad_network_is_what_the_target_holds(fault, port, make_sink):
    make_sink().open()  # makes the table in peace
    away = Away()
    with FaultProxy(port) as proxy:
        sink = away.retrying(make_sink(proxy.port, TIMEOUT_SECONDS))
        sink.open()
        applied = apply_through(proxy, fault, sink)
        sink.close()
    assert proxy.struck
    assert differences(make_sink(), applied) == {}
    assert away.heard[-1:] in ([], [None])


class Careless:
    """Planted: a request that was not answered counts as done."""

    def __init__(self, sink):
        self._sink = sink
        self.unanswered = 0

    def apply(self, changes):
        with contextlib.suppress(SinkUnavailable):
            return self._sink.apply(changes)
        self.unanswered += 1
        time.sleep(0.1)
        return ()


def test_a_sink_that_takes_silence_for_an_answer_is_found_out(port, make_sink):
    make_sink().open()
    with FaultProxy(port) as proxy:
        sink = make_sink(proxy.port, TIMEOUT_SECONDS)
        Away().retrying(sink).open()
        careless, applied = Careless(sink), []
        for _ in range(ROUNDS_MAX):  # a spell that no batch fell into has hurt nobody
            applied += apply_through(proxy, "refuse", careless)
            if careless.unanswered:
                break
        sink.close()
    assert careless.unanswered
    assert differences(make_sink(), applied)


@pytest.mark.parametrize("kind", ["cassandra"])
def test_the_driver_tries_to_reconnect_every_few_seconds_however_long_the_outage_lasts(make_sink):
    sink = make_sink()
    sink.open()
    pauses = list(itertools.islice(sink._cluster.reconnection_policy.new_schedule(), 10_000))
    assert len(pauses) == 10_000
    assert max(pauses) <= 5


class Counter(msgspec.Struct, frozen=True):
    value: int = 0


@each_fault
def test_no_update_of_a_control_record_undoes_another_whatever_went_unanswered(fault, dynamodb, fresh_name):
    """A put that was applied and not acknowledged is made again on top of itself: counted twice, never lost."""
    table, tried, returned = fresh_name(), [], []

    def one_more(found):
        tried.append(1)
        return Counter(found.value + 1 if found else 1)

    def count():
        control = Control(boto("dynamodb", proxy.port), table, "orders")
        while not storm.over:
            try:
                returned.append(control.update("counter", Counter, one_more).value)
            except (*AWAY, Conflict):
                time.sleep(0.05)

    in_peace = Control(boto("dynamodb", port_of(dynamodb), timeout_seconds=30), table, "orders")
    in_peace.create_table()
    with FaultProxy(port_of(dynamodb)) as proxy, Storm(proxy, fault) as storm:
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counter, revision = in_peace.get("counter", Counter)
    assert counter.value == revision  # each put that was applied stands on the one before
    assert len(set(returned)) == len(returned)  # no two updates took the same step for theirs
    assert 0 < len(returned) <= counter.value <= len(tried)
    assert proxy.struck


@pytest.fixture
def export(s3):
    """Its manifest, and its rows: 2 MB that do not compress well."""
    chance = random.Random(1)
    items = [
        {"customer": {"S": "alice"}, "order": {"S": str(n)}, "noise": {"S": chance.randbytes(400).hex()}}
        for n in range(2500)
    ]
    client = boto("s3", port_of(s3), timeout_seconds=30)  # what is prepared meets no fault
    client.create_bucket(Bucket="faults")
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders"
    yield write_export(client, "faults", "e", arn, items, files=3), {item["order"]["S"] for item in items}
    client.close()


def read_all(client, manifest):
    parts = read_export(client, manifest).parts
    read = itertools.chain.from_iterable(pages(Sources(client, TEXT_KEYS), part) for part in parts)
    return {key.sort for page in read for key, _ in page.rows}


@each_fault
def test_an_export_is_read_whole_or_not_and_a_bad_network_is_not_taken_for_a_bad_export(fault, s3, export):
    manifest, expected = export
    readings = 0
    with FaultProxy(port_of(s3)) as proxy:
        client = boto("s3", proxy.port)
        with Storm(proxy, fault) as storm:
            while not (storm.over and readings):
                try:
                    assert read_all(client, manifest) == expected
                    readings += 1
                except AWAY:  # as documented, and never ExportUnusable: the export is what it was
                    time.sleep(0.05)
        assert readings
        assert proxy.struck
        assert read_all(boto("s3", proxy.port, timeout_seconds=30), manifest) == expected
        client.close()


@pytest.mark.parametrize("fault", ["refuse", "black_hole"])
def test_a_file_that_breaks_off_in_the_middle_is_a_matter_of_the_network(fault, s3, export):
    manifest, expected = export
    with FaultProxy(port_of(s3)) as proxy:
        client = boto("s3", proxy.port)
        part = max(read_export(client, manifest).parts, key=lambda part: part.items)
        etag = files.verify(client, part)
        proxy.slice(1000)  # slow enough to be cut before it is through
        reading = files.blocks(client, part, etag, files.row_reader(TEXT_KEYS))
        assert next(reading)
        FAULTS[fault](proxy)
        with pytest.raises(AWAY):
            list(reading)
        proxy.pass_through()
        assert read_all(boto("s3", proxy.port, timeout_seconds=30), manifest) == expected
        client.close()

"""Three replicas at LOCAL_QUORUM: one may be away and nobody notices, two may not and nothing is lost.

The tests stand in the order in which the nodes go: each makes the state that it needs, and none brings back more.
"""

import itertools
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from cassandra import OperationTimedOut
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import RoundRobinPolicy
from sink_contract import TEXT_KEYS, SinkContract, deleted, put

from daemon.demo.servers.cassandra_cluster import CassandraCluster
from daemon.demo.servers.process import ServerFailed
from daemon.retry import Retrying
from sinks.cassandra.options import CassandraOptions
from sinks.cassandra.sink import CassandraSink
from sinks.change import Key
from sinks.memory import MemorySink
from sinks.sink import SinkUnavailable

pytestmark = pytest.mark.server
BATCH, BATCHES_BEFORE, BATCHES_AFTER = 40, 10, 30
HOT_KEYS = 50  # puts, deletions and older changes meet on each
SECONDS_MAX = 120


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with ExitStack() as stack:
        try:
            yield stack.enter_context(met(tmp_path_factory.mktemp("three")))
        except NotMet:
            # A port that was free when the first node began may be taken when the third does.
            yield stack.enter_context(met(tmp_path_factory.mktemp("three-again")))


class NotMet(Exception):
    """The nodes did not come up, or do not know each other."""


@contextmanager
def met(folder):
    with ExitStack() as stack:
        try:
            made = stack.enter_context(CassandraCluster(folder))
            introduce(made)
        except (ServerFailed, NoHostAvailable, OperationTimedOut, AssertionError) as error:
            raise NotMet(f"three nodes: {error}") from error
        yield made


def introduce(made):
    profile = ExecutionProfile(RoundRobinPolicy(), request_timeout=60)
    driver = Cluster(made.hosts, port=made.port, protocol_version=4, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    try:
        session = driver.connect()
        # A node that has just joined may take a statement that the others hear of later, or never, if it is killed.
        everywhere(driver, session, "SELECT peer FROM system.peers", rows=2)
        session.execute(
            "CREATE KEYSPACE moved WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}"
        )
        everywhere(driver, session, "SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'moved'", rows=1)
    finally:
        driver.shutdown()


def everywhere(driver, session, query, rows):
    """Waits until each node answers with so many rows."""
    until = time.monotonic() + SECONDS_MAX
    for host in driver.metadata.all_hosts():
        while len(session.execute(query, host=host).all()) != rows:
            assert time.monotonic() < until, f"{host} does not answer {query} with {rows} row(s)"
            time.sleep(0.2)


@pytest.fixture
def build(cluster):
    def make(table, keys=TEXT_KEYS, **options):
        place = {"contact_points": cluster.hosts, "port": cluster.port, "local_datacenter": "datacenter1"}
        settings = {**place, "keyspace": "moved", "table": table, "create_table": True, **options}
        return CassandraSink(CassandraOptions(**settings), keys)

    return make


@pytest.fixture
def make_sink(build, fresh_name):
    made, state = [], {}

    def make(keys, *, fresh=True):
        if fresh:
            state["table"] = fresh_name()
        sink = build(state["table"], keys)
        sink.open()
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


def batches():
    """Keys that nobody writes again, whose loss would stay, and hot ones with versions out of order."""
    for number in itertools.count():
        changes = []
        for at in range(BATCH):
            step = number * BATCH + at
            key = Key("hot", str(step % HOT_KEYS)) if step % 4 == 0 else Key("cold", str(step))
            version = step ^ 5
            changes.append(deleted(key, version) if step % 20 == 0 else put(key, version, step=str(step)))
        yield changes


def test_a_node_killed_under_load_loses_nothing_and_stops_nobody(cluster, make_sink):
    sink, model = make_sink(TEXT_KEYS), MemorySink()
    loaded, killed, troubles = threading.Event(), threading.Event(), []
    retrying = Retrying(sink, on_trouble=troubles.append, wanted=lambda: True)

    def load():
        left = BATCHES_AFTER
        for number, changes in enumerate(batches()):
            assert list(retrying.apply(changes)) == []
            model.apply(changes)
            if number == BATCHES_BEFORE:
                loaded.set()
            left -= killed.is_set()
            if left == 0:
                return

    writing = threading.Thread(target=load)
    writing.start()
    assert loaded.wait(SECONDS_MAX)
    cluster.nodes[2].kill()
    killed.set()
    writing.join(SECONDS_MAX)
    assert not writing.is_alive()
    assert same(sink, model)


def same(sink, model):
    """What the target holds is what the newest change of each key says."""
    keys = list(model.changes)
    held = {key: (stored.version, stored.item.attributes()) for key, stored in sink.read(keys).items()}
    return held == {key: (stored.version, stored.item.attributes()) for key, stored in model.read(keys).items()}


class TestOneOfThreeIsDown(SinkContract):
    @pytest.fixture(autouse=True)
    def down(self, cluster):
        cluster.nodes[2].kill()


def test_two_of_three_down_is_unavailable_and_goes_on_when_one_is_back(cluster, make_sink):
    sink, model = make_sink(TEXT_KEYS), MemorySink()
    source = batches()
    known = next(source)
    assert list(sink.apply(known)) == []
    model.apply(known)
    cluster.nodes[2].kill()
    cluster.nodes[1].kill()
    waiting = next(source)
    with pytest.raises(SinkUnavailable):
        sink.apply(waiting)
    cluster.nodes[1].start()
    heard = []
    until = time.monotonic() + SECONDS_MAX
    retrying = Retrying(sink, on_trouble=heard.append, wanted=lambda: time.monotonic() < until)
    assert list(retrying.apply(waiting)) == []
    model.apply(waiting)
    assert same(sink, model)

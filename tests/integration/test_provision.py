"""`schema` and `complete` of a CQL target, on a real node."""

import pytest
from sink_contract import KEY, TEXT_KEYS, apply, held, put

from sinks.cassandra import settings, views
from sinks.cassandra.options import CassandraOptions, CreateKeyspace
from sinks.cassandra.sink import CassandraSink
from sinks.change import KeyAttribute, KeySchema
from sinks.provision import Completable, Described, Guarded, Provisioned, SourceTable
from sinks.sink import SinkMisconfigured, SinkUnavailable, TargetMissing

pytestmark = pytest.mark.server

SOURCE = SourceTable({})
ONE = CreateKeyspace(replication={"class": "SimpleStrategy", "replication_factor": 1})


@pytest.fixture
def target(cassandra, fresh_name):
    """A sink on a table that is not there yet; it is never opened here."""
    place = {"contact_points": [cassandra.host], "port": cassandra.port, "local_datacenter": "datacenter1"}

    def make(keys=TEXT_KEYS, **options):
        return CassandraSink(CassandraOptions(**{**place, "keyspace": "moved", "table": fresh_name(), **options}), keys)

    return make


@pytest.fixture
def made(target):
    sink = target()
    sink.apply_schema(sink.schema_steps(SOURCE))
    return sink


def name(sink):
    return f'"{sink._options.keyspace}"."{sink._options.table}"'


def statements(sink):
    return [step.statement for step in sink.schema_steps(SOURCE)]


def option(session, sink, column):
    where = "keyspace_name = %s AND table_name = %s"
    place = (sink._options.keyspace, sink._options.table)
    return session.execute(f"SELECT {column} FROM system_schema.tables WHERE {where}", place).one()[0]  # noqa: S608


def test_a_cql_sink_says_what_it_needs_and_takes_nothing_else_back(target):
    kinds = (Described, Provisioned, Guarded, Completable)
    assert [isinstance(target(), kind) for kind in kinds] == [True, True, True, False]


def test_a_missing_table_is_made_and_then_nothing_is_missing(target):
    sink = target()
    assert [statement[:12] for statement in statements(sink)] == ["CREATE TABLE"]
    sink.apply_schema(sink.schema_steps(SOURCE))
    assert statements(sink) == []
    sink.open()
    try:
        apply(sink, put(KEY, 1, a="x"))
        assert held(sink)[0] == 1
    finally:
        sink.close()


def test_what_is_done_already_is_not_done_again(target):
    sink = target()
    steps = sink.schema_steps(SOURCE)
    sink.apply_schema(steps)
    sink.apply_schema(steps)
    assert statements(sink) == []


def test_a_keyspace_that_nobody_describes_is_a_proposal_and_is_not_made(target, fresh_name):
    sink = target(keyspace=f"ks_{fresh_name()}")
    first, second = sink.schema_steps(SOURCE)
    assert (first.by_hand, second.by_hand) == (True, False)
    assert "'NetworkTopologyStrategy', 'datacenter1': '3'" in first.statement
    with pytest.raises(SinkMisconfigured, match="CREATE KEYSPACE"):
        sink.apply_schema([first, second])


def test_a_keyspace_that_is_described_is_made_with_its_table(target, fresh_name, session):
    sink = target(keyspace=f"ks_{fresh_name()}", create_keyspace=ONE)
    sink.apply_schema(sink.schema_steps(SOURCE))
    assert statements(sink) == []
    assert session.execute(f"SELECT * FROM {name(sink)}").one() is None  # noqa: S608


def test_with_create_table_a_described_keyspace_is_made_when_the_move_begins(target, fresh_name):
    space = {"keyspace": f"ks_{fresh_name()}", "create_keyspace": ONE}
    with pytest.raises(TargetMissing):
        target(**space).open()
    sink = target(**space, create_table=True)
    sink.open()
    sink.close()
    assert statements(sink) == []


def test_a_proposed_keyspace_can_be_run_as_it_stands(target, fresh_name, session):
    sink = target(keyspace=f"ks_{fresh_name()}")
    session.execute(sink.ddl(SOURCE)[0].statement.replace("'3'", "'1'"))
    sink.apply_schema(sink.schema_steps(SOURCE))
    assert statements(sink) == []


def test_all_of_it_is_told_without_a_cluster(target):
    sink = target(contact_points=["127.0.0.1"], port=1)
    keyspace, table, on_scylla = sink.ddl(SOURCE)
    assert keyspace.statement.startswith("CREATE KEYSPACE")
    assert table.statement.startswith("CREATE TABLE")
    assert on_scylla.by_hand
    assert "tombstone_gc" in on_scylla.statement
    with pytest.raises(SinkUnavailable):
        sink.schema_steps(SOURCE)


def test_a_missing_column_is_added_and_another_type_is_refused(made, session):
    session.execute(f"ALTER TABLE {name(made)} DROP version")
    assert statements(made) == [f'ALTER TABLE {name(made)} ADD "version" bigint']
    made.apply_schema(made.schema_steps(SOURCE))
    assert statements(made) == []
    other = CassandraSink(made._options, KeySchema(KeyAttribute("customer", "N"), KeyAttribute("order", "S")))
    with pytest.raises(SinkMisconfigured, match="is text, not decimal"):
        other.schema_steps(SOURCE)


UNSAFE = {
    "gc_grace_seconds": "60",
    "default_time_to_live": "3600",
    "compaction": settings.literal(
        {
            "class": "org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy",
            "compaction_window_size": "2",
            "compaction_window_unit": "HOURS",
            "max_threshold": "32",
            "min_threshold": "4",
        }
    ),
}


def alter(session, sink, unsafe):
    for setting, value in unsafe.items():
        session.execute(settings.alter(name(sink), setting, value))


def told_settings(session, sink):
    return {setting: settings.literal(option(session, sink, setting)) for setting in UNSAFE}


def test_every_unsafe_setting_is_altered_and_what_was_there_can_be_given_back(made, session):
    alter(session, made, UNSAFE)
    steps = made.schema_steps(SOURCE)
    before = {setting: value for step in steps for setting, value in step.before.items()}
    assert before == UNSAFE == told_settings(session, made)
    with pytest.raises(SinkMisconfigured, match="moveout schema --apply"):
        made.open()
    assert list(made.hazards()) == steps
    made.apply_schema(steps)
    assert (statements(made), list(made.hazards())) == ([], [])
    made.open()
    made.close()
    told = []
    made.restore(before, told.append)
    assert told_settings(session, made) == UNSAFE
    assert len(told) == 3
    made.restore(before, told.append)
    assert told_settings(session, made) == UNSAFE


def test_somebody_who_alters_a_setting_back_is_noticed_also_by_a_sink_that_is_open(made, session):
    made.open()
    try:
        assert list(made.hazards()) == []
        session.execute(f"ALTER TABLE {name(made)} WITH gc_grace_seconds = 0")
        (hazard,) = made.hazards()
        assert "gc_grace_seconds is 0" in hazard.why
        assert made.apply([put(KEY, 1, a="x")]) == []
    finally:
        made.close()


def test_a_table_that_is_gone_is_a_hazard(made, session):
    session.execute(f"DROP TABLE {name(made)}")
    assert "does not exist" in made.hazards()[0].why
    with pytest.raises(SinkMisconfigured, match="does not exist"):
        made.restore({"gc_grace_seconds": "60"}, print)


def test_only_settings_that_a_move_alters_are_given_back(made):
    with pytest.raises(SinkMisconfigured, match="no move alters comment"):
        made.restore({"comment": "'x'"}, print)


def test_proposed_views_and_indexes_are_cql_that_a_node_takes(made, session):
    session.execute(f'ALTER TABLE {name(made)} ADD ("city" text, "total" decimal)')
    typed = {"customer": "customer", "order": "order", "city": "city", "total": "total"}

    def index(*parts, **projection):
        schema = [{"AttributeName": p, "KeyType": k} for p, k in zip(parts, ("HASH", "RANGE"), strict=False)]
        return {"IndexName": "-".join(parts), "KeySchema": schema, "Projection": projection}

    told = [
        index("city"),
        index("customer", "total"),
        index("order", "city", ProjectionType="KEYS_ONLY"),
        index("order", "customer", ProjectionType="INCLUDE", NonKeyAttributes=["city"]),
        index("city", "total"),
    ]
    source = SourceTable({"GlobalSecondaryIndexes": told})
    steps = list(views.proposals(source, made._options, TEXT_KEYS, typed, ()))
    for step in steps:
        session.execute(step.statement)
    assert [step.statement[:10] for step in steps] == ["CREATE MAT"] * 4 + ["CREATE IND"]
    there = [step.statement for step in made.schema_steps(SourceTable({"GlobalSecondaryIndexes": told[3:4]}))]
    assert there == []


def test_a_keyspace_that_is_replicated_otherwise_than_described_is_told_and_left_alone(target, session):
    described = CreateKeyspace(replication={"class": "NetworkTopologyStrategy", "datacenter1": 3})
    sink = target(create_keyspace=described)
    sink.apply_schema(sink.schema_steps(SOURCE))
    (step,) = sink.schema_steps(SOURCE)
    assert (step.by_hand, step.statement.startswith('ALTER KEYSPACE "moved" WITH replication = ')) == (True, True)
    session.cluster.refresh_keyspace_metadata("moved")
    assert session.cluster.metadata.keyspaces["moved"].replication_strategy.export_for_schema() == (
        "{'class': 'SimpleStrategy', 'replication_factor': '1'}"
    )
    assert statements(target(create_keyspace=ONE))[0].startswith("CREATE TABLE")
    assert len(statements(target(create_keyspace=ONE))) == 1

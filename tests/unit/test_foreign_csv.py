import json
from decimal import Decimal
from pathlib import Path

import pytest

from daemon.sections import Csv, Files
from daemon.source.foreign.csv_files import csv_rows, csv_table
from daemon.source.foreign.damage import DamagedFile
from daemon.source.foreign.table_definition import Unsuitable
from sinks.attributes import UnreadableItem
from sinks.change import Key, KeyAttribute, KeySchema

GOLDEN = Path(__file__).parent.parent / "fixtures" / "foreign" / "csv"
LOAD = (GOLDEN / "hr/employee/LOAD001.csv").read_bytes()
DEFINITION, MAPPINGS = GOLDEN / "employee.definition.json", GOLDEN / "employee.mappings.json"
KEYS = KeySchema(KeyAttribute("Pk", "S"), KeyAttribute("Sk", "N"))
BY_ID = KeySchema(KeyAttribute("Id", "N"))


def rows_of(text, **options):
    return list(csv_rows(iter([text]), Csv(**options)))


def files(mappings=MAPPINGS, definition=DEFINITION, **options):
    return Files(location="/x", table_definition=definition, table_mappings=mappings, csv=Csv(**options))


def changed(tmp_path, path, change):
    """The document, with a change."""
    document = json.loads(path.read_text())
    change(document)
    there = tmp_path / path.name
    there.write_text(json.dumps(document))
    return there


def items(keys, text=LOAD, **of_files):
    row = csv_table(files(**of_files), keys).mapping.row
    return [(key, item.attributes()) for key, item in (row(fields) for _, fields in rows_of(text))]


def test_map_record_to_record_makes_items_by_the_guides_rules():
    found = items(KEYS)
    assert [key for key, _ in found] == [
        Key("101,Smith", Decimal(101)),
        Key("102,Smith, jr.", Decimal(102)),
        Key("103,Smith", Decimal(103)),
    ]
    assert found[0][1] == {
        "Pk": "101,Smith",
        "Sk": Decimal(101),
        "Id": Decimal(101),
        "HireDate": "2014-06-04",
        "OfficeLocation": "New York",
        "Rate": Decimal("1.5"),
        "Active": True,
        "Info": {"Hire": "2014-06-04", "Where": ["New York"]},
    }


def test_nulls_are_left_out_also_inside_of_documents():
    third = items(KEYS)[2][1]
    assert "HireDate" not in third
    assert third["Info"] == {"Where": ["Dallas"]}
    assert "Rate" not in items(KEYS)[1][1]


def test_without_mappings_each_column_is_an_attribute():
    key, item = items(BY_ID, mappings=None)[2]
    assert key == Key(Decimal(103))
    assert item == {
        "Id": Decimal(103),
        "LastName": "Smith",
        "FirstName": 'Bob "the" third',
        "OfficeLocation": "Dallas",
        "Rate": Decimal(1000),
        "Active": True,
    }


def test_map_record_to_document_puts_the_columns_into_doc(tmp_path):
    def to_document(document):
        document["rules"][1]["rule-action"] = "map-record-to-document"

    _, item = items(KEYS, mappings=changed(tmp_path, MAPPINGS, to_document))[1]
    assert item == {
        "_doc": {"Id": Decimal(102), "HireDate": "2015-10-08", "OfficeLocation": "Los\nAngeles", "Active": False},
        "Pk": "102,Smith, jr.",
        "Sk": Decimal(102),
        "Info": {"Hire": "2015-10-08", "Where": ["Los\nAngeles"]},
    }


def test_a_leading_column_of_operations_is_taken_off():
    assert items(BY_ID, b"I,1,a,b,,,,\nINSERT,2,a,b,,,,\n", mappings=None)[1][0] == Key(Decimal(2))


def test_a_row_with_newlines_in_quotes_is_one_row_and_lines_are_counted_on():
    assert [(line, len(fields)) for line, fields in rows_of(LOAD)] == [(1, 7), (3, 7), (4, 7)]


def test_the_header_is_skipped_where_it_is_said_to_be_there():
    assert rows_of(b"a,b\n1,2\n", ignore_header_rows=1) == [(2, ["1", "2"])]


def test_other_delimiters_and_quotes_as_text():
    assert rows_of(b'a|"b\nc|d', delimiter="|", rfc4180=False) == [(1, ["a", '"b']), (2, ["c", "d"])]
    assert rows_of(b'a,"b~~c"~~d,e~~', row_delimiter="~~") == [(2, ["a", "b~~c"]), (3, ["d", "e"])]
    assert rows_of(b"a,b\r\nc,d\r\n", row_delimiter="\r\n") == [(1, ["a", "b"]), (2, ["c", "d"])]


def test_a_text_for_null_leaves_empty_text_a_value():
    _, item = items(BY_ID, b"1,,\\N,,,\\N,\\N\n", mappings=None, null_value="\\N")[0]
    assert item == {"Id": Decimal(1), "LastName": "", "HireDate": "", "OfficeLocation": ""}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"1,a\n", "2 fields, the table definition has 7 columns"),
        (b"U,1,a,b,,,,\n", "Files of changes are not loaded"),
        (b",a,b,,,,\n", "column Id: NULL .* where ColumnNullable is false"),
        (b"1.5,a,b,,,,\n", "column Id: '1.5' is no whole number"),
        (b"1,a,b,,,%s,\n" % (b"9" * 39), "column Rate: '9+' has 39 significant digits"),
        (b"1,a,b,,,,maybe\n", "column Active: 'maybe' is no boolean"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_the_column_named(text, told):
    with pytest.raises(UnreadableItem, match=told):
        items(BY_ID, text, mappings=None)


def test_a_key_attribute_that_is_null_is_refused():
    with pytest.raises(UnreadableItem, match="key attribute LastName is NULL or empty"):
        items(KeySchema(KeyAttribute("LastName", "S")), b"1,,b,,,,\n", mappings=None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'1,"a\n2,b\n', "line 2: not CSV"),
        (b'1,"a"b\n', "line 1: not CSV"),
        (b"1,a\n2,\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_text_that_is_no_csv_is_told_with_its_line(text, told):
    with pytest.raises(DamagedFile, match=told):
        rows_of(text)


def rule(path, value):
    def change(document):
        *way, last = path
        for step in way:
            document = document[step]
        document[last] = value

    return change


IN_RULE = ("rules", 1, "mapping-parameters")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (rule((*IN_RULE, "condition-expression"), {"expression": "x"}), "condition-expression .* take it out"),
        (rule((*IN_RULE, "partition-key-name"), "Id"), "names the key attribute 'Id', the table's is 'Pk'"),
        (rule((*IN_RULE, "exclude-columns"), ["Nobody"]), "exclude-columns names Nobody"),
        (rule((*IN_RULE, "attribute-mappings"), []), "key attribute 'Pk' must be of type S, found none"),
        (rule((*IN_RULE, "attribute-mappings", 0, "value"), "${Nobody}"), "attribute 'Pk': .*Nobody.* is no column"),
        (rule((*IN_RULE, "attribute-mappings", 0, "attribute-sub-type"), "number"), "'Pk' must be of type S, found N"),
        (rule((*IN_RULE, "attribute-mappings", 2, "attribute-sub-type"), "dynamodb-list"), '"L":.* expected outermost'),
        (rule((*IN_RULE, "attribute-mappings", 2, "attribute-sub-type"), "xml"), "document xml is not known"),
        (rule((*IN_RULE, "attribute-mappings", 2, "value"), {"M": {"a": {"SS": []}}}), "'SS' is not followed"),
        (rule(("rules", 1, "rule-action"), "map-record-to-nothing"), "rule 2: rule-action"),
        (rule(("rules", 1, "rule-type"), "transformation"), "rule 2: rule-type 'transformation' is not followed"),
        (rule(("rules", 0, "filters"), [{}]), "rule 1: a selection with filters"),
        (rule(("rules", 0, "rule-action"), "exclude"), "selects 0 tables"),
        (rule(("rules", 0), {"rule-type": "table-settings", "rule-id": 1}), "has no selection rule"),
        (rule(("rules",), 7), "is not DMS's table mappings"),
    ],
)
def test_mappings_that_cannot_be_followed_are_refused_before_a_row_is_read(tmp_path, change, told):
    with pytest.raises(Unsuitable, match=told):
        csv_table(files(mappings=changed(tmp_path, MAPPINGS, change)), KEYS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (rule(("Tables", 0, "TableColumnsTotal"), "8"), "TableColumnsTotal is 8, but 7 columns"),
        (rule(("Tables", 0, "TableColumns", 1, "ColumnName"), "Id"), "different names, found Id"),
        (rule(("Tables", 0, "TableColumns", 1, "ColumnType"), "XML"), "column 'LastName' has the type 'XML'"),
        (rule(("Tables", 0, "TableColumns", 3, "ColumnType"), "BLOB"), "'HireDate' is a BLOB.* exclude-columns"),
        (rule(("Tables",), []), "defines no table"),
        (rule(("Tables",), 7), "is not DMS's external table definition"),
    ],
)
def test_a_definition_that_cannot_be_followed_is_refused(tmp_path, change, told):
    with pytest.raises(Unsuitable, match=told):
        csv_table(files(definition=changed(tmp_path, DEFINITION, change)), KEYS)


def test_csv_without_a_definition_is_refused():
    with pytest.raises(Unsuitable, match=r"give files\.table_definition"):
        csv_table(files(definition=None), KEYS)


def test_a_key_that_is_made_of_a_null_is_refused():
    with pytest.raises(UnreadableItem, match="key attribute Pk is made of LastName, which is NULL"):
        items(KEYS, b"1,,b,,,,\n")


def test_two_mappings_of_one_table_are_refused(tmp_path):
    twice = changed(tmp_path, MAPPINGS, lambda document: document["rules"].append(document["rules"][1]))
    with pytest.raises(Unsuitable, match="several object-mapping rules"):
        csv_table(files(mappings=twice), KEYS)


def test_the_mark_tells_another_definition_from_this_one(tmp_path):
    other = changed(tmp_path, DEFINITION, rule(("Tables", 0, "TableColumns", 3, "ColumnType"), "STRING"))
    marks = {csv_table(files(definition=path), KEYS).mark for path in (DEFINITION, other)}
    assert len(marks) == 2

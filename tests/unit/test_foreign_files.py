"""Files of older tools in a folder: which are read, as what, from where on, and what is said of the others."""

import bz2
import gzip
import io
import os
import shutil
from pathlib import Path

import msgspec
import pytest
import zstandard
from botocore.exceptions import ReadTimeoutError, ResponseStreamingError
from fakes import ObjectStore

from daemon.control import Part
from daemon.files_plan import in_words
from daemon.sections import Files
from daemon.source.export import ExportUnusable
from daemon.source.foreign.parts import files_parts
from daemon.source.pages import Sources, pages
from sinks.change import Key, KeyAttribute, KeySchema

GOLDEN = Path(__file__).parent.parent / "fixtures" / "foreign"
KEYS = KeySchema(KeyAttribute("id", "S"))
BY_ID = KeySchema(KeyAttribute("Id", "N"))


def found(location, keys=KEYS, **options):
    files = Files(location=str(location), **options)
    return files, files_parts(None, files, keys)


def rows(files, part, keys=KEYS):
    return [row for page in pages(Sources(None, keys, files), part) for row in page.rows]


def all_rows(location, keys=KEYS, **options):
    files, parts = found(location, keys, **options)
    return [row for part in parts for row in rows(files, part, keys)]


def partitions(location, **options):
    return sorted(key.partition for key, _ in all_rows(location, **options))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "files"
    made.mkdir()
    return made


def put(folder, name, body):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


@pytest.mark.parametrize(
    ("name", "kind", "ids"),
    [
        ("emr/0c2f7c1e-77aa-4d5b-9b55-0d1f3e2a6c44", "emr", ["z"]),
        ("before-v3", "emr", ["Kent", "Seattle"]),
        ("scan.json", "scan-json", ["a", "b"]),
        ("items", "items", ["bar", "c", "wrapped"]),
    ],
)
def test_each_format_is_recognised_and_read(name, kind, ids):
    _, parts = found(GOLDEN / name)
    assert [(part.format, part.kind, part.counted) for part in parts] == [(kind, "files", False)]
    assert partitions(GOLDEN / name) == ids
    assert partitions(GOLDEN / name, format=kind) == ids


def test_a_manifest_that_was_moved_with_its_folder_finds_its_files_beside_it():
    assert partitions(GOLDEN / "emr") == ["x", "y", "z"]


def test_what_a_manifest_does_not_list_is_not_read(folder):
    shutil.copytree(GOLDEN / "emr", folder, dirs_exist_ok=True)
    put(folder, "of-an-attempt-that-failed", '{"id":{"s":"no"}}\n')
    assert partitions(folder) == ["x", "y", "z"]


def test_a_file_that_the_manifest_lists_and_that_is_missing_is_named(folder):
    shutil.copytree(GOLDEN / "emr", folder, dirs_exist_ok=True)
    (folder / "0c2f7c1e-77aa-4d5b-9b55-0d1f3e2a6c44").unlink()
    with pytest.raises(ExportUnusable, match=r"lists s3://left-behind/path/0c2f.*the export is incomplete"):
        found(folder)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"{", "is not the manifest of an export"), (b'{"version":2,"entries":[]}', "has version 2, known is 3")],
)
def test_a_manifest_that_is_none_is_refused(folder, body, said):
    put(folder, "manifest", body)
    with pytest.raises(ExportUnusable, match=said):
        found(folder)


def test_hidden_and_empty_files_are_no_data(folder):
    for name, body in {"_SUCCESS": "", "empty": "", ".part.crc": "x", "_logs/history": "x", "blank": "\n"}.items():
        put(folder, name, body)
    put(folder, "part-00000", '{"id":{"S":"a"}}\n')
    assert partitions(folder) == ["a"]


def test_a_folder_without_data_is_told(folder):
    with pytest.raises(ExportUnusable, match="holds no file"):
        found(folder)
    put(folder, "_SUCCESS", "")
    with pytest.raises(ExportUnusable, match="holds no item"):
        found(folder)
    with pytest.raises(ExportUnusable, match="cannot be read"):
        found(folder / "nowhere")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress, lambda b: gzip.compress(b) * 2])
def test_packed_files_are_unpacked_by_their_content(folder, pack):
    put(folder, "92dd1414", pack((GOLDEN / "items").read_bytes()))
    assert set(partitions(folder)) == {"bar", "c", "wrapped"}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress])
def test_a_packed_file_that_was_cut_short_is_named_and_what_was_read_is_kept(folder, pack):
    noise = "".join(f'{{"id":{{"S":"{os.urandom(30).hex()}"}}}}\n' for _ in range(20_000))
    whole = pack(noise.encode())
    path = put(folder, "half", whole[:-100])
    files, (part,) = found(folder)
    read = []
    with pytest.raises(ExportUnusable, match=f"{path}.*(cut short|cannot be unpacked).*begin again"):
        read.extend(page for page in pages(Sources(None, KEYS, files), part))
    assert len(read) > 1


def many(count=20_000):
    return "".join(f'{{"id":{{"S":"{n}"}}}}\n' for n in range(count))


@pytest.mark.parametrize("position", [0, 1, 13_000, 19_999, 20_000])
def test_a_part_goes_on_behind_its_position(folder, position):
    put(folder, "many", many())
    files, (part,) = found(folder)
    left = rows(files, msgspec.structs.replace(part, position=str(position)))
    assert [key.partition for key, _ in left] == [str(n) for n in range(position, 20_000)]


@pytest.mark.parametrize("name", ["items", "scan.json", "emr/92dd1414-3f1c-4b0e-8d7e-5f6a4a1c9b10"])
def test_every_format_goes_on_behind_its_position(name):
    files, (part,) = found(GOLDEN / name)
    whole = rows(files, part)
    for position in range(len(whole) + 1):
        assert rows(files, msgspec.structs.replace(part, position=str(position))) == whole[position:]


def test_pages_are_bounded_and_their_positions_count_the_items(folder):
    put(folder, "many", many(60_000))
    files, (part,) = found(folder)
    read = list(pages(Sources(None, KEYS, files), part))
    assert len(read) > 3
    assert [int(page.position) for page in read] == [sum(len(p.rows) for p in read[: n + 1]) for n in range(len(read))]
    assert all(page.size_bytes <= 300_000 for page in read)
    again = list(pages(Sources(None, KEYS, files), msgspec.structs.replace(part, position=read[1].position)))
    assert [int(page.position) for page in again] == [int(page.position) for page in read[2:]]


def test_about_how_many_items_there_are_is_told_before(folder):
    put(folder, "many", many())
    put(folder, "packed", gzip.compress(many().encode()))
    _, parts = found(folder)
    assert all(18_000 < part.items < 22_000 for part in parts)
    assert in_words(parts).startswith("2 file(s), 2 as items: ")


def test_a_line_that_is_no_item_is_named_with_its_file_and_number(folder):
    path = put(folder, "damaged", '{"id":{"S":"a"}}\n\n{"id":{"S":"b"}\n')
    files, (part,) = found(folder)
    with pytest.raises(ExportUnusable, match=f"{path}, line 3: not JSON.*The other files are kept"):
        rows(files, part)


def test_a_file_that_was_replaced_since_is_not_read(folder):
    put(folder, "part", '{"id":{"S":"a"}}\n')
    files, (part,) = found(folder)
    put(folder, "part", '{"id":{"S":"other"}}\n')
    with pytest.raises(ExportUnusable, match="is not the file that it was when the move began"):
        rows(files, part)


def test_a_file_that_is_written_to_while_it_is_read_is_not_done(folder):
    path = put(folder, "part", many())
    files, (part,) = found(folder)
    read = pages(Sources(None, KEYS, files), part)
    next(read)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ExportUnusable, match="is not the file that it was"):
        list(read)


def test_a_file_that_is_gone_is_named(folder):
    path = put(folder, "part", many())
    files, (part,) = found(folder)
    path.unlink()
    with pytest.raises(ExportUnusable, match=f"{path} is missing.*put it back"):
        rows(files, part)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"SEQ\x06\x19org.apache", "Hadoop sequence file"),
        (b"PAR1\x15\x04", "columnar or Avro"),
        (b"1\x01Seattle\n", "as Hive writes them with a column mapping"),
        (b"hello\n", "no known format; set backfill.files.format"),
        (b'{"id":"x"}\n', "JSON without DynamoDB's types"),
        (b'{"id":{"N":1.5},"geo":{"lat":1}}\n', "JSON without DynamoDB's types"),
        (b'{\n "id": 1}', "line 1 begins like an item and is no JSON"),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_it_is(folder, body, said):
    path = put(folder, "what", body)
    with pytest.raises(ExportUnusable, match=f"{path} .*{said}"):
        found(folder)


def test_an_export_of_dynamodb_itself_is_told_its_way_in(folder):
    put(folder, "AWSDynamoDB/01/manifest-summary.json", "{}")
    with pytest.raises(ExportUnusable, match=r"as backfill\.manifest"):
        found(folder)


CSV = {
    "table_definition": GOLDEN / "csv/employee.definition.json",
    "table_mappings": GOLDEN / "csv/employee.mappings.json",
}
EMPLOYEES = KeySchema(KeyAttribute("Pk", "S"), KeyAttribute("Sk", "N"))


def test_csv_is_read_by_its_definition(folder):
    shutil.copytree(GOLDEN / "csv/hr", folder / "hr")
    put(folder, "hr/department/LOAD001.csv", "1,of another table\n")
    assert [key.partition for key, _ in all_rows(folder, EMPLOYEES, **CSV)] == [
        "101,Smith",
        "102,Smith, jr.",
        "103,Smith",
    ]


def test_csv_goes_on_behind_its_position_though_a_row_has_several_lines():
    files, (part,) = found(GOLDEN / "csv/hr", EMPLOYEES, **CSV)
    left = rows(files, msgspec.structs.replace(part, position="2"), EMPLOYEES)
    assert [key for key, _ in left] == [Key("103,Smith", 103)]


def test_a_row_that_does_not_fit_is_named_with_file_line_and_column(folder):
    path = put(folder, "LOAD001.csv", '1,a,b,,"two\nlines",,\nx,a,b,,,,\n')
    files, (part,) = found(folder, BY_ID, table_definition=CSV["table_definition"])
    with pytest.raises(ExportUnusable, match=f"{path}, line 3: column Id: 'x' is not a number"):
        rows(files, part, BY_ID)


@pytest.mark.parametrize("name", ["CDC00001.csv", "20141029-1134010000.csv", "cdc1.csv.gz"])
def test_files_of_changes_are_refused(folder, name):
    shutil.copytree(GOLDEN / "csv/hr", folder / "hr")
    put(folder, f"hr/employee/{name}", "INSERT,employee,hr,1\n")
    with pytest.raises(ExportUnusable, match=f"{name} is one of 1 files of changes"):
        found(folder, EMPLOYEES, **CSV)


def test_a_definition_that_was_changed_since_is_refused():
    files, (part,) = found(GOLDEN / "csv/hr", EMPLOYEES, **CSV)
    other = files.model_copy(update={"csv": files.csv.model_copy(update={"null_value": "NULL"})})
    with pytest.raises(ExportUnusable, match="changed since the move began"):
        rows(other, part, EMPLOYEES)


def test_csv_without_a_definition_is_refused_before_anything_is_read():
    with pytest.raises(ExportUnusable, match=r"files\.table_definition"):
        found(GOLDEN / "csv/hr")


def test_a_part_of_a_format_that_is_not_configured_any_more_is_refused():
    _, (part,) = found(GOLDEN / "csv/hr", EMPLOYEES, **CSV)
    with pytest.raises(ExportUnusable, match="put the configuration back"):
        rows(None, part, EMPLOYEES)


class SilentAfter(io.BytesIO):
    """A body of S3 that does not come to its end."""

    def __init__(self, content, error):
        super().__init__(content)
        self._error = error

    def read(self, size=-1):
        return super().read(size) or self._raise()

    def _raise(self):
        raise self._error


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("error", [ReadTimeoutError(endpoint_url="x"), ResponseStreamingError(error="reset")])
def test_s3_that_falls_silent_in_the_middle_is_no_fault_of_the_file(error, pack):
    store = ObjectStore()
    stored = store.put_object(Bucket="b", Key="k", Body=pack(many().encode()))
    part = Part("s3://b/k", stored["ETag"], 0, kind="files", format="items", counted=False)
    half = SilentAfter(store.objects["b", "k"][:-20], error)
    store.get_object = lambda **_: {"Body": half}
    with pytest.raises(type(error)):
        list(pages(Sources(store, KEYS), part))

"""The sink of JSON lines in a folder: the contract as its reader sees it, durability, damage."""

import errno
import gzip
import io
import os

import msgspec
import pytest
from jsonl_reading import ReadBack
from pydantic import ValidationError
from sink_contract import KEY, TEXT_KEYS, SinkContract, apply, deleted, put

from sinks.attributes import encode_item
from sinks.change import Change, Item, Key
from sinks.jsonl import read
from sinks.jsonl.folder import FolderFiles
from sinks.jsonl.options import JsonlOptions
from sinks.jsonl.read import LinesUnreadable, Stored
from sinks.jsonl.sink import JsonlSink
from sinks.sink import Readable, Scannable, SinkMisconfigured, SinkUnavailable


def opened(to, keys=TEXT_KEYS, **options):
    sink = JsonlSink(JsonlOptions(kind="jsonl", to=str(to), **options), keys)
    sink.open()
    return sink


def written(folder):
    return list(read.lines(read.files(folder)))


@pytest.mark.parametrize("options", [{}, {"gzip": True}, {"file_bytes_max": 1024}], ids=str)
class TestFolder(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path, options):
        made = []

        def make(keys, *, fresh=True):
            if fresh:
                made.append([])
            place = tmp_path / str(len(made))
            sink = opened(place, keys, **options)
            made[-1].append(sink)
            return ReadBack(sink, keys, lambda: read.files(place))

        yield make
        for sink in [sink for sinks in made for sink in sinks]:
            sink.close()


def test_a_line_has_the_key_the_version_and_the_items_own_bytes(tmp_path):
    json = b'{ "customer":{"S":"alice"},"order":{"S":"1"}, "n":{"N":"1.0"} }'
    sink = opened(tmp_path)
    apply(sink, Change(KEY, 17, Item(json)), Change(KEY, 18, None))
    (path,) = tmp_path.iterdir()
    key = b'{"key":{"customer":{"S":"alice"},"order":{"S":"1"}},'
    assert path.read_bytes() == key + b'"version":17,"item":%b}\n' % json + key + b'"version":18,"item":null}\n'


def test_an_item_of_several_lines_becomes_one(tmp_path):
    apply(opened(tmp_path), Change(KEY, 1, Item(b'{"customer":{"S":"alice"},\r\n"order":{"S":"1"},"t":{"S":"\\n"}}')))
    (line,) = written(tmp_path)
    assert msgspec.json.decode(line.item)["t"] == {"S": "\n"}


def test_the_sink_does_not_pretend_to_read_back(tmp_path):
    assert not isinstance(opened(tmp_path), (Readable, Scannable))


def test_every_change_stays_a_line_whatever_is_newer(tmp_path):
    apply(opened(tmp_path), put(KEY, 2), put(KEY, 1), put(KEY, 2), deleted(KEY, 3))
    assert len(written(tmp_path)) == 4


def test_no_two_opens_write_one_file(tmp_path):
    for number in range(5):
        apply(opened(tmp_path), put(KEY, number))
    assert len(list(tmp_path.iterdir())) == 5


def test_opening_makes_nothing(tmp_path):
    sink = opened(tmp_path / "not" / "there")
    sink.close()
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_grown_is_followed_by_another_and_no_line_is_lost(tmp_path):
    sink = opened(tmp_path, file_bytes_max=2000)
    apply(sink, *(put(Key("a", str(n)), n, pad="x" * 300) for n in range(20)))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 2
    assert max(sizes) < 2000 + 500
    assert len(list(read.newest(read.files(tmp_path)))) == 20


def test_what_is_zipped_is_zipped_and_any_tool_reads_it(tmp_path):
    sink = opened(tmp_path, gzip=True)
    apply(sink, put(KEY, 1), put(KEY, 2))
    (path,) = tmp_path.iterdir()
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 2


class WatchedDisk:
    """The module os, and what was synced by its path."""

    def __init__(self):
        self.synced, self._paths = [], {}

    def open(self, path, *flags):
        file = os.open(path, *flags)
        self._paths[file] = path
        return file

    def write(self, file, data):
        return os.write(file, data)

    def fsync(self, file):
        self.synced.append(self._paths[file])


class BadDisk(WatchedDisk):
    """Takes some bytes and no more; or fails to sync, as often as it is told."""

    def __init__(self, code, *, takes=10**9, failing_syncs=0):
        super().__init__()
        self.code, self.takes, self.failing_syncs = code, takes, failing_syncs

    def write(self, file, data):
        if self.takes <= 0:
            self.fail()
        taken = super().write(file, data[: self.takes])
        self.takes -= taken
        return taken

    def fsync(self, file):
        if self.failing_syncs and self._paths[file].suffix:
            self.failing_syncs -= 1
            self.fail()

    def fail(self):
        raise OSError(self.code, os.strerror(self.code))


def on(disk, folder):
    return FolderFiles(folder, "stem", ".jsonl", 10**6, disk)


def test_each_batch_is_synced_and_the_names_of_new_files_and_folders_too(tmp_path):
    disk = WatchedDisk()
    files = on(disk, tmp_path / "new")
    files.append(b"1\n")
    (path,) = (tmp_path / "new").iterdir()
    assert set(disk.synced) == {tmp_path, tmp_path / "new", path}
    files.append(b"2\n")
    assert disk.synced.count(path) == 2


def test_a_full_disk_is_waited_for_and_leaves_no_piece_of_a_line_behind(tmp_path):
    disk = BadDisk(errno.ENOSPC, takes=100)
    files = on(disk, tmp_path)
    files.append(b"x" * 60 + b"\n")
    with pytest.raises(SinkUnavailable, match=r"No space left on device\. Free space"):
        files.append(b"y" * 60 + b"\n")
    disk.takes = 1000
    files.append(b"y" * 60 + b"\n")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"x" * 60 + b"\n", b"y" * 60 + b"\n"]


def test_after_a_failed_sync_the_batch_goes_into_another_file(tmp_path):
    files = on(BadDisk(errno.EIO, failing_syncs=1), tmp_path)
    with pytest.raises(SinkUnavailable):
        files.append(b"1\n")
    files.append(b"1\n")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"", b"1\n"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_denied_folder_needs_a_person(tmp_path, code):
    with pytest.raises(SinkMisconfigured, match=r"target\.to"):
        on(BadDisk(code, takes=0), tmp_path).append(b"1\n")


def test_a_file_in_the_place_of_the_folder_is_refused_at_open(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkMisconfigured, match="is no folder"):
        opened(tmp_path / "file" / "below")


def test_a_sink_that_is_not_open_takes_nothing(tmp_path):
    with pytest.raises(SinkUnavailable, match="not open"):
        JsonlSink(JsonlOptions(kind="jsonl", to=str(tmp_path)), TEXT_KEYS).apply([put(KEY, 1)])


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_anywhere_gives_every_batch_that_was_whole(tmp_path, packed):
    sink = opened(tmp_path, gzip=packed)
    (sizes, path) = [], None
    for number in range(3):
        apply(sink, put(KEY, number, pad=str(number) * 20))
        (path,) = tmp_path.iterdir()
        sizes.append(path.stat().st_size)
    whole = path.read_bytes()
    for length in range(len(whole)):
        cut = Stored(path.name, length, lambda length=length: io.BytesIO(whole[:length]))
        assert len(list(read.lines([cut]))) >= sum(length >= size for size in sizes)


def test_a_damaged_line_is_named_with_its_file_and_number(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"key":{},"version":1,"item":null}\n{"key":{},"version":"one"}\n')
    with pytest.raises(LinesUnreadable, match=r"a\.jsonl, line 2"):
        written(tmp_path)
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.jsonl.gz").write_bytes(b"no gzip at all, but long enough to be taken for a header\n")
    with pytest.raises(LinesUnreadable, match=r"b\.jsonl\.gz cannot be unzipped"):
        written(tmp_path)


def test_other_files_of_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("not ours")
    assert written(tmp_path) == []


def test_the_newest_lines_can_be_read_from_the_command_line(tmp_path, capsys):
    apply(opened(tmp_path), put(KEY, 1), deleted(Key("bob", "1"), 2), put(KEY, 3, a="newest"))
    assert read.main([str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert msgspec.json.decode(line)["item"]["a"] == {"S": "newest"}
    assert read.main([str(tmp_path), "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert (read.main([]), read.main([str(tmp_path / "nowhere")])) == (2, 2)


@pytest.mark.parametrize("to", ["relative/folder", "s3:/b", "", "https://b/p"])
def test_a_place_that_is_neither_bucket_nor_absolute_folder_is_refused(to):
    with pytest.raises(ValidationError):
        JsonlOptions(kind="jsonl", to=to, region="eu-west-1")


def test_a_bucket_needs_its_region():
    with pytest.raises(ValidationError, match="region is missing"):
        JsonlOptions(kind="jsonl", to="s3://b/p")


def test_items_of_every_character_stay_one_line(tmp_path):
    text = "".join(map(chr, range(0x20, 0x2030))) + "\x00\n\r\u2028"
    apply(opened(tmp_path), Change(KEY, 1, Item(encode_item({"customer": "alice", "order": "1", "t": text}))))
    (line,) = written(tmp_path)
    assert Item(bytes(line.item)).attributes()["t"] == text

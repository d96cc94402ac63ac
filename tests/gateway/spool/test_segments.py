"""Records on disk: kept in order, within a limit, whole or not at all."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.spool import segments as module
from lessllm_gateway.spool.segments import Segments, SpoolFull
from lessllm_shared import disk

LIMIT = 1024 * 1024


@pytest.fixture
def segments(tmp_path):
    opened = Segments(tmp_path, LIMIT)
    yield opened
    opened.close()


def read_all(segments):
    found = {}
    for first, last in segments.stretches:
        seq = first
        while seq <= last and (records := segments.read(seq, last)):
            found |= dict(enumerate(records, seq))
            seq += len(records)
    return found


def test_what_is_appended_is_read_also_by_the_next_process(segments, tmp_path):
    segments.append(3, [b"three", b"four"])
    segments.append(5, [b"five"])
    expected = {3: b"three", 4: b"four", 5: b"five"}
    assert read_all(segments) == expected
    segments.close()
    assert read_all(Segments(tmp_path, LIMIT)) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["00000000000000000003.seg"]


def test_a_number_that_does_not_follow_begins_a_file(segments):
    segments.append(1, [b"a"])
    segments.append(7, [b"b"])
    segments.append(4, [b"c"])
    assert segments.stretches == [(1, 1), (4, 4), (7, 7)]
    assert segments.read(2, 6) == []


def test_committed_files_are_deleted_and_their_room_is_free_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 30)
    segments = Segments(tmp_path, 100)
    for seq in range(1, 5):
        segments.append(seq, [b"x" * 15])
    with pytest.raises(SpoolFull, match="spool_bytes"):
        segments.append(5, [b"x" * 15])
    segments.forget(3)
    assert segments.stretches == [(3, 4)]  # a file goes as a whole
    segments.append(5, [b"x" * 15])
    segments.forget(5)
    assert (segments.size_bytes, list(tmp_path.iterdir())) == (0, [])


@given(cut=st.integers(0, 60), records=st.lists(st.binary(max_size=10), min_size=1, max_size=4))
def test_a_torn_end_is_cut_off_and_all_before_it_stands(tmp_path_factory, cut, records):
    folder = tmp_path_factory.mktemp("spool")
    segments = Segments(folder, LIMIT)
    segments.append(1, records)
    segments.close()
    (path,) = folder.iterdir()
    content = path.read_bytes()[: -cut or None]
    path.write_bytes(content)
    found = read_all(Segments(folder, LIMIT))
    whole = [
        seq for seq in range(1, len(records) + 1) if sum(len(r) + 8 for r in records[:seq]) <= len(content)
    ]
    assert found == {seq: records[seq - 1] for seq in whole}
    assert path.stat().st_size == sum(len(record) + 8 for record in found.values())


@given(at=st.integers(0, 200), value=st.integers(0, 255))
def test_a_damaged_byte_costs_what_is_from_there_on_and_never_gives_other_bytes(tmp_path_factory, at, value):
    folder = tmp_path_factory.mktemp("spool")
    records = [b"record %d" % number for number in range(10)]
    segments = Segments(folder, LIMIT)
    segments.append(1, records)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[at % len(content)] = value
    path.write_bytes(content)
    for seq, record in read_all(segments).items():
        assert record == records[seq - 1]
    segments.close()
    assert all(record == records[seq - 1] for seq, record in read_all(Segments(folder, LIMIT)).items())


def test_a_disk_without_room_leaves_no_trace(segments):
    segments.append(1, [b"one"])
    file = segments._end

    class Full:
        """Takes some bytes, then none."""

        def write(self, data):
            if len(data) > 4:
                return file.write(data[:4])
            raise OSError(errno.ENOSPC, "no room")

        def __getattr__(self, name):
            return getattr(file, name)

    segments._end = Full()
    with pytest.raises(SpoolFull, match="No space left"):
        segments.append(2, [b"two, and more of it"])
    segments._end = file
    segments.append(2, [b"two"])
    assert read_all(segments) == {1: b"one", 2: b"two"}


def test_a_frame_of_records_is_read_at_once(segments, monkeypatch):
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", 10)
    segments.append(1, [b"12345", b"12345", b"1", b"x" * 50])
    assert [len(segments.read(seq, 4)) for seq in (1, 3, 4, 1)] == [2, 1, 1, 2]


def test_what_the_database_needs_of_the_disk_is_left_to_it(segments, monkeypatch):
    free_bytes = 3_000_000
    monkeypatch.setattr(disk, "look", lambda _: disk.Disk(size_bytes=8_000_000, free_bytes=free_bytes))
    segments.append(1, [b"x" * 900_000])
    free_bytes -= 900_000
    with pytest.raises(SpoolFull, match="the disk is full"):
        segments.append(2, [b"x" * 101_000])
    segments.append(2, [b"x" * 99_000])
    assert set(read_all(segments)) == {1, 2}


def test_the_size_can_be_asked_for_while_files_come_and_go(segments, monkeypatch):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1)  # each record is a file of its own
    leaving, asked = threading.Event(), []

    def ask():
        while not leaving.is_set():
            asked.append(segments.size_bytes)

    with ThreadPoolExecutor() as threads:
        asking = threads.submit(ask)
        for seq in range(1, 500):
            segments.append(seq, [b"x"])
            if seq > 50:
                segments.forget(seq - 50)
        leaving.set()
        asking.result()
    assert max(asked) > 0

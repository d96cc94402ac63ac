"""The folder of a gateway process: locked while it lives, adopted after that."""

import contextlib
import subprocess
import sys

import pytest
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import OnDisk
from lessllm_gateway.spool import home as module
from lessllm_gateway.spool.home import Home, adopt
from lessllm_gateway.spool.revive import revive
from lessllm_shared import record as rec
from lessllm_shared.record import CallRecord, EndReason
from lessllm_shared.wire import Lost, Records

LIMIT = 1024 * 1024
IDS = [rec.new_request_id() for _ in range(4)]

CHILD = """
import os, signal, sys
from pathlib import Path
from lessllm_gateway.spool.home import Home
home = Home(Path(sys.argv[1]), "killed", 1 << 20)
for number, request_id in enumerate(sys.argv[2:], 1):
    slot = home.calls.begin(request_id, number)
    if number <= 3:
        home.calls.end(slot, number)
home.segments.append(1, [b"one"])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def make(tmp_path):
    """Makes folders in one spool; whatever is open at the end is closed."""
    with contextlib.ExitStack() as stack:

        def home(name="g"):
            made = Home(tmp_path / "spool", name, LIMIT)
            stack.callback(made.close, is_empty=False)
            return made

        yield home


@pytest.fixture
def look(tmp_path):
    """Adopts what there is; it is let go of at the end."""
    with contextlib.ExitStack() as stack:

        def adopted():
            found = adopt(tmp_path / "spool")
            for leftover in found:
                stack.callback(leftover.close)
            return found

        yield adopted


@pytest.fixture
def left(tmp_path, look):
    """By a process that was killed: record 1 on disk, 2 and 3 in memory, a call that went on."""
    root = tmp_path / "spool"
    killed = subprocess.run([sys.executable, "-c", CHILD, root, *IDS], check=False)
    assert killed.returncode == -9
    (leftover,) = look()
    return leftover


def frames(outbox):
    found = []
    while (frame := outbox.next_frame()) is not None:
        if isinstance(frame, OnDisk):
            frame = outbox.sent(frame.first_seq, [b"from disk"] * (frame.last_seq - frame.first_seq + 1))
        found.append(frame)
    return found


def test_a_living_process_keeps_its_folder(make, look, tmp_path):
    home = make()
    assert look() == []
    home.close(is_empty=False)
    (leftover,) = look()
    assert look() == []  # it is adopted already
    leftover.remove()
    assert not (tmp_path / "spool").exists()


def test_an_empty_folder_is_not_left_behind(tmp_path):
    root = tmp_path / "a" / "spool"
    Home(root, "g", LIMIT).close(is_empty=True)
    assert not root.exists()


def test_others_can_not_read_it(make, tmp_path):
    home = make()
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "spool", home.folder)] == [0, 0]


def test_a_folder_that_can_not_be_read_is_said_and_does_not_hide_the_others(make, look, caplog):
    homes = [make(name) for name in ("a", "b")]
    (homes[0].folder / "x.seg").touch()
    for home in homes:
        home.close(is_empty=False)
    assert [leftover.gateway_id for leftover in look()] == ["b"]
    assert str(homes[0].folder) in caplog.text


def test_the_table_names_what_may_have_no_row(left):
    assert [(call.request_id, call.seq) for call in sorted(left.calls, key=lambda c: c.t0_unix_ns)] == [
        *zip(IDS, (1, 2, 3, 0), strict=True)
    ]


def test_calls_beyond_the_table_are_not_named_and_a_settled_slot_is_free_again(make, monkeypatch):
    monkeypatch.setattr("lessllm_gateway.spool.open_calls.SLOTS", 1)
    calls = make().calls
    slot = calls.begin(IDS[0], 1)
    assert calls.begin(IDS[1], 1) is None
    calls.end(slot, 1)
    calls.settle(1)
    assert calls.begin(IDS[1], 1) == slot


@pytest.mark.parametrize("committed", [0, 1, 2, 3])
def test_a_revived_outbox_goes_on_where_the_collector_is(left, committed):
    outbox = revive(left, committed, Budget(LIMIT))
    seqs = {}
    for frame in frames(outbox):
        assert not isinstance(frame, Lost)
        seqs |= dict(enumerate(frame.records, frame.first_seq))
    assert list(seqs) == list(range(committed + 1, 5))
    assert seqs.pop(1, b"from disk") == b"from disk"
    for seq, data in seqs.items():
        record = rec.decode(data)
        assert record.request_id == IDS[seq - 1]
        assert (record.end_reason, record.error_code) == (EndReason.GATEWAY_ERROR, "gateway_killed")


@pytest.mark.parametrize("committed", [3, 4, 5])
def test_calls_of_which_an_adopter_told_that_was_killed_too_are_told_of_once(make, look, committed):
    home = make()
    for request_id, t0 in zip(IDS[:2], (8, 7), strict=True):
        home.calls.begin(request_id, t0)
    home.close(is_empty=False)
    told = []
    for known in (3, committed):
        (leftover,) = look()
        outbox = revive(leftover, known, Budget(LIMIT))
        told.append(
            {
                seq: rec.decode(data).request_id
                for frame in frames(outbox)
                for seq, data in enumerate(frame.records, frame.first_seq)
            }
        )
        leftover.close()
    assert told[0] == {4: IDS[1], 5: IDS[0]}
    assert told[1] == {seq: request_id for seq, request_id in told[0].items() if seq > committed}


def test_numbers_of_which_nothing_is_known_are_lost(left):
    left.calls = [call for call in left.calls if call.seq != 2]
    first, lost, *_ = frames(revive(left, 0, Budget(LIMIT)))
    assert (type(first), lost) == (Records, Lost("killed", 2, 2))


def test_what_was_known_of_a_call_that_went_upstream_is_kept(make, look):
    home = make()
    known = CallRecord(request_id=IDS[0], t0_unix_ns=7, end_reason=EndReason.COMPLETE, model="m")
    for request_id in IDS[:2]:
        home.calls.begin(request_id, 7)
    home.opened.add(IDS[0], rec.encode(known))
    home.opened.add(IDS[2], rec.encode(known))  # not under way any more
    home.close(is_empty=False)
    (leftover,) = look()
    outbox = revive(leftover, 0, Budget(LIMIT))
    (frame,) = frames(outbox)
    first, second = map(rec.decode, frame.records)
    models = {record.request_id: record.model for record in (first, second)}
    assert models == {IDS[0]: "m", IDS[1]: None}


def test_files_of_opened_calls_go_when_no_call_is_in_them(make, monkeypatch):
    monkeypatch.setattr("lessllm_gateway.spool.opened.FILE_BYTES", 10)
    home = make()
    opened = home.opened
    for request_id in IDS:
        opened.add(request_id, b"x" * 20)
    for request_id in IDS[1:]:
        opened.done(request_id)
    assert sorted(path.name for path in home.folder.glob("*.opened")) == ["1.opened", "4.opened"]


def test_two_gateways_that_look_at_once_adopt_it_once(make, look, monkeypatch):
    make().close(is_empty=False)
    flock = module.fcntl.flock

    def late(file, how):
        """Between opening the lock and asking for it, the other one has delivered and removed it all."""
        monkeypatch.setattr(module.fcntl, "flock", flock)
        (leftover,) = look()
        leftover.remove()
        flock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    assert look() == []

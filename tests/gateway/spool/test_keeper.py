"""Records that wait go to disk; what finds no room stays in memory, and is tried again."""

import asyncio
import contextlib
import errno
import os

import pytest
from lessllm_gateway.memory import Budget
from lessllm_gateway.outbox import OnDisk, Outbox
from lessllm_gateway.spool import keeper as module
from lessllm_gateway.spool.home import adopt
from lessllm_gateway.spool.keeper import Keeper
from lessllm_shared import record as rec

LIMIT = 1024 * 1024


class World:
    """A keeper with its outbox."""

    def __init__(self, root, mode="overflow", limit_bytes=LIMIT, memory_bytes=LIMIT):
        self.budget = Budget(memory_bytes)
        self.outbox = Outbox("g", self.budget)
        self.keeper = Keeper(self.outbox, root, limit_bytes, mode)

    def record(self, data=b"record"):
        request_id = rec.new_request_id()
        self.keeper.begin(request_id, 1)
        return self.outbox.add(data, is_on_disk=self.keeper.end(request_id, data))


@pytest.fixture
async def world(tmp_path):
    async with contextlib.AsyncExitStack() as stack:

        def make(**settings):
            made = World(tmp_path / "spool", **settings)
            stack.push_async_callback(made.keeper.close)
            return made

        yield make


@contextlib.asynccontextmanager
async def keeping(world):
    task = asyncio.create_task(world.keeper.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_what_is_not_committed_within_a_moment_is_on_disk_and_out_of_memory(world):
    one = world()
    for _ in range(3):
        one.record()
    async with keeping(one):
        await until(lambda: one.budget.used_bytes == 0)
    assert one.outbox.next_frame() == OnDisk(1, 3)
    assert one.keeper.read(1, 3) == [b"record"] * 3
    one.outbox.acknowledge(3)
    one.keeper.committed(3)
    assert one.keeper.read(1, 3) == []


async def test_what_is_committed_in_time_never_touches_the_disk(world, tmp_path):
    one = world()
    async with keeping(one):
        for seq in range(1, 20):
            one.record()
            one.outbox.acknowledge(seq)
            one.keeper.committed(seq)
            await asyncio.sleep(0.01)
    assert list(tmp_path.glob("spool/g/*.seg")) == []


async def test_always_is_on_disk_before_anything_else(world):
    one = world(mode="always")
    one.record(b"1")
    one.record(b"2")
    assert one.keeper.read(1, 2) == [b"1", b"2"]
    assert one.outbox.to_spill() is None


async def test_always_needs_no_memory(world):
    one = world(mode="always", memory_bytes=0)
    assert one.record(b"1")
    assert one.outbox.next_frame() == OnDisk(1, 1)


@pytest.mark.parametrize("mode", ["overflow", "always"])
async def test_a_full_spool_is_said_once_and_tried_again(world, caplog, monkeypatch, mode):
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    one = world(mode=mode, limit_bytes=20)
    async with keeping(one):
        for _ in range(5):
            assert one.record(b"0123456789")
            await asyncio.sleep(0.02)
        await until(lambda: "records wait in memory" in caplog.text)
        assert caplog.text.count("records wait in memory") == 1
        one.outbox.acknowledge(5)
        one.keeper.committed(5)
        one.record(b"last")
        await until(lambda: "records are spooled again" in caplog.text)
    assert one.keeper.read(6, 6) == [b"last"]


async def test_at_the_end_the_rest_is_put_on_disk(world, tmp_path):
    one = world()
    one.record(b"1")
    one.record(b"2")
    await one.keeper.close()
    (leftover,) = adopt(tmp_path / "spool")
    assert leftover.segments.read(1, 2) == [b"1", b"2"]
    leftover.close()


async def test_if_all_is_committed_nothing_is_left(world, tmp_path):
    one = world()
    one.record()
    one.outbox.acknowledge(1)
    await one.keeper.close()
    assert list(tmp_path.iterdir()) == []


async def test_answers_while_a_thread_writes_do_no_harm(world, monkeypatch):
    one = world()
    segments = one.keeper._home.segments
    append = segments.append

    def slow(first_seq, records):
        one.outbox.acknowledge(2)
        append(first_seq, records)

    monkeypatch.setattr(segments, "append", slow)
    for data in (b"1", b"2", b"3"):
        one.record(data)
    async with keeping(one):
        await until(lambda: one.budget.used_bytes == 0)
    assert one.outbox.next_frame() == OnDisk(3, 3)
    assert one.keeper.read(3, 3) == [b"3"]


async def test_without_a_folder_records_wait_in_memory_and_go_to_disk_once_there_is_one(
    world, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    (tmp_path / "spool").touch()
    one = world()
    async with keeping(one):
        assert one.record(b"1")
        await asyncio.sleep(0.2)
        assert one.outbox.to_spill() == (1, [b"1"])
        (tmp_path / "spool").unlink()
        await until(lambda: one.outbox.to_spill() is None)
        assert one.record(b"2")
        await until(lambda: one.outbox.to_spill() is None)
    assert one.keeper.read(1, 2) == [b"1", b"2"]
    assert caplog.text.count("can't be used") == caplog.text.count("spooled again") == 1


async def test_a_folder_that_is_not_finished_leaves_nothing_behind(world, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    world()
    assert not (tmp_path / "spool").exists()

"""Frames over a real socket: taken in order, answered after the commit, never fatal."""

import asyncio
import contextlib
import json

import pytest
import zmq
import zmq.asyncio
from lessllm_collector.entrance import Entrance
from lessllm_collector.inbox import Inbox
from lessllm_collector.ledger import Ledger
from lessllm_collector.quarantine import Quarantine
from lessllm_collector.receiver import Receiver
from lessllm_shared import wire
from lessllm_shared.wire import Ack, Expect, Lost, Records


def spent(keys):
    return [wire.Spent(key, "2026-11", 3, 0.5, 40, 1) for key in keys]


class Link:
    """A receiver, the writer's end of its inbox, and a gateway's socket."""

    def __init__(self, folder):
        endpoint = f"ipc://{folder / 'records'}"
        self.entrance = Entrance(endpoint)
        self.inbox = Inbox()
        quarantine = Quarantine(folder / "calls.duckdb", keeps_content=True)
        self.receiver = Receiver(self.entrance.socket, Ledger({"known": 10}), self.inbox, quarantine, spent)
        self.context = zmq.asyncio.Context()
        self.gateway = self.context.socket(zmq.DEALER)
        self.gateway.setsockopt(zmq.LINGER, 0)
        self.gateway.connect(endpoint)

    async def ask(self, message):
        await self.gateway.send(wire.pack(message))
        return await self.answer()

    async def answer(self):
        return wire.unpack_to_gateway(await asyncio.wait_for(self.gateway.recv(), 10))

    async def taken(self):
        return await asyncio.wait_for(asyncio.to_thread(self.inbox.take), 10)


@pytest.fixture
async def link(tmp_path):
    link = Link(tmp_path)
    running = asyncio.create_task(link.receiver.run())
    yield link
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    link.inbox.close()
    link.gateway.close()
    link.entrance.close()
    link.context.term()


async def test_a_frame_is_answered_when_its_last_record_is_committed(link):
    await link.gateway.send(wire.pack(Records("new", 1, [b"a", b"b"])))
    (batch,) = await link.taken()
    assert (batch.first_seq, batch.last_seq, batch.records) == (1, 2, [b"a", b"b"])
    link.receiver.committed("new", 2)
    assert await link.answer() == Ack("new", 2)


async def test_what_came_before_is_cut_off_and_what_is_missing_asked_for(link):
    assert await link.ask(Records("known", 13, [b"m"])) == Expect("known", 11)
    assert await link.ask(Records("known", 9, [b"i", b"j"])) == Ack("known", 10)
    await link.gateway.send(wire.pack(Records("known", 10, [b"j", b"k"])))
    (batch,) = await link.taken()
    assert (batch.first_seq, batch.records) == (11, [b"k"])


async def test_lost_numbers_go_to_the_writer_like_records(link):
    await link.gateway.send(wire.pack(Lost("known", 9, 14)))
    (batch,) = await link.taken()
    assert (batch.first_seq, batch.last_seq, batch.records) == (11, 14, None)


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x01", b"\x01junk", b"\x01" + b"\x91" * 5000],
)
async def test_a_frame_that_can_not_be_read_is_set_aside_and_changes_nothing(link, tmp_path, frame):
    await link.gateway.send(frame)
    await link.gateway.send_multipart([b"two", b"parts"])
    assert await link.ask(Records("known", 10, [b"j"])) == Ack("known", 10)
    text = (tmp_path / "calls.duckdb.quarantine.jsonl").read_text()
    kept = [json.loads(line) for line in text.splitlines()]
    assert [line["bytes"] for line in kept] == [[len(frame)], [3, 5]]


async def test_who_asks_what_keys_have_spent_hears_it_with_what_is_committed(link):
    await link.gateway.send(wire.pack(Records("known", 11, [b"k"])))
    await link.taken()
    answer = await link.ask(wire.Ask("known", ["a", "b"]))  # whatever is under way
    assert answer == Ack("known", 10, spent(["a", "b"]))
    assert await link.ask(wire.Ask("other")) == Expect("other", 1)


async def test_a_gateway_of_another_version_hears_which_one_this_is(link):
    await link.gateway.send(b"\x63of another version")
    assert await asyncio.wait_for(link.gateway.recv(), 10) == wire.VERSION_ALONE
    assert await link.ask(Records("known", 10, [b"j"])) == Ack("known", 10)

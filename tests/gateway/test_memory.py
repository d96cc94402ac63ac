"""Budgets: whatever clients and upstreams send, what a process holds is bounded; clients get all of it."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.memory import Budget, Lease, Tape
from lessllm_gateway.relay import MAX_MARKS
from lessllm_shared.record import EndReason

KEY = {"authorization": "Bearer sk-x"}
CHAT = {"model": "gpt-4o", "messages": []}
PLAIN = {"measure_non_streaming": False}
MB = 1024 * 1024


@given(st.lists(st.binary(max_size=20)), st.integers(0, 50), st.integers(0, 50))
def test_a_tape_keeps_the_beginning_that_limit_and_budget_allow(parts, limit_bytes, budget_bytes):
    budget = Budget(budget_bytes)
    tape = Tape(limit_bytes, budget)
    for part in parts:
        tape.add(part)
    body = b"".join(parts)
    assert tape.size_bytes == len(body)
    assert 0 <= budget.used_bytes <= budget.limit_bytes
    kept = tape.finish()
    assert body.startswith(kept)
    assert len(kept) <= min(limit_bytes, budget_bytes)
    if budget_bytes >= limit_bytes:
        assert len(kept) == min(limit_bytes, len(body))
    assert budget.used_bytes == 0


def test_a_lease_is_given_back_once():
    budget = Budget(10)
    lease = Lease(budget)
    assert lease.take(10)
    assert not Lease(budget).take(1)
    lease.close()
    lease.close()
    assert budget.used_bytes == 0


async def test_a_body_of_50_mb_passes_and_is_recorded_whole(gateway, upstream, records, answer):
    upstream.answer = answer(b"{}")
    requests = Budget(1024 * MB)
    client = await gateway(requests=requests, gateway=PLAIN)
    body = b'{"model":"gpt-4o","x":"%b"}' % (b"y" * (50 * MB - 100))
    headers = {**KEY, "content-type": "application/json"}
    assert (await client.post("/v1/chat/completions", content=body, headers=headers)).status_code == 200
    assert upstream.requests[0].endswith(body)
    assert (await records.one()).request_body == body
    assert requests.used_bytes == 0


async def test_a_body_of_more_is_refused(gateway, upstream, records):
    client = await gateway()
    body = b'{"model":"gpt-4o","x":"%b"}' % (b"y" * 50 * MB)
    headers = {**KEY, "content-type": "application/json"}
    response = await client.post("/v1/chat/completions", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert "gateway.max_request_bytes" in response.json()["error"]["message"]
    record = await records.one()
    assert (record.request_body_bytes, record.end_reason) == (len(body), EndReason.REJECTED)
    assert len(record.request_body) <= 4096
    assert upstream.requests == []


async def test_requests_that_fill_the_memory_are_turned_away_until_there_is_room(
    gateway, upstream, records, answer
):
    client = await gateway(requests=Budget(2 * MB), gateway=PLAIN)
    go_on = asyncio.Event()

    async def wait(writer):
        await go_on.wait()
        writer.write(answer(b"{}"))

    upstream.answer = wait
    big = {**CHAT, "x": "y" * MB}
    first = asyncio.create_task(client.post("/v1/chat/completions", json=big, headers=KEY))
    async with asyncio.timeout(5):
        await upstream.asked.wait()
    refused = await client.post("/v1/chat/completions", json=big, headers=KEY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gateway_busy")
    assert (await records.one()).end_reason is EndReason.REJECTED
    go_on.set()
    assert (await first).status_code == 200
    assert (await client.post("/v1/chat/completions", json=big, headers=KEY)).status_code == 200


async def test_a_long_answer_is_recorded_up_to_the_limit_and_reaches_the_client_whole(
    gateway, upstream, records
):
    piece, pieces = b"data: %b\n\n" % (b"x" * 8000), 1000

    async def stream(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()

    upstream.answer = stream
    client = await gateway(logging={"max_body_bytes": 10_000})
    response = await client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=KEY)
    assert response.content == piece * pieces
    record = await records.one()
    assert record.end_reason is EndReason.COMPLETE
    assert record.response_body == (piece * 2)[:10_000]
    assert record.response_body_bytes == sum(record.read_bytes) == len(piece) * pieces


async def test_when_the_buffer_is_full_answers_are_cut_in_the_record_and_not_for_the_client(
    gateway, upstream, records, answer
):
    body = json.dumps({"x": "y" * 2 * MB}).encode()
    upstream.answer = answer(body)
    client = await gateway(gateway={**PLAIN, "record_buffer_bytes": MB})
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert response.content == body
    record = await records.one()
    assert len(record.response_body) <= MB
    assert record.response_body_bytes == len(body)


async def test_an_answer_too_large_to_be_converted_is_a_502(gateway, upstream, records, monkeypatch):
    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"data: x\n\n" * 1000)
            await writer.drain()

    monkeypatch.setattr("lessllm_gateway.relay.MAX_WHOLE_ANSWER_BYTES", MB)
    upstream.answer = endless
    client = await gateway()
    response = await client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_answer_too_large")
    assert (await records.one()).end_reason is EndReason.UPSTREAM_ERROR


async def test_reads_without_number_are_marked_up_to_a_limit(gateway, upstream, records, monkeypatch):
    monkeypatch.setattr("lessllm_gateway.relay.MAX_MARKS", 3)
    assert MAX_MARKS > 1000

    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for _ in range(10):
            writer.write(b"data: x\n\n")
            await writer.drain()
            await asyncio.sleep(0.005)

    upstream.answer = drip
    client = await gateway()
    await client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=KEY)
    record = await records.one()
    assert len(record.read_ns) == len(record.read_bytes) <= 3
    assert sum(record.read_bytes) == 90


@pytest.mark.parametrize("max_body_bytes", [0, 100])
async def test_both_sides_of_a_translated_call_are_cut_too(
    gateway, upstream, records, answer, max_body_bytes
):
    message = {"type": "message", "content": [{"type": "text", "text": "x" * 1000}], "usage": {}}
    upstream.answer = answer(json.dumps(message).encode())
    client = await gateway(
        providers={"anthropic": {"base_url": upstream.url, "api_key": "k"}},
        models={"claude": {"provider": "anthropic", "model": "c", "measure_non_streaming": False}},
        logging={"max_body_bytes": max_body_bytes},
    )
    body = {"model": "claude", "messages": [{"role": "user", "content": "y" * 1000}]}
    assert (await client.post("/v1/chat/completions", json=body, headers=KEY)).status_code == 200
    record = await records.one()
    bodies = (
        record.request_body,
        record.upstream_request_body,
        record.response_body,
        record.client_response_body,
    )
    assert [len(body or b"") for body in bodies] == [max_body_bytes] * 4
    assert record.request_body_bytes > 1000
    assert record.response_body_bytes > 1000

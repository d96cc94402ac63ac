"""A database with some calls in it, as the collector stores them."""

import json
from datetime import UTC, datetime

import pytest
from lessllm_collector import rows
from lessllm_collector.interpret import Prices, interpret
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query
from lessllm_shared.record import ApiFormat, CallRecord, EndReason, new_request_id

MS = 1_000_000
T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * 10**9
HOUR_NS = 3600 * 10**9


def call(number=0, **fields):
    """A plain chat call, `number` hours after T0."""
    t0 = T0_NS + number * HOUR_NS
    answer = {
        "model": "gpt-4o-2024-08-06",
        "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 10 + number,
            "prompt_tokens_details": {"cached_tokens": 400},
        },
    }
    known = {
        "request_id": new_request_id(t0),
        "t0_unix_ns": t0,
        "end_reason": EndReason.COMPLETE,
        "user_id": "ann",
        "api_format": ApiFormat.CHAT,
        "upstream_format": ApiFormat.CHAT,
        "endpoint": "/v1/chat/completions",
        "model": "gpt-4o",
        "upstream_model": "gpt-4o",
        "provider": "openai",
        "route": "direct",
        "status_code": 200,
        "request_headers": [("content-type", "application/json")],
        "request_body": b'{"messages":[{"role":"user","content":"hello"}]}',
        "response_headers": [("content-type", "application/json")],
        "response_body": json.dumps(answer).encode(),
        "request_received_ns": 10 * MS,
        "upstream_start_ns": 20 * MS,
        "upstream_sent_ns": 25 * MS,
        "upstream_headers_ns": 125 * MS,
        "upstream_end_ns": 400 * MS,
        "end_ns": (405 + number) * MS,
    }
    return CallRecord(**{**known, **fields})


def add(store, calls):
    """Commits them, numbered from 1."""
    prices = Prices({})
    with store.cursor() as connection:
        rows.insert(
            connection,
            [interpret(one, gateway_id="g", sequence=n, prices=prices) for n, one in enumerate(calls, 1)],
        )


@pytest.fixture
def limits():
    return Query(timeout_s=20, memory_limit="256MiB")


@pytest.fixture
def empty_store(tmp_path, limits):
    store = Store(tmp_path / "calls.duckdb", limits)
    yield store
    store.close()


@pytest.fixture
def store(empty_store):
    """Five calls, an hour apart: two of gpt-4o, one of an unknown model, one cancelled, one rejected."""
    add(
        empty_store,
        [
            call(0),
            call(1, streaming=True, session_id="s"),
            call(2, model="mine", upstream_model="mine", provider="local", user_id=None),
            call(3, end_reason=EndReason.CLIENT_CANCELLED, response_body=b"\x00\xff", user_id="bob"),
            CallRecord(
                request_id=new_request_id(T0_NS + 4 * HOUR_NS),
                t0_unix_ns=T0_NS + 4 * HOUR_NS,
                end_reason=EndReason.REJECTED,
                status_code=401,
                error_code="invalid_key",
                end_ns=MS,
            ),
        ],
    )
    return empty_store

"""Records in, rows out: answers, times, costs, and the way back."""

import gzip
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lessllm_collector.interpret import Prices, Seen, derive, interpret, record_of
from lessllm_collector.schema import STORED, STORED_NAMES
from lessllm_shared.config.sections import Price
from lessllm_shared.record import ApiFormat, Attempt, CallRecord, EndReason, NetworkMarks

MS = 1_000_000
T0 = 1_790_000_000_123_456_789
NO_PRICES = Prices({})
DERIVED = [column.name for column in STORED if column.derived]


def _record(**fields):
    known = {
        "request_id": "r",
        "t0_unix_ns": T0,
        "end_reason": EndReason.COMPLETE,
        "api_format": ApiFormat.CHAT,
        "upstream_format": ApiFormat.CHAT,
        "model": "gpt-4o",
        "upstream_model": "gpt-4o",
        "provider": "openai",
        "route": "direct",
        "status_code": 200,
        "request_body": b'{"messages":[{"role":"user","content":"hello there"}]}',
        "request_received_ns": 10 * MS,
        "upstream_start_ns": 20 * MS,
        "upstream_sent_ns": 25 * MS,
        "upstream_headers_ns": 125 * MS,
        "upstream_end_ns": 400 * MS,
        "end_ns": 405 * MS,
    }
    return CallRecord(**{**known, **fields})


def _plain(answer, **fields):
    headers = [("Content-Type", "application/json"), ("X-Request-Id", "req_1")]
    return _record(response_body=json.dumps(answer).encode(), response_headers=headers, **fields)


def _stream(reads, encode=lambda pieces: pieces, headers=(), **fields):
    pieces = encode([data for _, data in reads])
    return _record(
        streaming=True,
        upstream_streaming=True,
        response_headers=[("content-type", "text/event-stream"), *headers],
        response_body=b"".join(pieces),
        read_ns=[mark * MS for mark, _ in reads],
        read_bytes=[len(piece) for piece in pieces],
        **fields,
    )


def _event(value):
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(**delta):
    return _event({"model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "delta": delta}]})


USAGE = {"prompt_tokens": 1000, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 400}}
READS = [
    (130, _delta(role="assistant", content="")),
    (150, _delta(reasoning_content="hm")),
    (200, _delta(content="a") + _delta(content="b")),
    (300, _delta(content="c")[:20]),
    (350, _delta(content="c")[20:]),
    (390, _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
    (400, _event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"),
]


def _row(record, prices=NO_PRICES):
    return interpret(record, gateway_id="g", sequence=7, prices=prices)


def _gzip_reads(pieces):
    # A gzip stream flushed after each read, as servers that compress event streams do.
    import zlib

    packer = zlib.compressobj(wbits=31)
    encoded = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*encoded[:-1], encoded[-1] + packer.flush()]


def test_a_row_has_every_stored_column_and_no_other():
    row = _row(CallRecord(request_id="r", t0_unix_ns=T0, end_reason=EndReason.REJECTED))
    assert tuple(row) == STORED_NAMES
    assert (row["timestamp"], row["gateway_id"], row["sequence"]) == (T0 // 1000, "g", 7)
    assert row["request_body"] is None and row["tags"] is None and row["estimated_cost_usd"] is None
    assert row["interpreter_error"] is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"diagnostics": {"cache_miss_reason": {"type": "system_changed"}}}, "system_changed"),
        ({"diagnostics": {"cache_miss_reason": None}}, None),
        ({"prompt_cache_diagnostics": {"type": "cache_miss", "reason": "tools_changed"}}, "tools_changed"),
        ({"prompt_cache_diagnostics": {"type": "cache_hit"}}, None),
    ],
)
def test_why_a_prompt_was_not_cached_as_the_provider_says(answer, reason):
    assert _row(_plain(answer))["actual_cache_miss_reason"] == reason


@pytest.mark.parametrize("encoded", [False, True])
def test_a_stream_gives_times_of_its_content(encoded):
    headers = [("content-encoding", "gzip")] if encoded else []
    row = _row(_stream(READS, _gzip_reads if encoded else lambda pieces: pieces, headers))
    assert row["interpreter_error"] is None
    assert (row["estimated_ttft_ms"], row["estimated_ttfo_ms"]) == (150, 200)
    assert row["estimated_tpot_ms"] == pytest.approx((350 - 150) / 4)
    assert (row["chunk_gap_p50_ms"], row["chunk_gap_p99_ms"]) == (100, pytest.approx(149))
    assert (row["response_model"], row["finish_reason"]) == ("gpt-4o-2024-08-06", "stop")
    assert json.loads(row["decoded_response"])["choices"][0]["message"]["content"] == "abc"
    assert (row["actual_total_tokens"], row["actual_cache_hit_rate"]) == (1005, 0.4)


def test_a_plain_answer_has_no_first_token():
    answer = {"model": "gpt-4o", "choices": [{"finish_reason": "length"}], "usage": USAGE}
    row = _row(_plain(answer))
    assert row["estimated_ttft_ms"] is None and row["estimated_tpot_ms"] is None
    assert row["output_tokens_per_s"] == pytest.approx(5 / 0.405)
    assert (row["upstream_request_id"], row["finish_reason"]) == ("req_1", "length")
    assert row["decoded_response"] is None


def test_an_encoded_plain_answer_is_decoded():
    body = b'{"usage":{"prompt_tokens":3}}'
    row = _row(_record(response_body=gzip.compress(body), response_headers=[("content-encoding", "gzip")]))
    assert (row["decoded_response"], row["actual_prompt_tokens"]) == (body.decode(), 3)


@pytest.mark.parametrize(
    "fields",
    [{"request_body": b'{"n":2}'}, {"api_format": ApiFormat.OTHER, "upstream_format": ApiFormat.OTHER}],
)
def test_tpot_is_unknown_where_it_would_mislead(fields):
    assert _row(_stream(READS, **fields))["estimated_tpot_ms"] is None


def test_tpot_is_unknown_when_all_content_came_in_one_read():
    assert _row(_stream([(200, b"".join(data for _, data in READS))]))["estimated_tpot_ms"] is None


def test_reasoning_that_was_billed_but_not_streamed_leaves_tpot_unknown():
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}
    reads = [(1, _delta(content="a")), (9, _delta(content="b") + _event({"choices": [], "usage": usage}))]
    row = _row(_stream(reads))
    assert (row["estimated_tpot_ms"], row["actual_reasoning_tokens"]) == (None, 3)


def test_phases_and_overhead_add_up():
    network = NetworkMarks(
        dns_ns=MS, tcp_connect_ns=2 * MS, tls_ns=4 * MS, connection_reused=False, round_trip_ns=2 * MS
    )
    attempt = Attempt(provider="openai", url="u", route="direct", start_ns=12 * MS)
    row = _row(_plain({}, network=network, client_blocked_ns=MS, attempts=[attempt]))
    assert (row["request_receive_ms"], row["request_send_ms"]) == (10, 5)
    assert (row["server_wait_ms"], row["receive_ms"], row["estimated_ttfb_ms"]) == (100, 275, 105)
    assert row["gateway_overhead_ms"] == 405 - (400 - 12) - 10 - 1
    assert row["network_ms"] == 1 + 2 + 4 + 2
    assert row["compute_ms"] == 100 + 275 - 2
    assert row["connection_reused"] is False and row["proxy_handshake_ms"] is None


def test_without_a_round_trip_neither_network_nor_compute_is_known():
    row = _row(_plain({}, network=NetworkMarks(dns_ns=MS, tcp_connect_ns=MS, proxy_handshake_ns=MS)))
    assert (row["network_ms"], row["compute_ms"]) == (None, None)


def test_what_came_before_the_request_was_sent_is_no_compute_time():
    attempts = [
        Attempt(provider="openai", url="u", route="direct", start_ns=start * MS, end_ns=end * MS)
        for start, end in ((600, 700), (800, 1400))
    ]
    fields = {
        "attempts": attempts,
        "network": NetworkMarks(pool_wait_ns=150 * MS, connection_reused=True, round_trip_ns=3 * MS),
        "request_received_ns": 500 * MS,
        "prior_attempts_ns": 200 * MS,
        "upstream_start_ns": 950 * MS,
        "upstream_sent_ns": 1000 * MS,
        "upstream_headers_ns": 1300 * MS,
        "upstream_end_ns": 1400 * MS,
        "end_ns": 1405 * MS,
    }
    assert _row(_plain({}, **fields))["compute_ms"] == 300 + 100 - 3
    row = _row(_stream([(1350, _delta(content="a")), (1400, b"data: [DONE]\n\n")], **fields))
    assert row["compute_ms"] == 1350 - 1000 - 3
    assert row["gateway_overhead_ms"] == 100 + 5  # 500 to 600, and at the end


def test_the_time_of_a_try_that_failed_is_not_the_gateway_s():
    attempts = [
        Attempt(provider="openai", url="u", route="direct", start_ns=start * MS, end_ns=end * MS)
        for start, end in ((12, 100), (150, 400))
    ]
    unanswered = dict.fromkeys(
        ("upstream_start_ns", "upstream_sent_ns", "upstream_headers_ns", "upstream_end_ns")
    )
    row = _row(_record(attempts=attempts, prior_attempts_ns=138 * MS, client_blocked_ns=MS, **unanswered))
    assert (row["prior_attempts_ms"], row["client_blocked_ms"]) == (138, 1)
    assert row["gateway_overhead_ms"] == 2 + 4  # 10 to 12, and 400 to 405 but for the client's
    assert row["server_wait_ms"] is None and row["receive_ms"] is None and row["compute_ms"] is None


def test_an_upload_that_was_broken_off_took_no_time_of_the_gateway():
    row = _row(CallRecord(request_id="r", t0_unix_ns=T0, end_reason=EndReason.REJECTED, end_ns=9000 * MS))
    assert (row["request_receive_ms"], row["gateway_overhead_ms"]) == (None, 0)


@pytest.mark.parametrize(
    ("last", "ended"),
    [
        (b"data: [DONE]\n\n", "complete"),
        (_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), "complete"),
        (b"", "truncated"),
        (_event({"error": {"message": "overloaded", "code": "server_error"}}), "upstream_error"),
    ],
)
def test_a_stream_that_the_gateway_saw_whole_says_itself_how_it_ended(last, ended):
    record = _stream([(1, _delta(content="a")), (9, last)])
    row = _row(record)
    assert row["end_reason"] == ended
    assert record_of(row).end_reason is EndReason.COMPLETE  # what the gateway saw is kept


def test_a_client_that_leaves_at_a_streams_terminator_has_its_whole_answer():
    left = {"end_reason": EndReason.CLIENT_CANCELLED, "error_code": "client_disconnected"}
    begun, end = (1, _delta(content="a")), (9, b"data: [DONE]\n\n")
    columns = ("end_reason", "error_code")
    row = _row(_stream([begun, end], **left))
    assert tuple(row[name] for name in columns) == ("complete", None)
    row = _row(_stream([begun], **left))
    assert tuple(row[name] for name in columns) == ("client_cancelled", "client_disconnected")


def test_a_stream_that_was_cut_in_the_record_is_not_called_truncated():
    record = _stream([(1, _delta(content="a"))], response_body_bytes=10**6)
    assert _row(record)["end_reason"] == "complete"


def test_a_client_that_blocks_between_two_reads_takes_no_time_from_the_gateway():
    # 5 ms are left after the upstream's last byte; 25 ms lie between reads.
    row = _row(_plain({}, client_blocked_ns=30 * MS))
    assert (row["client_blocked_ms"], row["receive_ms"]) == (30, 250)
    assert row["gateway_overhead_ms"] == 20 - 10
    phases = ("request_receive_ms", "request_send_ms", "server_wait_ms", "receive_ms", "client_blocked_ms")
    assert sum(row[phase] for phase in phases) + row["gateway_overhead_ms"] == row["total_latency_ms"]


def test_overhead_and_phases_are_never_negative():
    row = _row(_plain({}, client_blocked_ns=900 * MS, request_received_ns=30 * MS))
    assert (row["gateway_overhead_ms"], row["receive_ms"]) == (0, 0)


def test_processing_time_comes_from_header_or_body():
    record = _record(response_headers=[("OpenAI-Processing-Ms", "42")])
    assert _row(record)["provider_processing_ms"] == 42
    row = _row(_plain({"usage": {"queue_time": 0.01, "prompt_time": 0.02, "completion_time": 0.03}}))
    assert row["provider_processing_ms"] == pytest.approx(60)


def test_errors_are_named_after_us_then_the_provider():
    answer = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit"}}
    row = _row(_plain(answer, status_code=429, end_reason=EndReason.UPSTREAM_ERROR))
    assert (row["error_code"], row["error_message"]) == ("rate_limit", "slow down")
    row = _row(_plain(answer, error_code="ours", error_message="why"))
    assert (row["error_code"], row["error_message"]) == ("ours", "why")


def _anthropic(*events):
    reads = [(200, b"".join(b"event: %b\n" % e["type"].encode() + _event(e) for e in events))]
    fields = {"api_format": ApiFormat.MESSAGES, "upstream_format": ApiFormat.MESSAGES}
    return _stream(
        reads,
        **fields,
        provider="anthropic",
        upstream_model="claude-sonnet-4-5",
        end_reason=EndReason.CLIENT_CANCELLED,
    )


START = {
    "type": "message_start",
    "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 10, "output_tokens": 1}},
}


def test_the_placeholder_of_message_start_is_no_count_and_the_cost_is_estimated():
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 400}}
    row = _row(_anthropic(START, block, text))
    assert (row["actual_prompt_tokens"], row["actual_completion_tokens"]) == (10, None)
    assert row["cost_basis"] == "estimated"
    assert row["estimated_cost_usd"] == pytest.approx((10 * 3 + 101 * 15) / 1e6)


def test_cache_writes_of_both_lifetimes_have_their_prices():
    usage = {
        "input_tokens": 100,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 0,
    }
    answer = {"model": "claude-sonnet-4-5", "usage": usage}
    row = _row(_plain(answer, provider="anthropic", api_format=ApiFormat.MESSAGES))
    assert row["estimated_cost_usd"] == pytest.approx((100 * 3 + 100 * 3.75 + 200 * 6) / 1e6)
    assert row["cache_savings_usd"] == pytest.approx(-(100 * 0.75 + 200 * 3) / 1e6)


@pytest.mark.parametrize("named", ["gpt-4o", "mine"])
def test_own_prices_win(named):
    price = Price(input_usd_per_mtok=10, output_usd_per_mtok=100, cache_read_usd_per_mtok=1)
    row = _row(_plain({"usage": USAGE}, model="mine"), Prices({named: price}))
    assert row["estimated_cost_usd"] == pytest.approx((600 * 10 + 400 * 1 + 5 * 100) / 1e6)
    assert (row["price_source"], row["price_version"]) == ("configured", None)


@pytest.mark.parametrize(
    "fields", [{"provider": "openai", "upstream_model": "no-such"}, {"provider": "mine"}]
)
def test_an_unknown_price_is_null_with_a_reason(fields):
    row = _row(_plain({"usage": USAGE}, **fields))
    assert (row["estimated_cost_usd"], row["price_source"]) == (None, "unknown_model")


def test_a_complete_call_without_usage_has_no_cost():
    row = _row(_plain({"choices": []}))
    assert (row["estimated_cost_usd"], row["cost_basis"], row["price_source"]) == (None, None, "no_usage")


def test_a_failure_of_the_interpreter_leaves_the_seen_columns_and_quotes_nothing(monkeypatch):
    def fail(answer):
        raise KeyError(str(answer))

    monkeypatch.setattr("lessllm_collector.interpret.usage_of", fail)
    row = _row(_plain({"secret": "s3cret"}))
    assert row["interpreter_error"].startswith("KeyError in fail:")
    assert row["response_body"] == b'{"secret": "s3cret"}' and row["total_latency_ms"] is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["usage", "choices", "error", "model", "delta", "content", "prompt_tokens", "type"]
            )
            | st.sampled_from(["input_tokens", "message", "response", "timings", "usageMetadata", "index"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_BODIES = (
    st.binary(max_size=300)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | st.lists(_JSON, max_size=5).map(lambda values: b"".join(_event(value) for value in values))
)
_RECORDS = st.builds(
    CallRecord,
    request_id=st.just("r"),
    t0_unix_ns=st.just(T0),
    end_reason=st.sampled_from(EndReason),
    api_format=st.sampled_from(ApiFormat),
    upstream_format=st.none() | st.sampled_from(ApiFormat),
    provider=st.sampled_from([None, "openai", "anthropic", "other"]),
    upstream_model=st.sampled_from([None, "gpt-4o"]),
    tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    upstream_streaming=st.booleans(),
    usage_requested=st.booleans(),
    request_body=_BODIES,
    response_body=_BODIES,
    response_headers=st.lists(
        st.tuples(
            st.sampled_from(["content-type", "content-encoding", "x-request-id", "openai-processing-ms"]),
            st.sampled_from(["text/event-stream", "application/json", "gzip", "br", "zstd", "deflate", "7"]),
        ),
        max_size=4,
    ),
    status_code=st.sampled_from([None, 200, 429]),
    error_code=st.none() | st.just("ours"),
    upstream_start_ns=st.none() | st.just(5),
    read_ns=st.lists(st.integers(0, 10**9), max_size=4).map(sorted),
    read_bytes=st.lists(st.integers(0, 200), max_size=4),
    network=st.builds(NetworkMarks, tls_ns=st.none() | st.just(3), remote_dns=st.none() | st.booleans()),
    attempts=st.lists(
        st.builds(
            Attempt, provider=st.just("p"), url=st.just("u"), route=st.just("direct"), start_ns=st.just(1)
        ),
        max_size=2,
    ),
)


@settings(max_examples=400, deadline=None)
@given(_RECORDS)
def test_no_body_makes_it_raise_and_a_row_can_be_derived_again(record):
    row = _row(record)
    assert tuple(row) == STORED_NAMES
    assert row["interpreter_error"] is None or "damaged" in row["interpreter_error"]
    assert all(math.isfinite(value) for value in row.values() if isinstance(value, float))
    again = record_of(row)
    assert derive(again, NO_PRICES, Seen()) == {name: row[name] for name in DERIVED}
    assert _row(again) == row

"""The time columns: clock marks in, milliseconds out (SEMANTICS section 1, DESIGN section 10).

Marks are ns since t0. What did not happen, or can't be known, is None.
"""

from itertools import pairwise
from typing import Any

from lessllm_shared.record import ApiFormat, CallRecord
from lessllm_shared.tolerant_json import loads

from lessllm_collector.interpret.answer import Answer, header
from lessllm_collector.interpret.usage import Usage, at

# Thinking comes as a summary.
_SUMMARISING = frozenset({ApiFormat.RESPONSES, ApiFormat.MESSAGES, ApiFormat.GEMINI})


def times(record: CallRecord, answer: Answer, usage: Usage) -> dict[str, Any]:
    """Every time column, and the connection's two flags."""
    network = record.network
    total = _ms(record.end_ns or None)  # 0: it had not ended when its gateway was killed
    return {
        "total_latency_ms": total,
        "estimated_ttfb_ms": _span(record.upstream_start_ns, record.upstream_headers_ns),
        "estimated_ttft_ms": _ms(answer.first_ns),
        "estimated_ttfo_ms": _ms(answer.first_output_ns),
        "estimated_tpot_ms": _tpot(record, answer, usage),
        "output_tokens_per_s": None
        if usage.completion is None or total is None
        else usage.completion / total * 1e3,
        "chunk_gap_p50_ms": _gap(answer.content_reads_ns, 0.5),
        "chunk_gap_p99_ms": _gap(answer.content_reads_ns, 0.99),
        "pool_wait_ms": _ms(network.pool_wait_ns),
        "dns_ms": _ms(network.dns_ns),
        "tcp_connect_ms": _ms(network.tcp_connect_ns),
        "proxy_handshake_ms": _ms(network.proxy_handshake_ns),
        "tls_ms": _ms(network.tls_ns),
        "request_receive_ms": _ms(record.request_received_ns),
        "request_send_ms": _span(record.upstream_start_ns, record.upstream_sent_ns),
        "server_wait_ms": _span(record.upstream_sent_ns, record.upstream_headers_ns),
        "receive_ms": _receive_ms(record),
        "client_blocked_ms": record.client_blocked_ns / 1e6,
        "prior_attempts_ms": record.prior_attempts_ns / 1e6,
        "gateway_overhead_ms": _overhead_ms(record),
        "network_ms": _network_ms(record),
        "compute_ms": _compute_ms(record, answer),
        "provider_processing_ms": _processing_ms(record, answer),
        "connection_reused": network.connection_reused,
        "remote_dns": network.remote_dns,
    }


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _span(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else max(0, end - start) / 1e6


def _tpot(record: CallRecord, answer: Answer, usage: Usage) -> float | None:
    if answer.first_ns is None or answer.last_ns is None or answer.last_ns <= answer.first_ns:
        return None
    if usage.completion is None or usage.completion < 2 or _several_answers(record, answer):
        return None
    # Billed tokens that were not streamed, or only as a summary, would make the others look fast.
    summarised = (record.upstream_format or record.api_format) in _SUMMARISING
    if (usage.reasoning and (summarised or not answer.reasoning_seen)) or (
        summarised and answer.reasoning_seen
    ):
        return None
    return (answer.last_ns - answer.first_ns) / 1e6 / (usage.completion - 1)


def _several_answers(record: CallRecord, answer: Answer) -> bool:
    choices = at(answer.value, ("choices",)) or at(answer.value, ("candidates",))
    if isinstance(choices, list) and len(choices) > 1:
        return True
    if b'"n"' not in record.request_body:  # or it would be parsed for nothing
        return False
    try:
        n = at(loads(record.request_body), ("n",))
    except ValueError:
        return False
    return isinstance(n, int) and n > 1


def _gap(reads_ns: list[int], quantile: float) -> float | None:
    gaps = sorted(later - earlier for earlier, later in pairwise(reads_ns))
    if not gaps:
        return None
    # Linear between neighbours, as DuckDB's quantile_cont
    place = quantile * (len(gaps) - 1)
    below = int(place)
    above = min(below + 1, len(gaps) - 1)
    return (gaps[below] + (gaps[above] - gaps[below]) * (place - below)) / 1e6


def _receive_ms(record: CallRecord) -> float | None:
    """Time in which the client was given bytes is the client's, also between two reads."""
    whole = _span(record.upstream_headers_ns, record.upstream_end_ns)
    return None if whole is None else max(0.0, whole - _blocked_between_ns(record) / 1e6)


def _blocked_between_ns(record: CallRecord) -> int:
    """The part of client_blocked_ns between the upstream's reads; the rest comes after its last byte."""
    if record.upstream_end_ns is None:
        return 0
    return max(0, record.client_blocked_ns - max(0, record.end_ns - record.upstream_end_ns))


def _overhead_ms(record: CallRecord) -> float:
    """What is left of the whole without the upstream's span, the client's time and earlier attempts."""
    blocked_ns = record.client_blocked_ns - _blocked_between_ns(record)
    others_ns = _upstream_span_ns(record) + blocked_ns + record.prior_attempts_ns
    received_ns = record.request_received_ns
    if received_ns is None:  # the call ended while the body came, at the latest
        received_ns = record.end_ns - others_ns
    return max(0, record.end_ns - others_ns - received_ns) / 1e6


def _upstream_span_ns(record: CallRecord) -> int:
    """Of the last attempt, which begins with its wait for a connection, to its last byte or its failure."""
    start, end = record.upstream_start_ns, record.upstream_end_ns
    if record.attempts:
        last = record.attempts[-1]
        start, end = last.start_ns, last.end_ns if end is None else end
    return 0 if start is None or end is None else max(0, end - start)


def _network_ms(record: CallRecord) -> float | None:
    marks = record.network
    if marks.round_trip_ns is None:
        return None
    phases = (marks.dns_ns, marks.tcp_connect_ns, marks.proxy_handshake_ns, marks.tls_ns)
    return (marks.round_trip_ns + sum(phase or 0 for phase in phases)) / 1e6


def _compute_ms(record: CallRecord, answer: Answer) -> float | None:
    """From request to first token, or else last byte, without the way there and back."""
    sent, round_trip = record.upstream_sent_ns, record.network.round_trip_ns
    until, blocked_ns = answer.first_ns, 0
    if until is None and record.upstream_end_ns is not None:
        until, blocked_ns = record.upstream_end_ns, _blocked_between_ns(record)
    if sent is None or until is None or round_trip is None:
        return None
    return max(0, until - sent - blocked_ns - round_trip) / 1e6


def _processing_ms(record: CallRecord, answer: Answer) -> float | None:
    for name in ("openai-processing-ms", "x-envoy-upstream-service-time"):
        if (value := header(record, name)) is not None and value.isascii() and value.isdigit():
            return float(value[:18])
    for factor, paths in _REPORTED:
        found = [at(answer.value, path) for path in paths]
        parts = [float(part) for part in found if type(part) in (int, float) and 0 <= part < 1e15]
        if parts:
            return sum(parts) * factor
    return None


# Factor to ms, and the parts that add up.
_REPORTED: tuple[tuple[float, tuple[tuple[str, ...], ...]], ...] = (
    (1e3, tuple(("usage", key) for key in ("queue_time", "prompt_time", "completion_time"))),  # Groq
    (1e3, tuple(("x_groq", "usage", key) for key in ("queue_time", "prompt_time", "completion_time"))),
    (1.0, (("timings", "prompt_ms"), ("timings", "predicted_ms"))),  # llama.cpp
    (1e-6, (("total_duration",),)),  # Ollama
)

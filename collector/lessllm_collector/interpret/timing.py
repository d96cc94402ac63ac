"""The time columns: clock marks in, milliseconds out (SEMANTICS section 1, DESIGN section 10).

Marks are ns since t0. What did not happen, or can't be known, is None.
"""

from itertools import pairwise
from typing import Any

from lessllm_shared.record import ApiFormat, CallRecord
from lessllm_shared.tolerant_json import loads

from lessllm_collector.interpret.answer import Answer, header
from lessllm_collector.interpret.usage import Usage, at

_SUMMARISING = frozenset({ApiFormat.RESPONSES, ApiFormat.MESSAGES})  # thinking comes as a summary


def times(record: CallRecord, answer: Answer, usage: Usage) -> dict[str, Any]:
    """Every time column, and the connection's two flags."""
    network = record.network
    total = record.end_ns / 1e6
    columns: dict[str, Any] = {
        "total_latency_ms": total,
        "estimated_ttfb_ms": _span(record.upstream_start_ns, record.upstream_headers_ns),
        "estimated_ttft_ms": _ms(answer.first_ns),
        "estimated_ttfo_ms": _ms(answer.first_output_ns),
        "estimated_tpot_ms": _tpot(record, answer, usage),
        "output_tokens_per_s": None
        if usage.completion is None or total <= 0
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
        "compute_ms": None,
        "provider_processing_ms": _processing_ms(record, answer),
        "connection_reused": network.connection_reused,
        "remote_dns": network.remote_dns,
    }
    if columns["network_ms"] is not None and record.upstream_headers_ns is not None:
        until = total if columns["estimated_ttft_ms"] is None else columns["estimated_ttft_ms"]
        columns["compute_ms"] = max(0.0, until - columns["network_ms"] - columns["gateway_overhead_ms"])
    return columns


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
    return (
        None
        if whole is None
        else max(0.0, whole - (record.client_blocked_ns - _last_blocked_ns(record)) / 1e6)
    )


def _last_blocked_ns(record: CallRecord) -> int:
    """The part of client_blocked_ns after the upstream's last byte; the rest lies between its reads."""
    tail = 0 if record.upstream_end_ns is None else record.end_ns - record.upstream_end_ns
    return min(record.client_blocked_ns, max(0, tail))


def _overhead_ms(record: CallRecord) -> float:
    # The upstream span begins with the answering attempt: connecting is the network's time, not ours.
    start = record.upstream_start_ns
    if start is not None and record.attempts:
        start = min(start, record.attempts[-1].start_ns)
    end = record.end_ns if record.upstream_end_ns is None else record.upstream_end_ns
    span = 0 if start is None else max(0, end - start)
    others = (record.request_received_ns or 0) + _last_blocked_ns(record) + record.prior_attempts_ns
    return max(0, record.end_ns - span - others) / 1e6


def _network_ms(record: CallRecord) -> float | None:
    marks = record.network
    round_trip = marks.round_trip_ns
    if round_trip is None:  # one round trip is a TCP connect; through a proxy only TLS reaches the upstream
        round_trip = marks.tcp_connect_ns if record.route in (None, "direct") else marks.tls_ns
    if round_trip is None:
        return None
    phases = (marks.dns_ns, marks.tcp_connect_ns, marks.proxy_handshake_ns, marks.tls_ns)
    return (round_trip + sum(phase or 0 for phase in phases)) / 1e6


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

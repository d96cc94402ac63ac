"""What the collector counts, for Prometheus: of the calls that it committed, and of itself.

Labels are few (labels.py), and no users but names of client keys. The histograms named gen_ai_… are
OpenTelemetry's for generative AI, with its buckets. What is not known of a call is left out, never 0; what
may be alerted on is 0 from the start, for Prometheus sees no increase to a series' first value. This file is
long because it is the one place that says what a figure means.
"""

import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from lessllm_shared.sensitive.kinds import KINDS
from prometheus_client import Counter, Gauge, Histogram, Summary, disable_created_metrics

from lessllm_collector.labels import NONE, Names

GATEWAY_KILLED = "gateway_killed"  # an error_code
_MODELS = Names(50)  # about 75 series each
_CODES = Names(50)
_KEYS = Names(200)  # configured, and told by gateways
_SECONDS = tuple(0.01 * 2**n for n in range(14))
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_TPOT = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_TOKENS = tuple(4**n for n in range(14))
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_LAG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600)
_MODEL = ("provider", "model")
_GEN_AI = ("gen_ai_provider_name", "gen_ai_request_model")

# One more series for each counter, that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

CALLS = Counter(
    "lessllm_calls_total",
    "Recorded calls by provider (none: rejected before), model as the client asked (none: it named none;"
    " other: no answer with status 2xx named it yet, or there are 50 others), HTTP status that the client"
    " got (none: it left before) and end_reason as in api_calls",
    [*_MODEL, "status", "end_reason"],
)
ERRORS = Counter(
    "lessllm_errors_total",
    "Recorded calls with an error, by provider and error_code as in api_calls (other: there are 50 others)",
    ["provider", "code"],
)
COST_USD = Counter("lessllm_cost_usd_total", "Estimated cost of calls whose cost is known, in USD", _MODEL)
UNPRICED = Counter(
    "lessllm_unpriced_calls_total",
    "Calls answered with status 2xx whose cost is not known, and in no sum of costs; why is price_source"
    " as in api_calls",
    [*_MODEL, "reason"],
)
CACHED_TOKENS = Counter("lessllm_cached_tokens_total", "Prompt tokens read from providers' caches", _MODEL)
CACHE_WRITE_TOKENS = Counter(
    "lessllm_cache_write_tokens_total", "Prompt tokens written to providers' caches, as reported", _MODEL
)
CACHE_SAVED_USD = Counter(
    "lessllm_cache_saved_usd_total",
    "What caches saved: cached tokens at the price of fresh ones, less what they and writes cost, of calls"
    " where that is more than 0; in USD",
    _MODEL,
)
CACHE_WASTED_USD = Counter(
    "lessllm_cache_wasted_usd_total",
    "What caches cost instead: the same of calls that paid more for writes than reads saved them; in USD."
    " A later call may read what they wrote",
    _MODEL,
)
CACHE_OUTCOMES = Counter(
    "lessllm_cache_predictions_total",
    "Calls whose cache hit was predicted, by cache_outcome as in api_calls: as_predicted, unexpected_miss,"
    " unexpected_hit, unreported (the provider gave no figure)",
    [*_MODEL, "outcome"],
)
CACHE_COMPARED_TOKENS = Counter(
    "lessllm_cache_compared_tokens_total",
    "Of calls whose cache hit was predicted and reported: prompt tokens; of these predicted to be read from"
    " the cache (recalibrated_cached_tokens), and reported as read (cached)",
    [*_MODEL, "kind"],
)
KEY_COST_USD = Counter(
    "lessllm_key_cost_usd_total",
    "Estimated cost of calls whose cost is known, by client key (other: there are 200 others), in USD",
    ["client_key"],
)
KEY_TOKENS = Counter(
    "lessllm_key_tokens_total", "Prompt and output tokens reported, by client key", ["client_key"]
)
DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Whole call, to the last byte that the client got",
    _GEN_AI,
    buckets=_SECONDS,
)
TTFT = Histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "From the client's request to the first content, reasoning included, of calls whose provider streamed",
    _GEN_AI,
    buckets=_TTFT,
)
TPOT = Histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Time per output token after the first, of calls whose provider streamed",
    _GEN_AI,
    buckets=_TPOT,
)
TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens of a call as reported: input (the whole prompt) and output (reasoning included)",
    [*_GEN_AI, "gen_ai_token_type"],
    buckets=_TOKENS,
)
PHASE_SECONDS = Summary(
    "lessllm_phase_seconds",
    "Where the time of calls went, by provider and phase; the phases of a call add up to its duration, and"
    " the count is of calls in which the phase took place",
    ["provider", "phase"],
)
NETWORK_SECONDS = Summary(
    "lessllm_network_seconds",
    "Estimate of a call's time on the network: connecting and one round trip",
    ["provider"],
)
COMPUTE_SECONDS = Summary(
    "lessllm_compute_seconds",
    "Estimate of the provider's time to the first token (not streamed: to all)",
    ["provider"],
)
OVERHEAD_SECONDS = Histogram(
    "lessllm_overhead_seconds", "What LessLLM itself added to a call's duration", buckets=_OVERHEAD
)

SENSITIVE_FINDINGS = Counter(
    "lessllm_collector_sensitive_findings_total", "Sensitive data found in requests, by kind", ["kind"]
)
LAG_SECONDS = Histogram(
    "lessllm_collector_lag_seconds",
    "From the end of a call to its row being committed, by the clocks of gateway and collector",
    buckets=_LAG,
)
FRAMES_REFUSED = Counter(
    "lessllm_collector_frames_refused_total",
    "Frames that can't be read, and are set aside: malformed, or version (of a gateway of another version,"
    " which keeps its records)",
    ["reason"],
)
PEERS_REFUSED = Counter(
    "lessllm_collector_peers_refused_total",
    "Connections that were not let in: unknown_key (not the gateways'), wrong_keys (none, or for another"
    " collector), broken_off (by the other side: it does not take this collector's keys, or it was a probe)",
    ["reason"],
)
RECORDS_REPEATED = Counter(
    "lessllm_collector_records_repeated_total", "Records that came again, and were not stored again"
)
GAPS = Counter(
    "lessllm_collector_delivery_gaps_total",
    "Calls without their record, by reason (lost, gateway_killed, unreadable), as delivery_gaps lists them",
    ["reason"],
)
INTERPRETER_ERRORS = Counter(
    "lessllm_collector_interpreter_errors_total",
    "Calls without derived columns by a mistake of ours: interpreter_error in api_calls says where",
)
COMMIT_SECONDS = Histogram("lessllm_collector_commit_seconds", "Interpreting and committing one batch")
COMMITS_FAILED = Counter("lessllm_collector_commits_failed_total", "Commits that failed and are tried again")
COMMITS_FAILING = Gauge(
    "lessllm_collector_commits_failing", "1: records can't be committed, and /readyz says why; 0: they can"
)
DISK_BYTES = Gauge("lessllm_collector_disk_bytes", "Size of the disk of the database")
DISK_FREE_BYTES = Gauge("lessllm_collector_disk_free_bytes", "Free on the disk of the database")
BODIES_EXPIRED = Counter("lessllm_collector_bodies_expired_total", "Calls whose bodies were deleted by age")
CALLS_EXPIRED = Counter("lessllm_collector_calls_expired_total", "Calls that were deleted by age")
RETENTION_FAILED = Counter("lessllm_collector_retention_failed_total", "Runs of retention that failed")
RETENTION_RUN = Gauge(
    "lessllm_collector_retention_last_run_timestamp_seconds", "When retention last did all there was"
)
DATABASE_BYTES = Gauge("lessllm_collector_database_bytes", "Size of the database's file, log apart")
DATABASE_FREE_BYTES = Gauge("lessllm_collector_database_free_bytes", "Of it, free for new calls")
DUCKDB_BYTES = Gauge(
    "lessllm_collector_duckdb_memory_bytes",
    "What DuckDB holds in memory, up to collector.query.memory_limit: cache (of the database's file, as"
    " written and read; given up when something else needs the room) and work (commits, queries)",
    ["kind"],
)
INBOX_BYTES = Gauge("lessllm_collector_inbox_bytes", "Records received and not committed yet")

for _counter, _reasons in (
    (GAPS, ("lost", GATEWAY_KILLED, "unreadable")),
    (FRAMES_REFUSED, ("malformed", "version")),
    (PEERS_REFUSED, ("unknown_key", "wrong_keys", "broken_off")),
    (SENSITIVE_FINDINGS, KINDS),
):
    for _reason in _reasons:
        _counter.labels(_reason)


def count(row: Mapping[str, Any]) -> None:
    """A committed call's figures."""
    provider, status = row["provider"] or NONE, row["status_code"]
    is_answered = status is not None and 200 <= status < 300
    model = _MODELS.label(row["model"], is_believed=is_answered)
    _series(CALLS, provider, model, NONE if status is None else status, row["end_reason"]).inc()
    if row["error_code"] is not None:
        _series(ERRORS, provider, _CODES.label(row["error_code"])).inc()
        if row["error_code"] == GATEWAY_KILLED:
            _series(GAPS, GATEWAY_KILLED).inc()
    if row["estimated_cost_usd"] is None and is_answered:
        _series(UNPRICED, provider, model, row["price_source"] or NONE).inc()
    if row["sensitive_findings"] not in {None, "{}"}:
        for kind, number in json.loads(row["sensitive_findings"]).items():
            _series(SENSITIVE_FINDINGS, kind).inc(number)
    for counter, column in _SUMS:
        if row[column] is not None:
            _series(counter, provider, model).inc(row[column])
    _count_tokens(row, provider, model)
    _count_cache(row, provider, model)
    _count_time(row, provider, model)
    if row["client_key"] is not None:
        key = _KEYS.label(row["client_key"])
        _series(KEY_COST_USD, key).inc(row["estimated_cost_usd"] or 0)
        _series(KEY_TOKENS, key).inc(row["actual_total_tokens"] or 0)


@cache
def _series(metric: Any, *labels: str | int) -> Any:
    """Bounded as labels are; `labels` itself takes six times as long."""
    return metric.labels(*labels)


def _count_tokens(row: Mapping[str, Any], provider: str, model: str) -> None:
    for kind, column in (("input", "actual_prompt_tokens"), ("output", "actual_completion_tokens")):
        if row[column] is not None:
            _series(TOKENS, provider, model, kind).observe(row[column])


def _count_cache(row: Mapping[str, Any], provider: str, model: str) -> None:
    savings_usd = row["cache_savings_usd"]
    if savings_usd is not None:
        counter = CACHE_SAVED_USD if savings_usd >= 0 else CACHE_WASTED_USD
        _series(counter, provider, model).inc(abs(savings_usd))
    if row["cache_outcome"] is not None:
        _series(CACHE_OUTCOMES, provider, model, row["cache_outcome"]).inc()
    compared = [(kind, row[column]) for kind, column in _COMPARED]
    if all(tokens is not None for _, tokens in compared):
        for kind, tokens in compared:
            _series(CACHE_COMPARED_TOKENS, provider, model, kind).inc(tokens)


def _count_time(row: Mapping[str, Any], provider: str, model: str) -> None:
    for histogram, column in _TIMES:
        if row[column] is not None:
            _series(histogram, provider, model).observe(row[column] / 1000)
    for phase, column in _PHASES:
        if row[column] is not None:
            _series(PHASE_SECONDS, provider, phase).observe(row[column] / 1000)
    for summary, column in _ESTIMATES:
        if row[column] is not None:
            _series(summary, provider).observe(row[column] / 1000)
    if row["gateway_overhead_ms"] is not None:
        OVERHEAD_SECONDS.observe(row["gateway_overhead_ms"] / 1000)
    if row["total_latency_ms"] is not None:
        ended_s = row["timestamp"] / 1e6 + row["total_latency_ms"] / 1000
        LAG_SECONDS.observe(max(0.0, time.time() - ended_s))


_SUMS = (
    (COST_USD, "estimated_cost_usd"),
    (CACHED_TOKENS, "actual_cached_tokens"),
    (CACHE_WRITE_TOKENS, "actual_cache_write_tokens"),
)
_TIMES = ((DURATION, "total_latency_ms"), (TTFT, "estimated_ttft_ms"), (TPOT, "estimated_tpot_ms"))
_ESTIMATES = ((NETWORK_SECONDS, "network_ms"), (COMPUTE_SECONDS, "compute_ms"))
_COMPARED = (
    ("prompt", "actual_prompt_tokens"),
    ("predicted", "recalibrated_cached_tokens"),
    ("cached", "actual_cached_tokens"),
)
_PHASES = (
    ("upload", "request_receive_ms"),
    ("earlier_tries", "prior_attempts_ms"),
    ("overhead", "gateway_overhead_ms"),
    ("pool", "pool_wait_ms"),
    ("dns", "dns_ms"),
    ("connect", "tcp_connect_ms"),
    ("proxy_handshake", "proxy_handshake_ms"),
    ("tls", "tls_ms"),
    ("send", "request_send_ms"),
    ("wait", "server_wait_ms"),
    ("receive", "receive_ms"),
    ("slow_client", "client_blocked_ms"),
)

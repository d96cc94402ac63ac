"""What the collector counts, for Prometheus. Labels come from configured and preset names only.

The histograms are OpenTelemetry's for generative AI, with its buckets, by provider.
"""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

GATEWAY_KILLED = "gateway_killed"  # an error_code
_SECONDS = tuple(0.01 * 2**n for n in range(14))
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_TPOT = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_TOKENS = tuple(4**n for n in range(14))

CALLS = Counter(
    "lessllm_calls_total", "Recorded calls by provider and how they ended", ["provider", "end_reason"]
)
COST_USD = Counter("lessllm_cost_usd_total", "Estimated cost", ["provider"])
CACHED_TOKENS = Counter("lessllm_cached_tokens_total", "Prompt tokens read from caches", ["provider"])
DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds", "Whole call", ["gen_ai_provider_name"], buckets=_SECONDS
)
TTFT = Histogram("gen_ai_server_time_to_first_token_seconds", "TTFT", ["gen_ai_provider_name"], buckets=_TTFT)
TPOT = Histogram(
    "gen_ai_server_time_per_output_token_seconds", "TPOT", ["gen_ai_provider_name"], buckets=_TPOT
)
TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens a call",
    ["gen_ai_provider_name", "gen_ai_token_type"],
    buckets=_TOKENS,
)

FRAMES_REFUSED = Counter("lessllm_collector_frames_refused_total", "Frames that can't be read", ["reason"])
PEERS_REFUSED = Counter(
    "lessllm_collector_peers_refused_total",
    "Connections that were not let in: unknown_key (not the gateways'), wrong_keys (none, or for another"
    " collector), broken_off (by the other side: it does not take this collector's keys, or it was a probe)",
    ["reason"],
)
RECORDS_REPEATED = Counter("lessllm_collector_records_repeated_total", "Records that came again")
GAPS = Counter(
    "lessllm_collector_delivery_gaps_total",
    "Calls without their record, by reason (lost, gateway_killed, unreadable), as delivery_gaps lists them",
    ["reason"],
)
COMMIT_SECONDS = Histogram("lessllm_collector_commit_seconds", "Interpreting and committing one batch")
COMMITS_FAILED = Counter("lessllm_collector_commits_failed_total", "Commits that failed and are tried again")
COMMITS_FAILING = Gauge(
    "lessllm_collector_commits_failing", "1: records can't be committed, and /readyz says why; 0: they can"
)
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


def count(row: Mapping[str, Any]) -> None:
    """A committed call's figures."""
    provider = row["provider"] or "none"
    CALLS.labels(provider, row["end_reason"]).inc()
    if row["error_code"] == GATEWAY_KILLED:
        GAPS.labels(GATEWAY_KILLED).inc()
    COST_USD.labels(provider).inc(row["estimated_cost_usd"] or 0)
    CACHED_TOKENS.labels(provider).inc(row["actual_cached_tokens"] or 0)
    for histogram, column in _TIMES:
        if row[column] is not None:
            histogram.labels(provider).observe(row[column] / 1000)
    for kind, column in (("input", "actual_prompt_tokens"), ("output", "actual_completion_tokens")):
        if row[column] is not None:
            TOKENS.labels(provider, kind).observe(row[column])


_TIMES = ((DURATION, "total_latency_ms"), (TTFT, "estimated_ttft_ms"), (TPOT, "estimated_tpot_ms"))

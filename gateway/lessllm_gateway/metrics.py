"""What the gateway counts, for Prometheus. Labels come from configured names only.

What may be alerted on is 0 from the start, for Prometheus sees no increase to a series' first value.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# One more series for each counter, that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

CALLS = Counter(
    "lessllm_gateway_calls_total",
    "Calls that ended, by provider (none: not routed, or answered here) and end_reason as in api_calls",
    ["provider", "end_reason"],
)
OPEN_CALLS = Gauge("lessllm_gateway_open_calls", "Calls under way")
REJECTED_CALLS = Counter(
    "lessllm_gateway_rejected_calls_total",
    "Calls that the gateway refused, by its error code (rate_limited, budget_exceeded, invalid_client_key, …)"
    " and the client key's name (none: no key, or not known)",
    ["code", "client_key"],
)
BUDGET = Gauge(
    "lessllm_gateway_budget",
    "Budgets of client keys, by unit (usd, tokens) and period (day, month; UTC)",
    ["client_key", "unit", "per"],
)
BUDGET_SPENT = Gauge(
    "lessllm_gateway_budget_spent",
    "What is spent of them: what the collector said last, and what this gateway assumes of calls that are"
    " under way or not acknowledged",
    ["client_key", "unit", "per"],
)
KEYS_FILE_READ = Gauge(
    "lessllm_gateway_keys_file_read",
    "0: auth.keys_file has changed and can't be read, and the client keys before that still hold; else 1",
)
TRIES = Counter(
    "lessllm_gateway_tries_total",
    "Tries at an upstream, by provider, route (direct, or the proxy) and error code (none: it answered). A"
    " call has more than one when it went on to another proxy, was repeated, or fell back to another model",
    ["provider", "route", "code"],
)
PHASE_SECONDS = Histogram(
    "lessllm_gateway_phase_seconds",
    "Time of each network phase of a try: pool (waiting for a connection), dns, connect, proxy_handshake, tls"
    " (these four of new connections only), send, wait (until the answer's head)",
    ["provider", "phase"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
PROXY_UP = Gauge(
    "lessllm_gateway_proxy_up",
    "1: calls go through this proxy; 0: it failed and is set aside until it is tried again",
    ["proxy"],
)
CONNECTIONS = Gauge(
    "lessllm_gateway_connections",
    "Upstream connections over HTTP/1.1: busy (or being dialled) and idle",
    ["state"],
)
CONNECTIONS_OPENED = Counter(
    "lessllm_gateway_connections_opened_total",
    "Upstream connections over HTTP/1.1 that were opened; the other tries reused one",
)
CALLS_WAITING = Gauge(
    "lessllm_gateway_calls_waiting",
    "Calls that wait for a connection: pool.max_connections or pool.max_per_host are in use",
)
BODIES_CUT = Counter(
    "lessllm_gateway_bodies_cut_total",
    "Bodies recorded in part because gateway.record_buffer_bytes was used up; the client got them whole",
)
RECORDS_LOST = Counter(
    "lessllm_gateway_records_lost_total",
    "Records that no database will have: buffer_full (spool and gateway.record_buffer_bytes used up while"
    " the collector was away), not_encodable (a defect), collector_reset (committed once, but the collector"
    " came back with a database that lacks them), spool_damaged (they can't be read any more)",
    ["reason"],
)
for _reason in ("buffer_full", "not_encodable", "collector_reset", "spool_damaged"):
    RECORDS_LOST.labels(_reason)
RECORDS_PENDING = Gauge("lessllm_gateway_records_pending", "Records not yet committed by the collector")
DELIVERY_STALLED_SECONDS = Gauge(
    "lessllm_gateway_delivery_stalled_seconds",
    "For how long records have waited without the collector committing any; 0: none wait",
)
RECORDS_BUFFER_USED_BYTES = Gauge(
    "lessllm_gateway_records_buffer_used_bytes",
    "Of gateway.record_buffer_bytes: records not yet committed, and bodies of calls under way",
)
RECORDS_BUFFER_LIMIT_BYTES = Gauge(
    "lessllm_gateway_records_buffer_limit_bytes", "gateway.record_buffer_bytes as configured"
)
SPOOL_BYTES = Gauge(
    "lessllm_gateway_spool_bytes", "Records on disk that are not committed yet, of this process"
)
SPOOL_LIMIT_BYTES = Gauge(
    "lessllm_gateway_spool_limit_bytes", "logging.spool_bytes as configured; 0: there is no spool"
)
SPOOL_FAILURES = Counter(
    "lessllm_gateway_spool_failures_total",
    "Writes that the spool could not take: logging.spool_bytes is used up, or the disk is full",
)
RECORDS_ADOPTED = Counter(
    "lessllm_gateway_records_adopted_total",
    "Records of killed gateways that this one found in the spool and delivers",
)
REQUESTS_HELD_BYTES = Gauge(
    "lessllm_gateway_requests_held_bytes",
    "Request bodies of calls under way, and answers that must be whole before they go on",
)
COLLECTOR_ANSWERED_SECONDS = Gauge(
    "lessllm_gateway_collector_answered_timestamp_seconds",
    "When the collector last answered, in seconds since the epoch; 0 before the first answer",
)
DELIVERY_FAILURES = Counter(
    "lessllm_gateway_delivery_failures_total",
    "Times that the task which delivers records failed and began anew: a defect, its log says more",
)

# Of these, each call counts some, and `labels` takes longer than counting.
calls = cache(CALLS.labels)
tries = cache(TRIES.labels)
phase_seconds = cache(PHASE_SECONDS.labels)

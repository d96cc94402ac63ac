"""What the gateway counts, for Prometheus. Labels come from configured names only."""

from prometheus_client import Counter, Gauge

CALLS = Counter(
    "lessllm_gateway_calls_total",
    "Calls that ended, by provider (none: not routed, or answered here) and end_reason as in api_calls",
    ["provider", "end_reason"],
)
OPEN_CALLS = Gauge("lessllm_gateway_open_calls", "Calls under way")
BODIES_CUT = Counter(
    "lessllm_gateway_bodies_cut_total",
    "Bodies recorded in part because gateway.record_buffer_bytes was used up; the client got them whole",
)
RECORDS_LOST = Counter(
    "lessllm_gateway_records_lost_total",
    "Records that no database will have: buffer_full (gateway.record_buffer_bytes used up while the"
    " collector was away), not_encodable (a defect), collector_reset (committed once, but the collector"
    " came back with a database that lacks them)",
    ["reason"],
)
RECORDS_PENDING = Gauge("lessllm_gateway_records_pending", "Records not yet committed by the collector")
RECORDS_BUFFER_USED_BYTES = Gauge(
    "lessllm_gateway_records_buffer_used_bytes",
    "Of gateway.record_buffer_bytes: records not yet committed, and bodies of calls under way",
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

"""What the gateway counts, for Prometheus. Labels come from configured names only."""

from prometheus_client import Counter, Gauge

CALLS = Counter(
    "lessllm_gateway_calls_total", "Calls by provider and how they ended", ["provider", "end_reason"]
)
OPEN_CALLS = Gauge("lessllm_gateway_open_calls", "Calls under way")
RECORDS_LOST = Counter("lessllm_gateway_records_lost_total", "Records dropped because the buffer was full")
RECORDS_PENDING = Gauge("lessllm_gateway_records_pending", "Records not yet committed by the collector")
RECORDS_PENDING_BYTES = Gauge("lessllm_gateway_records_pending_bytes", "Their size")

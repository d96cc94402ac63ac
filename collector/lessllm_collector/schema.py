"""The table `api_calls`: its columns, what each means, in which unit, and when it is NULL.

One wide table, one row per call: DuckDB reads only the columns that a query names. `estimated_*` is what
LessLLM measured or worked out, `actual_*` is what the provider reported. NULL means unknown, never 0.
Changes are additive: a new column is added here and gets a migration (migrations/). Users see a view:
DuckDB's own generated columns can't hold TRY(…), which a body that is not UTF-8 needs. This file is long
because it is the one place that says what a column means.
"""

from collections.abc import Mapping
from dataclasses import dataclass

INTERPRETER_VERSION = 6  # raised whenever a derived column's meaning or computation changes


@dataclass(frozen=True)
class Column:
    """A column of `api_calls`. `derived` ones are worked out again by `lessllm reanalyze`."""

    name: str
    sql_type: str
    comment: str
    derived: bool = True
    generated: str | None = None  # its SQL expression in the view: computed when read, stored nowhere

    @property
    def compressed(self) -> bool:
        """Large and repetitive: kept with zstd."""
        return self.sql_type in {"BLOB", "JSON"} or self.name == "decoded_response"


def _seen(name: str, sql_type: str, comment: str) -> Column:
    return Column(name, sql_type, comment, derived=False)


COLUMNS: tuple[Column, ...] = (
    # which
    _seen("request_id", "VARCHAR", "UUIDv7 of the call, also sent to the client as x-lessllm-request-id."),
    _seen("timestamp", "TIMESTAMPTZ", "When the client's request headers had arrived at the gateway, UTC."),
    _seen("gateway_id", "VARCHAR", "Random id of the gateway process that handled the call."),
    _seen("sequence", "UBIGINT", "Number of the record within its gateway process, from 1 without gaps."),
    # who
    _seen(
        "user_id",
        "VARCHAR",
        "The client key's name, else x-lessllm-user, else the body's user or metadata.user_id. NULL: none given.",
    ),
    _seen("client_key", "VARCHAR", "Configured name of the client's key. NULL: no keys configured."),
    _seen("session_id", "VARCHAR", "x-lessllm-session. NULL: not given."),
    _seen("tags", "JSON", "x-lessllm-tags as an object. NULL: not given."),
    _seen("client_ip", "VARCHAR", "Address of the client as the gateway saw it."),
    _seen(
        "key_fingerprint",
        "VARCHAR",
        "Fingerprint of the credential that went upstream: same key, same value; the key can't be found from it. NULL: none.",
    ),
    # what
    _seen("method", "VARCHAR", "HTTP method of the client's request."),
    _seen("endpoint", "VARCHAR", "Path that the client called."),
    _seen("api_format", "VARCHAR", "Format that the client spoke, such as openai-chat."),
    _seen("model", "VARCHAR", "Model as the client asked. NULL: the request named none."),
    _seen("streaming", "BOOLEAN", "The client asked for a stream."),
    # where
    _seen("provider", "VARCHAR", "Provider that was called. NULL: rejected before."),
    _seen("upstream_format", "VARCHAR", "Format that was spoken to the provider. NULL: rejected before."),
    _seen("upstream_model", "VARCHAR", "Model asked of the provider. NULL: none."),
    _seen("response_model", "VARCHAR", "Model that the provider's answer names. NULL: none named."),
    _seen("upstream_url", "VARCHAR", "URL that was called, credentials cut. NULL: rejected before."),
    _seen(
        "upstream_streaming",
        "BOOLEAN",
        "The provider was asked for a stream; differs from streaming when a plain call was streamed to measure it.",
    ),
    _seen(
        "route",
        "VARCHAR",
        "The way out: direct or the proxy's URL without credentials. NULL: rejected before.",
    ),
    _seen(
        "attempts",
        "JSON",
        "Each try, in order: provider, route, phase reached, status, error, times in ns since t0.",
    ),
    # how it ended
    _seen("status_code", "USMALLINT", "HTTP status that the client got. NULL: it left before."),
    Column(
        "end_reason",
        "VARCHAR",
        "complete, truncated, client_cancelled, upstream_error, upstream_timeout, connect_error, proxy_error, rejected or gateway_error.",
    ),
    Column("error_code", "VARCHAR", "Our code, else the provider's error code or type. NULL: no error."),
    Column("error_message", "VARCHAR", "What went wrong, in words. NULL: no error."),
    Column(
        "upstream_request_id", "VARCHAR", "The provider's id of the request, from its headers. NULL: none."
    ),
    Column(
        "finish_reason", "VARCHAR", "finish_reason, stop_reason or status of the (first) answer. NULL: none."
    ),
    # tokens
    Column(
        "actual_prompt_tokens",
        "BIGINT",
        "Whole prompt: fresh + cache read + cache write. NULL: not reported.",
    ),
    Column("actual_completion_tokens", "BIGINT", "Output tokens, reasoning included. NULL: not reported."),
    Column("actual_total_tokens", "BIGINT", "Prompt + completion tokens. NULL: not reported."),
    Column(
        "actual_cached_tokens", "BIGINT", "Prompt tokens read from the provider's cache. NULL: not reported."
    ),
    Column(
        "actual_cache_write_tokens",
        "BIGINT",
        "Prompt tokens written to the provider's cache. NULL: not reported.",
    ),
    Column(
        "actual_cache_write_5m_tokens", "BIGINT", "Of these, for 5 minutes (Anthropic). NULL: not reported."
    ),
    Column("actual_cache_write_1h_tokens", "BIGINT", "Of these, for 1 hour (Anthropic). NULL: not reported."),
    Column("actual_reasoning_tokens", "BIGINT", "Output tokens spent on reasoning. NULL: not reported."),
    Column(
        "actual_usage", "JSON", "The provider's usage object as it came (stream parts merged). NULL: none."
    ),
    # time
    Column(
        "total_latency_ms",
        "DOUBLE",
        "Last byte to the client minus t0 (request headers parsed). NULL: the gateway was killed before that.",
    ),
    Column(
        "estimated_ttfb_ms",
        "DOUBLE",
        "Upstream response headers minus start of sending upstream. NULL: no upstream response.",
    ),
    Column(
        "estimated_ttft_ms",
        "DOUBLE",
        "Time to first token: first non-empty generated content, reasoning included, minus t0. NULL: the upstream did not stream, or no content came.",
    ),
    Column(
        "estimated_ttfo_ms", "DOUBLE", "As TTFT, but the first content that is not reasoning. NULL: as TTFT."
    ),
    Column(
        "estimated_tpot_ms",
        "DOUBLE",
        "Time per output token: (last content - first content) / (output tokens - 1). NULL: the upstream did not stream, fewer than 2 output tokens or unknown, all content in one read, n > 1, or reasoning billed but not streamed.",
    ),
    Column(
        "output_tokens_per_s",
        "DOUBLE",
        "Output tokens / total latency: comparable between streaming and not. NULL: tokens unknown.",
    ),
    Column(
        "chunk_gap_p50_ms",
        "DOUBLE",
        "Median gap between network reads that carried content. NULL: fewer than 2 reads.",
    ),
    Column("chunk_gap_p99_ms", "DOUBLE", "99th percentile of these gaps. NULL: fewer than 2 reads."),
    Column(
        "pool_wait_ms",
        "DOUBLE",
        "Wait for a free upstream connection, or for room to open one. NULL: nothing was tried, or not known.",
    ),
    Column(
        "dns_ms",
        "DOUBLE",
        "Name resolution here: of the upstream, of the proxy, or of both. NULL: reused connection, addresses only, or not known. What the proxy resolves is in its handshake.",
    ),
    Column(
        "tcp_connect_ms",
        "DOUBLE",
        "TCP connect to the upstream or the proxy, whichever of its addresses answered first. NULL: reused connection, or not known.",
    ),
    Column(
        "proxy_handshake_ms",
        "DOUBLE",
        "SOCKS negotiation or CONNECT, TLS to the proxy included; the proxy connects to the upstream meanwhile. NULL: direct, reused connection, a plain HTTP proxy that forwards, or not known.",
    ),
    Column(
        "tls_ms",
        "DOUBLE",
        "TLS handshake with the upstream. NULL: plain http, reused connection, or not known.",
    ),
    Column(
        "request_receive_ms",
        "DOUBLE",
        "Reading the client's body: a slow upload. NULL: it was not read whole.",
    ),
    Column(
        "request_send_ms",
        "DOUBLE",
        "Sending the request upstream, until the network has taken all of it. NULL: no upstream response.",
    ),
    Column(
        "server_wait_ms",
        "DOUBLE",
        "Request sent until the head of the response was read. NULL: no upstream response.",
    ),
    Column(
        "receive_ms",
        "DOUBLE",
        "Head of the response until its last byte, without client_blocked in between. NULL: no upstream response.",
    ),
    Column(
        "client_blocked_ms",
        "DOUBLE",
        "Time spent giving the client its bytes; large when it reads slowly.",
    ),
    Column(
        "prior_attempts_ms",
        "DOUBLE",
        "Time spent on attempts that failed before the last one, with the waits between them; the other phases are the last one's. 0: there was one, or none.",
    ),
    Column(
        "gateway_overhead_ms",
        "DOUBLE",
        "What LessLLM itself added: total - upstream span (from waiting for a connection to the last byte, or to the failure) - request_receive - client_blocked after it - prior_attempts.",
    ),
    Column(
        "network_ms",
        "DOUBLE",
        "Estimate of time spent on the network: connect phases + one round trip, which is the TCP connect if direct, the TLS handshake through a tunnel (for a reused connection, those of its opening). NULL: no round trip known.",
    ),
    Column(
        "compute_ms",
        "DOUBLE",
        "Estimate of the provider's compute time: from the request sent to the first token, or to the last byte if it did not stream, without one round trip and client_blocked. NULL: no round trip known, or no upstream response.",
    ),
    Column(
        "provider_processing_ms",
        "DOUBLE",
        "Processing time that the provider itself reports, in a header or its body. NULL: none.",
    ),
    Column("connection_reused", "BOOLEAN", "The call went over a kept-alive connection. NULL: not known."),
    Column("remote_dns", "BOOLEAN", "The proxy resolved the upstream's name. NULL: not known."),
    # money
    Column(
        "estimated_cost_usd",
        "DOUBLE",
        "All token parts at their prices. NULL: price or tokens unknown, see price_source.",
    ),
    Column(
        "cost_basis",
        "VARCHAR",
        "reported: from the provider's usage; partial: some parts were missing; estimated: tokens estimated (a cut-off stream). NULL: no cost.",
    ),
    Column(
        "cache_savings_usd",
        "DOUBLE",
        "What the cached tokens would have cost fresh, minus what they cost, minus the write premium; negative when writes were wasted. NULL: no price, or no cache figure reported.",
    ),
    Column(
        "price_source",
        "VARCHAR",
        "configured, genai-prices, or why there is no price: unknown_model, unknown_terms (see price_terms), no_usage.",
    ),
    Column(
        "price_version",
        "VARCHAR",
        "Version of the price data used: genai-prices' + that of our own terms. NULL: none used.",
    ),
    Column(
        "price_terms",
        "VARCHAR",
        "What decides the price besides model, date and prompt length, as the answer says it, such as service_tier=priority. NULL: the list price's.",
    ),
    Column(
        "estimated_prompt_tokens",
        "BIGINT",
        "Prompt tokens that the cost assumes where none were reported (a cut-off stream), 4 bytes each. NULL: reported, or none assumed.",
    ),
    Column("estimated_completion_tokens", "BIGINT", "Output tokens, likewise."),
    Column(
        "input_usd_per_mtok",
        "DOUBLE",
        "Price of fresh prompt tokens that the cost was worked out with, USD per million: for this call's date, length and terms. NULL: no price.",
    ),
    Column("output_usd_per_mtok", "DOUBLE", "Of output tokens, reasoning included. NULL: no price."),
    Column("cache_read_usd_per_mtok", "DOUBLE", "Of cached tokens. NULL: no price."),
    Column(
        "cache_write_usd_per_mtok",
        "DOUBLE",
        "Of tokens written to the cache, but for those for 1 hour. NULL: no price.",
    ),
    Column(
        "cache_write_1h_usd_per_mtok",
        "DOUBLE",
        "Of tokens written to the cache for 1 hour. NULL: no price.",
    ),
    Column(
        "fees_usd",
        "DOUBLE",
        "In estimated_cost_usd besides tokens: the fee for a request, and for web searches that the usage counts. NULL: no price.",
    ),
    # cache
    Column(
        "estimated_cached_tokens",
        "BIGINT",
        "Prompt tokens predicted to be read from cache, from what was known when the call began. NULL: not predicted (no answer, or how the provider caches is not known).",
    ),
    Column(
        "estimated_cache_hit_rate",
        "DOUBLE",
        "Predicted cached tokens / predicted prompt tokens, 0 to 1. NULL: not predicted.",
    ),
    Column(
        "recalibrated_cached_tokens",
        "BIGINT",
        "The same prediction, given the prompt tokens that the provider counted. NULL: not predicted, or not counted.",
    ),
    Column(
        "recalibrated_cache_hit_rate",
        "DOUBLE",
        "recalibrated_cached_tokens / actual_prompt_tokens, 0 to 1. NULL: not predicted, or not counted.",
    ),
    Column(
        "actual_cache_hit_rate",
        "DOUBLE",
        "actual_cached_tokens / actual_prompt_tokens, 0 to 1. NULL: the provider reported no cache figure.",
    ),
    Column(
        "cache_outcome",
        "VARCHAR",
        "The recalibrated prediction against the report: as_predicted (within 5 % of the prompt, or the steps in which the provider reports), unexpected_miss, unexpected_hit, unreported. NULL: not predicted.",
    ),
    Column(
        "cache_miss_reason",
        "VARCHAR",
        "Why not more of the prompt was cached: first_in_scope, diverged (where), settings_changed (which), expired, still_being_written, below_minimum, no_breakpoint, not_written, evicted; details after a colon. NULL: not predicted, or no miss.",
    ),
    Column(
        "actual_cache_miss_reason",
        "VARCHAR",
        "Why not, as the provider says (Anthropic's diagnostics, OpenAI's prompt_cache_diagnostics), such as system_changed. NULL: not said.",
    ),
    Column(
        "cache_scope",
        "VARCHAR",
        "Hash of what has a cache of its own: provider, key or workspace, model, settings. NULL: not predicted.",
    ),
    # sensitive data
    _seen(
        "sensitive_policy",
        "VARCHAR",
        "sensitive_data.policy for this call: off, flag, redact_record, block. NULL: of an older gateway.",
    ),
    Column(
        "sensitive_findings",
        "JSON",
        'Sensitive data found in the request, kind → number, such as {"email": 2}; {}: none. NULL: not looked at (off, no JSON body).',
    ),
    # raw
    Column(
        "raw_request",
        "VARCHAR",
        "The client's request body as text. NULL: none, not UTF-8, or not kept.",
        generated="TRY(decode(request_body))",
    ),
    Column(
        "raw_response",
        "VARCHAR",
        "The provider's answer as text; a stream's assembled answer. NULL: none, not UTF-8, or not kept.",
        generated="COALESCE(decoded_response, TRY(decode(response_body)))",
    ),
    Column(
        "decoded_response",
        "VARCHAR",
        "The answer assembled from a stream, or with its content-encoding undone. NULL: response_body itself is the answer.",
    ),
    _seen(
        "request_body",
        "BLOB",
        "The client's request body, byte for byte. NULL: none, or not kept (logging.bodies, logging.retention).",
    ),
    _seen("request_body_bytes", "BIGINT", "Its full size; larger than what is stored if that was cut."),
    _seen(
        "upstream_request_body",
        "BLOB",
        "What was sent to the provider, when it was translated. NULL: as the client sent it, but for the model's name and stream options.",
    ),
    _seen(
        "response_body",
        "BLOB",
        "The provider's answer, byte for byte, still content-encoded; of a stream, its events. NULL: none, or not kept.",
    ),
    _seen("response_body_bytes", "BIGINT", "Its full size; larger than what is stored if that was cut."),
    _seen(
        "client_response_body",
        "BLOB",
        "What the client got, when it was translated. NULL: the provider's bytes.",
    ),
    _seen(
        "request_headers",
        "JSON",
        "The client's headers as [name, value] pairs, credentials cut to fingerprints.",
    ),
    _seen("response_headers", "JSON", "The provider's headers as [name, value] pairs, credentials cut."),
    _seen(
        "clock_marks",
        "JSON",
        "All marks in ns since t0, with time and size of each network read: what the time columns are worked out from.",
    ),
    Column(
        "request_truncated",
        "BOOLEAN",
        "request_body was cut at logging.max_body_bytes. NULL: no body, or not kept.",
        generated="request_body_bytes > octet_length(request_body)",
    ),
    Column(
        "response_truncated",
        "BOOLEAN",
        "response_body was cut, at logging.max_body_bytes or for want of memory. NULL: no body, or not kept.",
        generated="response_body_bytes > octet_length(response_body)",
    ),
    Column("interpreter_version", "USMALLINT", "Version of the code that worked out the derived columns."),
    Column("interpreter_error", "VARCHAR", "Why derived columns could not be worked out. NULL: they could."),
)

STORED: tuple[Column, ...] = tuple(column for column in COLUMNS if column.generated is None)
STORED_NAMES: tuple[str, ...] = tuple(column.name for column in STORED)

# What calls hold of people's content; the other columns stay when it is deleted.
BODIES = (
    *("request_body", "upstream_request_body"),
    *("response_body", "client_response_body", "decoded_response"),
)

# The view's columns over internal.calls, as SQL
VIEW_COLUMNS: Mapping[str, str] = {
    column.name: f'{column.generated} AS "{column.name}"' if column.generated else f'"{column.name}"'
    for column in COLUMNS
}

# The view `delivery_gaps`: calls of which there is no record, or none but that their gateway was killed.
GAP_COLUMNS = {
    "gateway_id": "The gateway process whose calls they were.",
    "reason": "lost: memory and spool were full, or the database was replaced by an older one."
    " gateway_killed: the call ended, if at all, when its gateway was killed. unreadable: a record came that"
    " could not be stored; it is set aside as it came.",
    "first_sequence": "Number of the first missing record.",
    "last_sequence": "Number of the last one.",
    "calls": "How many they are.",
    "request_id": "The call, which has a row in api_calls; NULL where only numbers are known.",
    "noticed": "When the gap was told; of a killed call when it began.",
}
GAPS = """
    SELECT gateway_id, 'lost' AS reason, first_sequence, last_sequence,
           last_sequence - first_sequence + 1 AS calls, NULL::VARCHAR AS request_id, received AS noticed
    FROM internal.lost
    UNION ALL
    SELECT gateway_id, error_code, sequence, sequence, 1, request_id, "timestamp"
    FROM internal.calls WHERE error_code = 'gateway_killed'
    UNION ALL
    SELECT gateway_id, 'unreadable', sequence, sequence, 1, NULL, received
    FROM internal.quarantine
"""

"""A database of many calls, made by SQL: the columns that reports read, no bodies. A million takes seconds.

Ninety days of calls in order of time, of 12 models, 500 users, 40 keys; times and tokens as spread as real
ones. The same each time.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb
from lessllm_collector.store import CONFIG, Store
from lessllm_shared.config.sections import Query

DAYS = 90
FIRST_DAY = "2026-08-01"
LAST_DAY = "2026-10-29"  # the 90th
_STEP_ROWS = 1_000_000


def build(path: Path, rows: int, tell: Callable[[int], None]) -> None:
    """Into a new file. `tell` is given the number of rows so far."""
    Store(path, Query()).close()  # the tables and views
    with duckdb.connect(str(path), config=CONFIG) as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SELECT setseed(0.5)")
        for start in range(0, rows, _STEP_ROWS):
            end = min(start + _STEP_ROWS, rows)
            connection.execute(_INSERT, {"start": start, "end": end, "rows": rows})
            connection.execute("CHECKPOINT")
            tell(end)


_INSERT = f"""
INSERT INTO internal.calls BY NAME
WITH drawn AS (
    SELECT n, TIMESTAMPTZ '{FIRST_DAY} 00:00:00+00'
            + to_microseconds((n::DOUBLE / $rows * {DAYS * 86_400_000_000})::BIGINT)
            AS begun,
        (12 * random() * random())::INTEGER % 12 AS m, random() AS u, random() AS e, random() AS c,
        sqrt(-2 * ln(1 - random())) * cos(6.283185 * random()) AS z,
        sqrt(-2 * ln(1 - random())) * cos(6.283185 * random()) AS y
    FROM range($start, $end) AS one(n)
), called AS (
    SELECT *, m < 8 AS is_openai, e > 0.02 AS is_answered, n % 2 = 0 AS is_stream, exp(5.6 + 0.5 * y) AS ttft,
        (50 + exp(7 + 1.2 * z))::BIGINT AS prompt, (5 + exp(5 + y))::BIGINT AS completion
    FROM drawn
), counted AS (
    SELECT *, ttft + completion * (8 + m + 3 * c) AS latency,
        CASE WHEN c > 0.4 THEN (prompt * c)::BIGINT // 128 * 128 ELSE 0 END AS cached
    FROM called
)
SELECT
    format('{{:08x}}-0000-7000-8000-{{:012x}}', n // 65536, n) AS request_id, begun AS "timestamp",
    'gateway' || n % 3 AS gateway_id, (n // 3 + 1)::UBIGINT AS sequence,
    'user' || (500 * u * u)::INTEGER AS user_id, 'key' || (40 * u * u)::INTEGER AS client_key,
    CASE WHEN c > 0.5 THEN 'session' || n // 2000 || '-' || (50 * u)::INTEGER END AS session_id,
    '10.0.0.' || (250 * u)::INTEGER AS client_ip, 'sha256:' || (40 * u * u)::INTEGER AS key_fingerprint,
    'POST' AS method, CASE WHEN is_openai THEN '/v1/chat/completions' ELSE '/v1/messages' END AS endpoint,
    CASE WHEN is_openai THEN 'openai-chat' ELSE 'anthropic-messages' END AS api_format,
    'model-' || m AS model, is_stream AS streaming,
    CASE WHEN is_openai THEN 'openai' ELSE 'anthropic' END AS provider, api_format AS upstream_format,
    'model-' || m AS upstream_model, 'model-' || m || '-2026-01-01' AS response_model,
    'https://api.example.com' || endpoint AS upstream_url, is_stream AS upstream_streaming, 'direct' AS route,
    (CASE WHEN is_answered THEN 200 ELSE 429 END)::USMALLINT AS status_code,
    CASE WHEN is_answered THEN 'complete' ELSE 'upstream_error' END AS end_reason,
    CASE WHEN NOT is_answered THEN 'rate_limit_exceeded' END AS error_code,
    'stop' AS finish_reason, 'req_' || n AS upstream_request_id,
    CASE WHEN is_answered THEN prompt END AS actual_prompt_tokens,
    CASE WHEN is_answered THEN completion END AS actual_completion_tokens,
    CASE WHEN is_answered THEN prompt + completion END AS actual_total_tokens,
    CASE WHEN is_answered THEN cached END AS actual_cached_tokens,
    latency AS total_latency_ms, ttft * 0.9 AS estimated_ttfb_ms,
    CASE WHEN is_answered AND is_stream THEN ttft END AS estimated_ttft_ms,
    CASE WHEN is_answered AND is_stream THEN ttft END AS estimated_ttfo_ms,
    CASE WHEN is_answered AND is_stream THEN (latency - ttft) / completion END AS estimated_tpot_ms,
    CASE WHEN is_answered THEN completion / latency * 1000 END AS output_tokens_per_s,
    0.1 * e AS gateway_overhead_ms, 5 + 10 * u AS network_ms, ttft * 0.8 AS compute_ms,
    n % 20 > 0 AS connection_reused,
    CASE WHEN is_answered THEN (prompt * 2 + completion * 8) * (m + 1) / 1e7 END AS estimated_cost_usd,
    CASE WHEN is_answered THEN 'reported' END AS cost_basis,
    CASE WHEN is_answered THEN cached * (m + 1) / 1e7 END AS cache_savings_usd,
    CASE WHEN NOT is_answered THEN 'no_usage' WHEN m = 11 THEN 'unknown_model'
        ELSE 'genai-prices' END AS price_source,
    2.0 * (m + 1) AS input_usd_per_mtok, 8.0 * (m + 1) AS output_usd_per_mtok,
    CASE WHEN is_answered THEN (cached * (0.95 + 0.05 * u))::BIGINT END AS estimated_cached_tokens,
    CASE WHEN is_answered THEN least(1, cached / prompt * (0.95 + 0.05 * u)) END AS estimated_cache_hit_rate,
    CASE WHEN is_answered THEN cached / prompt END AS actual_cache_hit_rate,
    CASE WHEN is_answered THEN 'as_predicted' END AS cache_outcome,
    md5((m * 40 + (40 * u * u)::INTEGER)::VARCHAR) AS cache_scope,
    'flag' AS sensitive_policy, CASE WHEN e > 0.99 THEN '{{"email":1}}' ELSE '{{}}' END AS sensitive_findings,
    prompt * 4 AS request_body_bytes, completion * 5 AS response_body_bytes,
    6::USMALLINT AS interpreter_version
FROM counted
"""  # noqa: S608 - our own names

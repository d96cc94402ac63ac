"""A database of any number of calls, made by SQL: what a company's month may look like to the console.

Days and hours have their rhythm, models their prices and speeds, some calls fail. Bodies are short: pages but
one read metrics only. The same seed gives the same calls.
"""

from datetime import datetime

import duckdb

# name, provider, price per million in and out, tokens per second, weight
_MODELS = (
    ("gpt-4.1-mini", "openai", 0.4, 1.6, 90, 40),
    ("claude-sonnet-5", "anthropic", 3.0, 15.0, 70, 25),
    ("gpt-5", "openai", 1.25, 10.0, 60, 15),
    ("gemini-flash", "gemini", 0.3, 2.5, 150, 10),
    ("claude-haiku-4-5", "anthropic", 1.0, 5.0, 140, 6),
    ("deepseek-chat", "deepseek", 0.27, 1.1, 45, 3),
    ("in-house", "local", None, None, 25, 1),
)
_USERS = 40

# For DuckDB's format()
_REQUEST = '{{"model":"{}","messages":[{{"role":"user","content":"Question {}: where is order {}?"}}]}}'
_RESPONSE = '{{"choices":[{{"message":{{"content":"It is on its way: number {}."}}}}]}}'
_MARKS = (
    '{{"t0_unix_ns":{0},"request_received_ns":100000,"upstream_start_ns":200000,"upstream_sent_ns":900000,'
    '"upstream_headers_ns":90000000,"upstream_end_ns":{1},"end_ns":{1}}}'
)

_FILL = """
INSERT INTO internal.calls BY NAME
WITH models AS (
    SELECT *, sum(weight) OVER (ORDER BY place) AS upto, sum(weight) OVER () AS whole
    FROM (VALUES {models}) AS m(place, model, provider, input_usd, output_usd, speed, weight)
), drawn AS (
    SELECT i, {draws}
    FROM range($calls) AS numbers(i)
), calls AS (
    SELECT drawn.*, m.* EXCLUDE (place, weight, upto, whole),
        $until - ($calls - i) * ($span / $calls) * INTERVAL 1 SECOND
            - 3 * sin(i * 2 * pi() * $span / 86400 / $calls) * INTERVAL 1 HOUR AS began,
        (200 * exp(4.6 * r2 * r3 + r4))::BIGINT AS prompt,
        (20 * exp(3.5 * r5))::BIGINT AS output,
        r6 < 0.03 AS failed,
        r7 < 0.75 AS streams,
        greatest(0, least(0.95, 1.3 * r8 - 0.25)) AS hit
    FROM drawn JOIN models m ON r1 * whole >= upto - weight AND r1 * whole < upto
)
SELECT format('{{:08x}}-{{:04x}}-7000-8000-{{:012x}}', epoch_ms(began) >> 16, epoch_ms(began) & 65535, i)
        AS request_id,
    began AS "timestamp", 'bench' AS gateway_id, i + 1 AS sequence,
    'user-' || (power(r9, 3) * {users})::INT AS user_id, 'team-' || (r9 * 6)::INT AS client_key,
    CASE WHEN r10 < 0.5 THEN 'session-' || (i // 200) END AS session_id,
    'POST' AS method, '/v1/chat/completions' AS endpoint, 'openai-chat' AS api_format, model,
    streams AS streaming, provider, 'openai-chat' AS upstream_format, model AS upstream_model,
    model AS response_model, streams AS upstream_streaming,
    CASE WHEN r10 < 0.7 THEN 'direct' ELSE 'socks5://proxy:1080' END AS route,
    CASE WHEN failed THEN 529 ELSE 200 END AS status_code,
    CASE WHEN failed THEN 'upstream_error' WHEN r6 > 0.985 THEN 'client_cancelled' ELSE 'complete' END
        AS end_reason,
    CASE WHEN failed THEN 'overloaded_error' END AS error_code,
    CASE WHEN NOT failed THEN prompt END AS actual_prompt_tokens,
    CASE WHEN NOT failed THEN output END AS actual_completion_tokens,
    actual_prompt_tokens + actual_completion_tokens AS actual_total_tokens,
    CASE WHEN provider <> 'local' THEN (actual_prompt_tokens * hit)::BIGINT END AS actual_cached_tokens,
    actual_cached_tokens / actual_prompt_tokens AS actual_cache_hit_rate,
    CASE WHEN provider <> 'local' AND NOT failed
        THEN (prompt * greatest(0, least(0.95, hit + 0.05 * (r3 - 0.5))))::BIGINT END
        AS estimated_cached_tokens,
    estimated_cached_tokens / actual_prompt_tokens AS estimated_cache_hit_rate,
    estimated_cached_tokens AS recalibrated_cached_tokens,
    estimated_cache_hit_rate AS recalibrated_cache_hit_rate,
    CASE WHEN abs(estimated_cache_hit_rate - actual_cache_hit_rate) < 0.02 THEN 'as_predicted'
         WHEN estimated_cache_hit_rate > actual_cache_hit_rate THEN 'unexpected_miss'
         WHEN actual_cache_hit_rate IS NOT NULL THEN 'unexpected_hit' END AS cache_outcome,
    CASE WHEN streams AND NOT failed THEN 180 + 900 * r2 * r4 * r4 + prompt / 80 END AS estimated_ttft_ms,
    estimated_ttft_ms AS estimated_ttfo_ms,
    CASE WHEN streams AND NOT failed THEN 1000 / speed * (0.7 + r5) END AS estimated_tpot_ms,
    coalesce(estimated_ttft_ms + estimated_tpot_ms * output, 300 + output * 1000 / speed * (0.7 + r5))
        AS total_latency_ms,
    actual_completion_tokens / total_latency_ms * 1000 AS output_tokens_per_s,
    CASE WHEN r8 < 0.1 THEN 3 + 10 * r9 END AS tcp_connect_ms,
    CASE WHEN r8 < 0.1 THEN 9 + 20 * r9 END AS tls_ms,
    r8 >= 0.1 AS connection_reused, 0.4 + r7 AS gateway_overhead_ms, 12 + 30 * r9 AS network_ms,
    (prompt - coalesce(actual_cached_tokens, 0) * 0.9) * input_usd / 1e6 + output * output_usd / 1e6
        AS estimated_cost_usd,
    CASE WHEN estimated_cost_usd IS NOT NULL THEN 'reported' END AS cost_basis,
    actual_cached_tokens * 0.9 * input_usd / 1e6 AS cache_savings_usd,
    CASE WHEN failed THEN 'no_usage' WHEN input_usd IS NULL THEN 'unknown_model' ELSE 'genai-prices' END
        AS price_source,
    'flag' AS sensitive_policy,
    CASE WHEN r10 > 0.995 THEN '{{"email": 2}}' ELSE '{{}}' END AS sensitive_findings,
    encode(format($request, model, i, i * 7919 % 1000003)) AS request_body,
    octet_length(request_body) AS request_body_bytes,
    encode(format($response, i)) AS response_body,
    octet_length(response_body) AS response_body_bytes,
    format($marks, epoch_us(began) * 1000, (total_latency_ms * 1e6)::BIGINT) AS clock_marks
FROM calls ORDER BY i
"""


def fill(connection: duckdb.DuckDBPyConnection, *, calls: int, days: int, until: datetime, seed: int) -> None:
    """Calls of the days before `until`."""
    models = ", ".join(
        f"({place}, '{name}', '{provider}', {usd_in or 'NULL'}, {usd_out or 'NULL'}, {speed}, {weight})"
        for place, (name, provider, usd_in, usd_out, speed, weight) in enumerate(_MODELS)
    )
    # Ten numbers between 0 and 1 for each call
    draws = ", ".join(
        f"hash(i * 10 + {n} + {seed} * 1000000007) / power(2, 64) AS r{n}" for n in range(1, 11)
    )
    texts = {"request": _REQUEST, "response": _RESPONSE, "marks": _MARKS}
    connection.execute(
        _FILL.format(models=models, draws=draws, users=_USERS),
        {"calls": calls, "span": days * 86_400, "until": until, **texts},
    )

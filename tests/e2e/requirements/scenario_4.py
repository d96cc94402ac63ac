lessllm.config.debug_mode = True
lessllm.config.enable_cache_analysis = True

response = client.chat.completions.create(
    model="gpt-4",
    messages=[...],
    # recorded by itself: the whole request and response; TTFT/TPOT; cache analysis; network latency breakdown
)

performance_issues = lessllm.query("""
    SELECT
        request_id,
        model,
        estimated_ttft_ms,
        estimated_tpot_ms,
        estimated_cache_hit_rate,
        actual_cache_hit_rate
    FROM api_calls
    WHERE estimated_ttft_ms > 5000  -- the slow ones
    ORDER BY timestamp DESC
""")

cache_optimization = lessllm.query("""
    SELECT
        model,
        AVG(estimated_cache_hit_rate) as predicted_hit_rate,
        AVG(actual_cache_hit_rate) as actual_hit_rate,
        (AVG(actual_cache_hit_rate) - AVG(estimated_cache_hit_rate)) as hit_rate_diff
    FROM api_calls
    WHERE actual_cache_hit_rate IS NOT NULL
    GROUP BY model
""")

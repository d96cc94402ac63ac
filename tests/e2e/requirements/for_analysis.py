results = lessllm.query("""
    SELECT model, date(timestamp) as date,
           sum(actual_total_tokens) as daily_tokens,
           avg(estimated_cache_hit_rate) as avg_cache_hit
    FROM api_calls
    GROUP BY model, date(timestamp)
    ORDER BY date DESC
""")

lessllm.export_logs(
    filepath="ai_usage_analysis.parquet",
    start_date="2024-01-01",
    filters={"model": ["gpt-4", "claude-3-opus"]}
)

import pandas as pd
df = pd.read_parquet("ai_usage_analysis.parquet")

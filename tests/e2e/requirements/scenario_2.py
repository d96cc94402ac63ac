import lessllm

lessllm.configure({
    "proxy": {
        "http_proxy": "http://proxy.company.com:8080",
        "auth": {
            "username": "${PROXY_USER}",
            "password": "${PROXY_PASS}"
        }
    },
    "logging": {
        "enabled": True,
        "storage": "duckdb",
        "db_path": "/shared/ai_usage_logs.db"
    }
})

# normal use: every call is recorded
client = openai.OpenAI(base_url="http://localhost:8000/v1")
response = client.chat.completions.create(...)

# an administrator looks at the usage
usage_report = lessllm.query("""
    SELECT
        model,
        COUNT(*) as calls,
        SUM(estimated_cost_usd) as total_cost,
        AVG(estimated_cache_hit_rate) as avg_cache_hit_rate
    FROM api_calls
    WHERE timestamp >= '2024-01-01'
    GROUP BY model
""")

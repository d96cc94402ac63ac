models_to_test = ["gpt-4", "claude-3-opus", "gemini-pro"]
test_prompts = [...]

results = []
for model in models_to_test:
    for prompt in test_prompts:
        response = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
        )
        results.append({
            "model": model,
            "prompt": prompt,
            "response": response.choices[0].message.content
        })

experiment_data = lessllm.query("""
    SELECT
        model,
        AVG(estimated_ttft_ms) as avg_ttft,
        AVG(estimated_tpot_ms) as avg_tpot,
        AVG(estimated_cache_hit_rate) as avg_cache_hit,
        AVG(estimated_cost_usd) as avg_cost
    FROM api_calls
    WHERE timestamp >= '2024-01-01'
    GROUP BY model
""")

lessllm.export_logs("experiment_results.parquet")

import lessllm
import openai

lessllm.configure({
    "proxy": {"socks_proxy": "socks5://127.0.0.1:1080"},
    "logging": {"enabled": True}
})

client = openai.OpenAI(base_url=lessllm.get_proxy_url())
response = client.chat.completions.create(...)

stats = lessllm.get_usage_stats(days=7)

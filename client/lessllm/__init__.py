"""LessLLM: see what your LLM calls cost and where the time goes.

    import lessllm, openai

    lessllm.configure({"proxy": {"socks_proxy": "socks5://127.0.0.1:1080"}})
    client = openai.OpenAI(base_url=lessllm.get_proxy_url())
    ...
    print(lessllm.query("SELECT model, count(*) AS calls FROM api_calls GROUP BY model"))

`configure` starts a local server, or attaches to one; without it, the first use does so with
./lessllm.yaml or the defaults. pyarrow, rich and pandas are imported when they are used, not here.
"""

from lessllm_shared.config import ConfigError

from lessllm.errors import LessLLMError, QueryError, ServerError
from lessllm.result import QueryResult
from lessllm.session import Client
from lessllm.switches import Switches

__version__ = "0.1.0"

__all__ = [
    "Client",
    "ConfigError",
    "LessLLMError",
    "QueryError",
    "QueryResult",
    "ServerError",
    "__version__",
    "config",
    "configure",
    "export_logs",
    "flush",
    "get_proxy_url",
    "get_usage_stats",
    "query",
    "shutdown",
]

_client = Client()

config = Switches(_client)
configure = _client.configure
export_logs = _client.export_logs
flush = _client.flush
get_proxy_url = _client.get_proxy_url
get_usage_stats = _client.get_usage_stats
query = _client.query
shutdown = _client.shutdown

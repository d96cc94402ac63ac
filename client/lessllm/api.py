"""What `import lessllm` offers: one Client for the whole program, and its methods as functions."""

from lessllm_shared.config import ConfigError

from lessllm.errors import LessLLMError, QueryError, ServerError
from lessllm.result import QueryResult
from lessllm.session import Client
from lessllm.switches import Switches

__all__ = ["Client", "ConfigError", "LessLLMError", "QueryError", "QueryResult", "ServerError"]

_client = Client()

config = Switches(_client)
configure = _client.configure
export_logs = _client.export_logs
flush = _client.flush
get_proxy_url = _client.get_proxy_url
get_suggestions = _client.get_suggestions
get_usage_stats = _client.get_usage_stats
query = _client.query
shutdown = _client.shutdown

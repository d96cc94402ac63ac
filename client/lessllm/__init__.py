"""LessLLM: see what your LLM calls cost and where the time goes.

    import lessllm, openai

    lessllm.configure({"proxy": {"socks_proxy": "socks5://127.0.0.1:1080"}})
    client = openai.OpenAI(base_url=lessllm.get_proxy_url())
    ...
    print(lessllm.query("SELECT model, count(*) AS calls FROM api_calls GROUP BY model"))

`configure` starts a local server, or attaches to one; without it, the first use does so with
./lessllm.yaml or the defaults. The API is imported when it is first used: the command line, which is in
this package too, doesn't wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lessllm.api import (
        Client,
        ConfigError,
        LessLLMError,
        QueryError,
        QueryResult,
        ServerError,
        config,
        configure,
        export_logs,
        flush,
        get_proxy_url,
        get_suggestions,
        get_usage_stats,
        query,
        shutdown,
    )

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
    "get_suggestions",
    "get_usage_stats",
    "query",
    "shutdown",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lessllm' has no attribute {name!r}")
    return getattr(import_module("lessllm.api"), name)


def __dir__() -> list[str]:
    return __all__

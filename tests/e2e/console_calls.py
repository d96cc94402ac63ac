"""Calls for the console to show: a workload with failures and cache hits, secrets, and a hostile prompt."""

import asyncio
from typing import Any

import httpx
from lessllm.demo.traffic import send_all
from lessllm.demo.workload import ALIAS, ALIAS_MODEL, make_lanes

WORKLOAD_CALLS = 100
# None of it may be anything but text, wherever it is shown.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<svg onload='window.hacked = 1'><a href='javascript:window.hacked=1'>svg</a></svg>",
    "\"'><iframe srcdoc='<script>parent.hacked = 1</script>'>",
    "</textarea></pre></title></style><style>*{display:none}</style>",
    "javascript:window.hacked=1",
    "{{ 7*7 }} {% raw %} ${7*7} #{7*7} <%= 7*7 %>",
    "\u202e reversed \u202c \u2066 isolated \u2069 \u0000 \u0008 \ufeff",
    "&lt;b&gt;&amp; &#60;script&#62;",
)
HOSTILE_NAME = "<b onclick='window.hacked=1'>eve</b>{{7*7}}"


def configuration(provider_url: str) -> dict[str, Any]:
    """Services whose providers are all the simulated one."""
    simulated = {"api_key": "sk-simulated", "proxy": "direct"}
    return {
        "providers": {
            "openai": {**simulated, "base_url": f"{provider_url}/v1"},
            "anthropic": {**simulated, "base_url": provider_url},
        },
        "models": {ALIAS: {"provider": "anthropic", "model": ALIAS_MODEL}},
        "collector": {"api_key": KEY},
    }


KEY = "the-collectors-key"


def send(gateway_url: str, seed: int) -> None:
    """All of them; they are rows when it returns."""
    asyncio.run(send_all(gateway_url, make_lanes(WORKLOAD_CALLS, seed), lambda: None))
    with httpx.Client(base_url=gateway_url, trust_env=False, timeout=30) as client:
        for model in ("gpt-4.1-mini", HOSTILE_NAME):
            body = {
                "model": model,
                "messages": [
                    {"role": "system", "content": "\n".join(HOSTILE)},
                    *({"role": "user", "content": text} for text in HOSTILE),
                ],
            }
            client.post("/v1/chat/completions", json=body, headers={"x-lessllm-user": HOSTILE_NAME})
        secret = {"role": "user", "content": "Write to ann@example.com, card 4111 1111 1111 1111"}
        client.post("/v1/chat/completions", json={"model": "gpt-4.1-mini", "messages": [secret]})
        assert client.post("/flush", params={"timeout_s": 20}).json()["flushed"]

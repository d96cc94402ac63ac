"""A gateway with a provider for each way through a proxy, and calls by OpenAI's SDK with their rows.

A way is a proxy's name, the upstream's scheme and what is special: `squid-http.https.stream`. It is the name
of the provider that is reached so.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from e2e.processes import Services, free_port, running_services
from e2e.proxies import CANARY, FORBIDDEN_PORT, Proxies, shown_credentials
from e2e.upstream import Certificate, Upstream, certificate, running_upstream

SCHEMES, MODES = ("http", "https"), ("plain", "stream")
CLOSED_PORT = free_port()
WRONG = f"{CANARY}-wrong"


@dataclass
class Stage:
    """The gateway, and what is before and behind it."""

    services: Services
    client: openai.OpenAI
    upstreams: dict[str, Upstream]  # by scheme and mode: no two of them share connections
    proxies: Proxies
    mortal: Proxies  # one of each kind, to be killed

    def ask(self, way: str, mode: str = "plain") -> tuple[str, dict[str, Any]]:
        """The answer's text, and the call's row."""
        text, request_id = hello(self.client, way, mode)
        return text, self.row(request_id)

    def refused(self, way: str, mode: str = "plain") -> tuple[openai.APIStatusError, dict[str, Any]]:
        """The error of a call, and its row: they say the same, and no credential."""
        with pytest.raises(openai.APIStatusError) as caught:
            hello(self.client, way, mode)
        error, row = caught.value, self.row(caught.value.response.headers["x-lessllm-request-id"])
        assert (error.status_code, error.code) == (row["status_code"], row["error_code"])
        assert error.body["message"] == row["error_message"]
        assert not shown_credentials(f"{error} {error.body} {error.response.headers} {row}")
        return error, row

    def row(self, request_id: str) -> dict[str, Any]:
        """The one call's."""
        return self.services.row("SELECT * FROM api_calls WHERE request_id = ?", request_id)

    @property
    def reached(self) -> list[tuple[int, int]]:
        """Connections and requests that upstreams have seen."""
        return [upstream.counts for upstream in self.upstreams.values()]


def hello(client: openai.OpenAI, provider: str, mode: str) -> tuple[str, str]:
    """The answer's text and the call's id."""
    raw = client.chat.completions.with_raw_response.create(
        model=f"{provider}/gpt-4o",
        messages=[{"role": "user", "content": "Hello"}],
        stream=mode == "stream",
    )
    answer: Any = raw.parse()
    if mode == "stream":
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    else:
        text = answer.choices[0].message.content
    return text, raw.headers["x-lessllm-request-id"]


@contextlib.contextmanager
def running_stage(folder: Path, ways: Iterable[str], proxies: Proxies, mortal: Proxies) -> Iterator[Stage]:
    """A gateway that knows these ways, while the block runs."""
    shown = certificate(folder)
    with contextlib.ExitStack() as stack:
        upstreams = {
            f"{scheme}.{mode}": stack.enter_context(running_upstream(shown if scheme == "https" else None))
            for scheme in SCHEMES
            for mode in MODES
        }
        document = {
            "providers": {way: _provider(way, proxies, mortal, upstreams, shown) for way in ways},
            "gateway": {"measure_non_streaming": False},  # or a plain call would not be one upstream
            "logging": {"debug_mode": True},
        }
        services = stack.enter_context(running_services(folder / "services", document))
        client = stack.enter_context(
            openai.OpenAI(base_url=f"{services.gateway.url}/v1", api_key="sk-someone", max_retries=0)
        )
        yield Stage(services, client, upstreams, proxies, mortal)


def _provider(
    way: str, proxies: Proxies, mortal: Proxies, upstreams: dict[str, Upstream], shown: Certificate
) -> dict[str, Any]:
    name, scheme, special = way.split(".")
    upstream = upstreams[f"{scheme}.{'stream' if special == 'stream' else 'plain'}"]
    proxy = (mortal if special in {"mortal", "anthropic"} else proxies)[name]
    settings = {
        "stream": proxy.settings(proxy.url("localhost")),  # the proxy by its name, its user in its URL
        "wrong-password": proxy.settings(proxy.url(password=WRONG)),
        "no-password": proxy.settings(proxy.route),
        "unknown-proxy": {**proxy.settings(), "tls": {"ca_file": str(shown.ca_file)}},
    }
    url = {
        "by-name": upstream.url.replace("127.0.0.1", "localhost"),
        "forbidden": f"{scheme}://127.0.0.1:{FORBIDDEN_PORT}",
        "closed": f"{scheme}://127.0.0.1:{CLOSED_PORT}",
    }
    return {
        "format": "anthropic" if special == "anthropic" else "openai",
        "api_key": f"sk-{CANARY}",
        "base_url": f"{url.get(special, upstream.url)}/v1",
        "proxy": settings.get(special, proxy.settings()),
        "tls": {} if special == "unknown-upstream" else {"ca_file": str(shown.ca_file)},
    }

"""A server of which tests may make calls: its own simulated provider, and providers that fail on purpose."""

import json
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from lessllm import Client
from lessllm.demo.stage import configuration as demo_configuration
from lessllm.simulator import running_simulator
from lessllm.state import ServerState

KEY = "sk-of-the-client"
QUESTION = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Where is my order?"}]}


@dataclass(frozen=True)
class Server:
    """OpenAI's key is the client's own; Anthropic's is configured; others are down, or refuse their key."""

    client: Client
    url: str
    collector_url: str
    configuration: dict

    def call(self, path="/v1/chat/completions", body=QUESTION, method="POST", **headers):
        """The id of a call that an application makes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if path == "/v1/messages":
            headers["anthropic-version"] = "2023-06-01"
        all_headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}", **headers}
        response = httpx.request(
            method, self.url + path, content=content, headers=all_headers, trust_env=False, timeout=30
        )
        return response.headers["x-lessllm-request-id"]

    def rows(self, condition, *params):
        return self.client.query(
            f"SELECT * FROM api_calls WHERE {condition} ORDER BY timestamp", list(params)
        )

    def row(self, condition, *params):
        (row,) = self.rows(condition, *params)
        return row

    def replay_of(self, request_id):
        return self.row("json_extract_string(tags, '$.replay_of') = ?", request_id)


@pytest.fixture(scope="session")
def used(tmp_path_factory):
    with running_simulator() as provider_url:
        configuration = demo_configuration(provider_url, tmp_path_factory.mktemp("used") / "calls.duckdb")
        del configuration["providers"]["openai"]["api_key"]
        other = {"format": "openai", "proxy": "direct"}
        configuration["providers"] |= {
            "down": {**other, "base_url": "http://127.0.0.1:9/v1", "api_key": "sk-any"},
            "own": {**other, "base_url": f"{provider_url}/v1", "api_key": "sk-own"},
            "wrong": {**other, "base_url": f"{provider_url}/v1", "api_key": "sk-wrong"},
        }
        client = Client()
        client.configure(configuration)
        running = ServerState(Path(configuration["logging"]["db_path"])).running()
        yield Server(client, running.url, running.collector_url, configuration)
        client.shutdown()


@pytest.fixture
def here(used, tmp_path, monkeypatch):
    """The working folder has the server's configuration, and the environment the client's key."""
    (tmp_path / "lessllm.yaml").write_text(yaml.safe_dump(used.configuration))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

"""Client keys by the official SDKs, on two gateways: one budget, a file of keys, and one collector."""

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import anthropic
import httpx
import openai
import pytest
import yaml
from e2e.processes import free_port, launch_service, running_services, wait_for, wait_until_ready

ASK = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
GATEWAYS = (0, 1)


class Fleet:
    """Two gateways before one simulated provider, one collector, and a file of keys."""

    def __init__(self, services, second, keys_file):
        self.services = services
        self.urls = [services.gateway.url, second.url]
        self._keys_file = keys_file
        self.http = httpx.Client(trust_env=False, timeout=30)
        assert chat(self.openai("free")) is None
        self.call_usd = services.row("SELECT estimated_cost_usd AS usd FROM api_calls")["usd"]

    def change_keys(self, *more, without=""):
        """The file is written anew."""
        keys = yaml.safe_load(self._keys_file.read_text())["keys"]
        kept = [key for key in keys if key["name"] != without]
        self._keys_file.write_text(yaml.safe_dump({"keys": [*kept, *more]}))

    def budget(self, name, calls):
        """A new key may spend what so many calls cost: on either gateway, and both know."""
        usd = calls * self.call_usd
        self.change_keys({"name": name, "key": f"lk-{name}", "budgets": [{"usd": usd, "per": "day"}]})
        wait_for(
            lambda: all(self.metric(at, "lessllm_gateway_budget", client_key=name) for at in GATEWAYS),
            "both gateways to know the key",
        )

    def openai(self, name, gateway=0, **options):
        options = {"max_retries": 0, "http_client": self.http, **options}
        return openai.OpenAI(base_url=f"{self.urls[gateway]}/v1", api_key=f"lk-{name}", **options)

    def anthropic(self, name, gateway=0):
        return anthropic.Anthropic(base_url=self.urls[gateway], api_key=f"lk-{name}", max_retries=0)

    def metric(self, gateway, name, **labels):
        text = httpx.get(f"{self.urls[gateway]}/metrics", trust_env=False).text
        shown = "".join(f'(?=[^}}]*{label}="{value}")' for label, value in labels.items())
        found = re.search(rf"^{name}{{{shown}[^}}]*}} (.+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def is_told(self, name, calls):
        """Both gateways know what was spent."""
        usd = calls * self.call_usd

        def knows(gateway):
            spent = self.metric(gateway, "lessllm_gateway_budget_spent", client_key=name)
            return spent == pytest.approx(usd, abs=self.call_usd / 10)

        wait_for(lambda: all(map(knows, GATEWAYS)), f"both gateways to know of {calls} calls by {name}")


def chat(client):
    """None: it was answered; else what the SDK raised."""
    try:
        client.chat.completions.create(model="gpt-4o", **ASK)
    except openai.APIStatusError as error:
        return error
    return None


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, simulator):
    folder = tmp_path_factory.mktemp("budgets")
    keys_file = folder / "keys.yaml"
    keys = [{"name": name, "key": f"lk-{name}"} for name in ("free", "revoked")]
    keys.append({"name": "slow", "key": "lk-slow", "requests_per_minute": 2})
    keys_file.write_text(yaml.safe_dump({"keys": keys}))
    document = {
        "providers": {
            "openai": {"base_url": f"{simulator}/v1", "api_key": "sk-ours"},
            "anthropic": {"base_url": simulator, "api_key": "sk-ours"},
        },
        "auth": {"keys_file": str(keys_file)},
    }
    with running_services(folder, document) as services:
        port = free_port()
        other = yaml.safe_load((folder / "lessllm.yaml").read_text())
        other["gateway"]["port"] = port
        (folder / "second.yaml").write_text(yaml.safe_dump(other))
        second = launch_service("second", "gateway", folder / "second.yaml", port, folder)
        wait_until_ready(second, "/readyz")
        try:
            fleet = Fleet(services, second, keys_file)
            with contextlib.closing(fleet.http):
                yield fleet
            second.stop()
        finally:
            second.kill()


def test_two_gateways_share_a_budget_to_the_call(fleet):
    fleet.budget("exact", 3.5)
    for done in range(4):
        assert chat(fleet.openai("exact", done % 2)) is None
        fleet.is_told("exact", done + 1)
    for gateway in GATEWAYS:
        error = chat(fleet.openai("exact", gateway, max_retries=5))  # and it is not repeated
        assert isinstance(error, openai.RateLimitError)
        assert error.code == "budget_exceeded"
        assert 0 < int(error.response.headers["retry-after"]) <= 86_400
        with fleet.anthropic("exact", gateway) as client, pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(model="claude-opus-4-8", **ASK)
        assert caught.value.body["error"]["type"] == "rate_limit_error"
        assert caught.value.body["error"]["code"] == "budget_exceeded"
    rows = fleet.services.rows(
        "SELECT end_reason, error_code, count(*) AS calls FROM api_calls WHERE client_key = 'exact'"
        " AND gateway_id = (SELECT gateway_id FROM api_calls ORDER BY timestamp LIMIT 1)"  # what was flushed
        " GROUP BY ALL ORDER BY end_reason"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("complete", None, 2),
        ("rejected", "budget_exceeded", 2),
    ]
    refused = fleet.metric(
        0, "lessllm_gateway_rejected_calls_total", code="budget_exceeded", client_key="exact"
    )
    assert refused == 2


def test_many_at_once_spend_a_budget_once_a_gateway_at_the_most(fleet):
    """Its documented bound: with nothing heard, each gateway stops by itself."""
    fleet.budget("rushed", 20.5)

    def rush(number):
        client, answered = fleet.openai("rushed", number % 2), 0
        while (error := chat(client)) is None or int(error.response.headers["retry-after"]) == 1:
            answered += error is None
        return answered

    with ThreadPoolExecutor(8) as workers:
        answered = sum(workers.map(rush, range(8)))
    assert 21 <= answered <= 2 * 21 + 8
    fleet.is_told("rushed", answered)


def test_a_budget_holds_while_the_collector_is_killed_and_when_it_is_back(fleet):
    fleet.budget("away", 6.5)
    assert chat(fleet.openai("away")) is None
    assert chat(fleet.openai("away", 1)) is None
    fleet.is_told("away", 2)
    fleet.services.collector.kill()
    for gateway in GATEWAYS:  # what the other one spends now, it can't know
        for _ in range(5):
            assert chat(fleet.openai("away", gateway)) is None
        error = chat(fleet.openai("away", gateway))
        assert (error.code, error.response.headers["retry-after"]) == ("budget_exceeded", "1")
    assert chat(fleet.openai("free")) is None
    fleet.services.start("collector")
    fleet.is_told("away", 12)
    assert int(chat(fleet.openai("away")).response.headers["retry-after"]) > 1


def test_a_key_that_is_revoked_gets_nobody_in_any_more(fleet):
    assert all(chat(fleet.openai("revoked", gateway)) is None for gateway in GATEWAYS)
    fleet.change_keys(without="revoked")
    for gateway in GATEWAYS:
        wait_for(lambda at=gateway: chat(fleet.openai("revoked", at)) is not None, "the key to be revoked")
        error = chat(fleet.openai("revoked", gateway))
        assert isinstance(error, openai.AuthenticationError)
        assert error.code == "invalid_client_key"
        with fleet.anthropic("revoked", gateway) as client, pytest.raises(anthropic.AuthenticationError):
            client.messages.create(model="claude-opus-4-8", **ASK)
        assert chat(fleet.openai("free", gateway)) is None


def test_requests_a_minute_are_refused_with_the_time_to_wait(fleet):
    client = fleet.openai("slow")
    assert [chat(client) for _ in range(2)] == [None, None]
    error = chat(client)
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "rate_limited"
    assert 1 <= int(error.response.headers["retry-after"]) <= 30

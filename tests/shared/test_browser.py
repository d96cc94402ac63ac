"""The guard against web pages, fed ASGI scopes."""

from typing import Any

import msgspec
import pytest
from lessllm_shared.browser import BrowserGuard

ALLOWED = ("0.0.0.0", "lessllm.company.com", "fd00::7")
REACHED_AT = ("172.18.0.5", 8000)


async def _app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


async def ask(kind: str = "http", **headers: str) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "headers": pairs, "server": REACHED_AT}
    await BrowserGuard(_app, ALLOWED)(scope, receive, send)
    return sent[0].get("status", sent[0].get("code")), sent[-1].get("body", b"")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8000",
        "127.0.0.1:8000",
        "[::1]",
        "[::1]:8000",
        "lessllm.company.com",
        "LESSLLM.company.com:80",
        "[fd00::7]:8000",
        "172.18.0.5:8000",
    ],
)
async def test_a_known_host_name_passes_whatever_its_port(host: str) -> None:
    assert await ask(host=host) == (200, b"inside")


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0:8000",
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test:80",
        "",
        "[::1].evil.test",
        "[::2]",
        "172.18.0.6:8000",
        "172.18.0.5.evil.test:8000",
        "::1",
    ],
)
async def test_an_unknown_host_name_is_refused_because_dns_can_be_rebound(host: str) -> None:
    status, body = await ask(host=host)
    assert status == 403
    assert msgspec.json.decode(body)["error"]["code"] == "unknown_host"


async def test_a_request_without_a_host_is_refused() -> None:
    assert (await ask())[0] == 403


async def test_two_hosts_are_refused_because_which_one_counts_is_a_matter_of_taste() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", b"localhost"), (b"host", b"evil.test")]}
    await BrowserGuard(_app, ())(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "http://localhost:3000",
        "null",
        "http://localhost:8000.evil.test",
        "chrome-extension://abc",
    ],
)
async def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    status, body = await ask(host="localhost:8000", origin=origin)
    assert status == 403
    assert msgspec.json.decode(body)["error"]["code"] == "cross_origin"


@pytest.mark.parametrize(
    "origin", ["http://localhost:8000", "https://LOCALHOST:8000", "https://lessllm.company.com"]
)
async def test_our_own_page_passes(origin: str) -> None:
    assert (await ask(host="localhost:8000", origin=origin, sec_fetch_site="same-origin"))[0] == 200


async def test_a_cross_site_request_without_origin_is_refused() -> None:
    assert (await ask(host="localhost:8000", sec_fetch_site="cross-site"))[0] == 403
    assert (await ask(host="localhost:8000", sec_fetch_site="none"))[0] == 200


async def test_a_websocket_is_closed_rather_than_answered() -> None:
    assert (await ask("websocket", host="evil.test"))[0] == 1008


async def test_the_lifespan_passes() -> None:
    seen = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    await BrowserGuard(app, ())({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


async def test_the_address_at_which_it_is_reached_is_known_in_ipv6_too() -> None:
    scope = {"type": "http", "headers": [(b"host", b"[FD00::8]:8000")], "server": ("fd00::8", 8000, 0, 0)}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await BrowserGuard(_app, ())(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 200

"""An ASGI guard that keeps web pages in the user's browser away from a local service that holds keys.

What a browser sends for a page can't be forged by that page: the name that it looked up (`Host`), where
the page came from (`Origin`, `Sec-Fetch-Site`). So: only names that this service knows, which defeats
DNS rebinding; only pages that this service itself served; no CORS headers, ever. Programs, which send
neither `Origin` nor `Sec-Fetch-Site`, are not concerned. It must cost next to nothing: each call passes.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

_UNKNOWN_HOST = (
    "this service does not answer to the name in the Host header; if it should, add the name to allowed_hosts"
    " in its section of lessllm.yaml"
)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_EVERYWHERE = frozenset((b"0.0.0.0", b"[::]"))


class Rules:
    """Which requests pass. Pure.

    `allowed_hosts` are names or addresses without ports: the host that the service is bound to, and
    those it is known by, such as `lessllm.company.com`. Loopback names are always allowed, and so is the
    address at which a connection arrived, which no DNS stands behind: Prometheus and Kubernetes find
    replicas by it. An address that means all of a machine's is no name to be called by.
    """

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        self._configured = frozenset(_bracketed(name).encode() for name in allowed_hosts) - _EVERYWHERE
        self._known = self._configured | {name.encode() for name in LOOPBACK_NAMES}

    def judge(
        self, headers: Iterable[tuple[bytes, bytes]], server: tuple[str, int | None] | None = None
    ) -> tuple[str, str] | None:
        """None, or the error's code and message. `server` is where the connection arrived, as ASGI has it."""
        host = origin = site = None
        for name, value in headers:
            if name == b"host":
                if host is not None:
                    return "unknown_host", "the request has two Host headers"
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if host is None or not (_without_port(host) in self._known or _is_address(host, server)):
            return "unknown_host", _UNKNOWN_HOST
        if site == b"cross-site" or (origin is not None and not self._own(origin, host)):
            return "cross_origin", "pages of other origins may not call this service"
        return None

    def _own(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of that origin is ours: the name and port that is called, or a configured name."""
        authority = origin.partition(b"://")[2].lower()
        return authority == host.lower() or _without_port(authority) in self._configured


class BrowserGuard:
    """Passes a request on if the rules let it, else answers 403."""

    def __init__(self, app: AsgiApp, allowed_hosts: Iterable[str]) -> None:
        self._app = app
        self._rules = Rules(allowed_hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Judge the headers, then pass on or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._rules.judge(scope["headers"], scope.get("server"))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refuse(send, *refusal)


def _is_address(host: bytes, server: tuple[str, int | None] | None) -> bool:
    return server is not None and _without_port(host) == _bracketed(server[0]).encode()


def _without_port(authority: bytes) -> bytes:
    """`[::1]:80` → `[::1]`, `Name:80` → `name`."""
    if authority.startswith(b"["):
        address, _, rest = authority.partition(b"]")
        return authority if rest and not rest.startswith(b":") else address.lower() + b"]"
    return authority.partition(b":")[0].lower()


def _bracketed(name: str) -> str:
    return f"[{name}]".lower() if ":" in name and not name.startswith("[") else name.lower()


async def _refuse(send: Send, code: str, message: str) -> None:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})

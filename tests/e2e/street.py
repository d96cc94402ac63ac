"""Ways to an upstream on which a known time passes in each phase, and what a call's columns then are.

Every name resolves slowly, to an address that does not answer and one that does; every proxy is tried after
one that fails.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from e2e.delays import (
    Delays,
    Serve,
    deaf,
    failing_proxy,
    hold,
    http_proxy,
    listening,
    relay,
    socks_proxy,
    streaming_upstream,
)
from e2e.upstream import Certificate
from lessllm_gateway.egress import tcp

DELAYS = Delays()
CONNECT_MS = tcp._NEXT_ADDRESS_S * 1000  # until the second address is tried
CONNECTING = ("dns_ms", "tcp_connect_ms", "proxy_handshake_ms", "tls_ms")

Expected = dict[str, float | None]


@dataclass(frozen=True)
class Street:
    """The ports of what stands between a client and its answer."""

    deaf: int
    plain: int  # the upstream
    secure: int  # the upstream by TLS
    proxies: dict[str, int]  # by scheme, and "failing", which is none

    async def resolve(self, host: str, port: int) -> list[tcp.Address]:
        """Localhost's addresses. One that does not answer comes first."""
        assert host == "localhost"
        await hold(DELAYS.dns)
        return [*(tcp.literal("127.0.0.1", self.deaf) or ()), *(tcp.literal("127.0.0.1", port) or ())]


@contextlib.asynccontextmanager
async def street(shown: Certificate) -> AsyncIterator[Street]:
    """All of it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.pem_file)
    async with contextlib.AsyncExitStack() as stack:

        async def port(serve: Serve, tls: ssl.SSLContext | None = None) -> int:
            return await stack.enter_async_context(listening(serve, tls))

        socks = await port(socks_proxy(DELAYS))
        yield Street(
            deaf=stack.enter_context(deaf()),
            plain=await port(streaming_upstream(DELAYS)),
            secure=await port(relay(await port(streaming_upstream(DELAYS), context), DELAYS.tls)),
            proxies={
                "failing": await port(failing_proxy(DELAYS)),
                "http": await port(http_proxy(DELAYS)),
                "https": await port(http_proxy(DELAYS), context),
                "socks5": socks,
                "socks5h": socks,
            },
        )


@dataclass(frozen=True)
class Way:
    """A way to an upstream, and what of it takes time. None: it does not happen."""

    name: str
    upstream: str  # scheme
    proxy: str | None  # without its port
    dns_ms: float | None = DELAYS.dns
    tcp_connect_ms: float = CONNECT_MS
    proxy_handshake_ms: float | None = None
    tls_ms: float | None = DELAYS.tls
    round_trip_ms: float | None = DELAYS.tls
    remote_dns: bool | None = None

    def document(self, street: Street, shown: Certificate) -> dict[str, Any]:
        """The configuration that leads there: by the proxy, when another one has failed."""
        tls = {"ca_file": str(shown.ca_file)}
        port = street.plain if self.upstream == "http" else street.secure
        provider = {"base_url": f"{self.upstream}://localhost:{port}/v1", "tls": tls}
        proxy = {}
        if self.proxy is not None:
            scheme = self.proxy.partition(":")[0]
            # What is forwarded whole goes to the upstream itself: it does not mind the proxy's form.
            forwards = scheme == self.upstream == "http"
            way = f"{self.proxy}:{street.plain if forwards else street.proxies[scheme]}"
            proxy = {"chain": [f"socks5h://127.0.0.1:{street.proxies['failing']}", way], "tls": tls}
        return {"providers": {"openai": provider}, "proxy": proxy}

    @property
    def expected(self) -> Expected:
        """The columns of a call that opened its connection."""
        connecting = {name: getattr(self, name) for name in CONNECTING}
        spent_ms = sum(value or 0 for value in connecting.values())
        prior_ms = 0 if self.proxy is None else DELAYS.prior
        network_ms = None if self.round_trip_ms is None else spent_ms + self.round_trip_ms
        return {
            "prior_attempts_ms": prior_ms,
            **connecting,
            **self._answer(DELAYS.upload + prior_ms + spent_ms),
            "network_ms": network_ms,
        }

    @property
    def expected_again(self) -> Expected:
        """The same over the connection that is open now."""
        return {
            "prior_attempts_ms": 0,
            **dict.fromkeys(CONNECTING),
            **self._answer(DELAYS.upload),
            "network_ms": self.round_trip_ms,
        }

    def _answer(self, before_ms: float) -> Expected:
        first_ms = DELAYS.wait + DELAYS.receive / 2
        return {
            "request_receive_ms": DELAYS.upload,
            "pool_wait_ms": 0,
            "request_send_ms": 0,
            "server_wait_ms": DELAYS.wait,
            "receive_ms": DELAYS.receive,
            "client_blocked_ms": 0,
            "estimated_ttfb_ms": DELAYS.wait,
            "estimated_ttft_ms": before_ms + first_ms,
            "total_latency_ms": before_ms + DELAYS.wait + DELAYS.receive,
            "compute_ms": None if self.round_trip_ms is None else max(0, first_ms - self.round_trip_ms),
        }


TUNNEL = {"proxy_handshake_ms": DELAYS.proxy, "remote_dns": True}
NO_TLS = {"tls_ms": None, "round_trip_ms": None}
WAYS = (
    Way("direct", "https", None, round_trip_ms=CONNECT_MS),
    Way("direct, no TLS", "http", None, tls_ms=None, round_trip_ms=CONNECT_MS),
    Way("http", "https", "http://localhost", **TUNNEL),
    Way("http that forwards", "http", "http://localhost", **NO_TLS, remote_dns=True),
    Way("https", "https", "https://localhost", **TUNNEL),
    Way("socks5", "https", "socks5://localhost", dns_ms=2 * DELAYS.dns, **{**TUNNEL, "remote_dns": False}),
    Way("socks5h", "https", "socks5h://localhost", **TUNNEL),
    Way("socks5h by address", "https", "socks5h://127.0.0.1", dns_ms=None, tcp_connect_ms=0, **TUNNEL),
    Way("socks5h, no TLS", "http", "socks5h://localhost", **TUNNEL, **NO_TLS),
)

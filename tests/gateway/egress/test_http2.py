"""HTTP/2 for real: negotiated, many streams at once, by way of proxies; and failures by their right names."""

import asyncio
import contextlib
import ssl

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from gateway.egress.calls import LIMITS, PATIENCE, called, request
from gateway.egress.servers import HOST, Proxy, Server, Upstream, quiet, until
from lessllm_gateway.egress.dialer import Dialer, DialError, Patience, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.hops import Credentials, Hop, Kind, Origin
from lessllm_gateway.egress.http2 import Http2Transport
from lessllm_gateway.egress.pool import Limits, PoolFull

pytestmark = pytest.mark.usefixtures("nothing_left")

AUTH = Credentials("alice", "s3cret")
IMPATIENCE = Patience(0.1, 0.1)


class Http2:
    """Answers every request with its path, once `together` of them have come."""

    def __init__(self, together: int = 1) -> None:
        self.protocols: list[str | None] = []
        self.together = together

    async def __call__(self, reader, writer):
        self.protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        open_streams = {}
        while data := await reader.read(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    open_streams[event.stream_id] = dict(event.headers)[b":path"].decode()
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if len(open_streams) >= self.together:
                for stream, path in open_streams.items():
                    connection.send_headers(stream, [(":status", "200")])
                    connection.send_data(stream, path.encode(), end_stream=True)
                open_streams.clear()
            writer.write(connection.data_to_send())
            await writer.drain()


@pytest.fixture
def serving_h2(authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", HOST).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def trusting_h2(authority) -> ssl.SSLContext:
    """One of its own: httpcore sets ALPN on it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@contextlib.asynccontextmanager
async def opened(place: Place, patience: Patience = PATIENCE, limits: Limits = LIMITS):
    transport = Http2Transport(place, patience, limits)
    try:
        yield transport
    finally:
        await transport.aclose()


WAYS = pytest.mark.parametrize("kind", [None, Kind.HTTP, Kind.HTTPS, Kind.SOCKS4A, Kind.SOCKS5, Kind.SOCKS5H])


@WAYS
async def test_many_streams_share_one_connection_by_every_way(
    kind, serving, serving_h2, trusting_h2, trusting
):
    upstream, proxy = Http2(), Proxy(kind or Kind.HTTP, AUTH)
    context = serving if kind is Kind.HTTPS else None
    async with Server(upstream).listening(serving_h2) as end, Server(proxy).listening(context) as way:
        hop = Hop(kind, HOST, way.port, AUTH) if kind is not None else None
        place = Place(
            hop, Origin(True, "localhost", end.port), trusting_h2, trusting if kind is Kind.HTTPS else None
        )
        urls = [f"https://localhost:{end.port}/a%2fb//{number}?q" for number in range(8)]
        async with opened(place) as transport:
            await called(transport, request(urls[0]))  # by a proxy, the first ones would have one each
            upstream.together = len(urls)
            results = await asyncio.gather(*(called(transport, request(url, body=b"{}")) for url in urls))
        assert (end.accepted, upstream.protocols) == (1, ["h2"])
        assert len(proxy.went) == (kind is not None)
    assert [result.body.decode() for result in results] == [f"/a%2fb//{number}?q" for number in range(8)]
    for exchange in (result.exchange for result in results):
        assert exchange.send_start <= exchange.sent <= exchange.head and exchange.phase is Phase.RECEIVE
        assert exchange.remote_dns == (None if hop is None else hop.resolves_names)


async def test_a_server_that_speaks_no_http_2_is_spoken_to_as_it_likes(serving, trusting_h2):
    async with Server(Upstream()).listening(serving) as server:
        place = Place(None, Origin(True, "localhost", server.port), trusting_h2)
        async with opened(place) as transport:
            assert (await called(transport, request(f"https://localhost:{server.port}/"))).body == b"hello"


async def test_phases_are_known_as_far_as_the_libraries_tell(serving_h2, trusting_h2):
    upstream, proxy = Http2(), Proxy(Kind.HTTP)
    async with Server(upstream).listening(serving_h2) as end, Server(proxy).listening() as way:
        url = f"https://localhost:{end.port}/"
        for hop in (None, Hop(Kind.HTTP, HOST, way.port)):
            place = Place(hop, Origin(True, "localhost", end.port), trusting_h2)
            async with opened(place) as transport:
                first, second = [(await called(transport, request(url))).exchange for _ in range(2)]
            assert (first.reused, second.reused) == (False, True)
            assert first.tcp_connect_ns > 0 and first.tls_ns > 0
            assert first.round_trip_ns == (first.tcp_connect_ns if hop is None else first.tls_ns)
            assert (first.proxy_handshake_ns is not None) == (hop is not None)
            assert (second.tcp_connect_ns, second.proxy_handshake_ns, second.tls_ns) == (None, None, None)


async def refusal(
    place: Place, patience: Patience = IMPATIENCE, url: str = "https://localhost/"
) -> DialError:
    async with opened(place, patience) as transport:
        asked = request(url)
        with pytest.raises(DialError) as caught:
            await called(transport, asked)
    assert "s3cret" not in f"{caught.value!r}{caught.value.text}"
    assert caught.value.phase is asked.extensions["exchange"].phase
    return caught.value


KINDS = [Kind.HTTP, Kind.SOCKS4A, Kind.SOCKS5H]


@pytest.mark.parametrize("kind", [*KINDS, Kind.HTTPS])
@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("refuses", "proxy_unreachable"),
        ("silent", "proxy_timeout"),
        ("closes", "proxy_protocol_error"),
        ("garbage", "proxy_protocol_error"),
    ],
)
async def test_a_proxy_fails(kind, behaviour, code, trusting, trusting_h2):
    async def handle(reader, writer):
        if behaviour == "silent":
            await quiet(reader, writer)
        await reader.read(1)
        if behaviour == "garbage":
            writer.write(b"\x00garbage\r\n\r\n" * 4)
            await writer.drain()

    async with Server(handle).listening() as server:
        port = 1 if behaviour == "refuses" else server.port
        hop_tls = trusting if kind is Kind.HTTPS else None
        place = Place(Hop(kind, HOST, port, AUTH), Origin(True, "localhost", 1), trusting_h2, hop_tls)
        error = await refusal(place)
        await until(lambda: not server.open_count)
    is_tls = kind is Kind.HTTPS and code == "proxy_protocol_error"
    assert error.code == ("proxy_tls_failed" if is_tls else code) and error.blames_proxy


@pytest.mark.parametrize(
    ("kind", "answer", "code"),
    [
        (Kind.HTTP, b"HTTP/1.1 403 No\r\n\r\n", "proxy_refused_target"),
        (Kind.HTTP, b"HTTP/1.1 502 No\r\n\r\n", "upstream_unreachable"),
        (Kind.SOCKS4A, b"\0\x5b" + bytes(6), "upstream_unreachable"),
        (Kind.SOCKS4A, b"\0\x5d" + bytes(6), "proxy_auth_failed"),
        (Kind.SOCKS5H, b"\5\0\5\2\0\1" + bytes(6), "proxy_refused_target"),
        (Kind.SOCKS5H, b"\5\0\5\5\0\1" + bytes(6), "upstream_unreachable"),
        (Kind.SOCKS5H, b"\5\xff", "proxy_auth_failed"),
        (Kind.SOCKS5H, b"\5\2\1\1", "proxy_auth_failed"),
    ],
)
async def test_what_a_proxy_answers_means_the_same_as_to_our_own_transport(kind, answer, code, trusting_h2):
    async def handle(reader, writer):
        await reader.read(1)
        writer.write(answer)
        await quiet(reader, writer)

    async with Server(handle).listening() as server:
        hop = Hop(kind, HOST, server.port, AUTH)
        place = Place(hop, Origin(True, "localhost", 1), trusting_h2)
        error = await refusal(place, PATIENCE)
        with pytest.raises(DialError) as own:
            await Dialer(PATIENCE).dial(place, asyncio.Protocol(), Exchange())
    assert (error.phase, error.code) == (own.value.phase, own.value.code) == (Phase.PROXY_HANDSHAKE, code)


@pytest.mark.parametrize("kind", [Kind.HTTP, Kind.SOCKS5H])
async def test_a_proxy_refuses_the_credentials(kind, trusting_h2):
    async with Server(Proxy(kind, AUTH)).listening() as server:
        wrong = Hop(kind, HOST, server.port, Credentials("mallory", "s3cret-no"))
        error = await refusal(Place(wrong, Origin(True, "localhost", 1), trusting_h2), PATIENCE)
    assert error.code == "proxy_auth_failed"


async def test_a_name_that_a_proxy_does_not_take_does_not_resolve(trusting_h2):
    async with Server(Proxy(Kind.SOCKS5)).listening() as server:
        place = Place(Hop(Kind.SOCKS5, HOST, server.port), Origin(True, "nobody.invalid", 1), trusting_h2)
        error = await refusal(place, PATIENCE, "https://nobody.invalid/")
    assert (error.phase, error.code, error.blames_proxy) == (Phase.DNS, "upstream_unreachable", False)


async def test_a_proxy_s_certificate_is_not_accepted(serving, trusting_h2):
    async with Server(quiet).listening(serving) as server:
        strict = ssl.create_default_context()
        hop = Hop(Kind.HTTPS, HOST, server.port)
        error = await refusal(Place(hop, Origin(True, "localhost", 1), trusting_h2, strict), PATIENCE)
    assert error.code == "proxy_tls_failed"


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("behaviour", ["shows a certificate", "closes", "garbage", "silent"])
async def test_tls_with_the_upstream_fails(kind, behaviour, serving_h2):
    async def handle(reader, writer):
        await reader.read(1)
        if behaviour == "garbage":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        if behaviour != "closes":
            await quiet(reader, writer)

    context = serving_h2 if behaviour == "shows a certificate" else None
    patience = IMPATIENCE if behaviour == "silent" else PATIENCE
    async with Server(handle).listening(context) as end, Server(Proxy(kind or Kind.HTTP)).listening() as way:
        hop = Hop(kind, HOST, way.port) if kind is not None else None
        place = Place(hop, Origin(True, "localhost", end.port), ssl.create_default_context())
        error = await refusal(place, patience, f"https://localhost:{end.port}/")
    if behaviour != "silent":
        assert (error.phase, error.code) == (Phase.TLS, "upstream_tls_failed")
    elif kind in {Kind.SOCKS4A, Kind.SOCKS5H}:  # where python-socks waits is not known
        assert error.code == "proxy_timeout"
    else:
        assert (error.phase, error.code) == (Phase.TLS, "connect_timeout")


async def test_an_upstream_is_not_reached(trusting_h2):
    error = await refusal(Place(None, Origin(True, HOST, 1), trusting_h2), PATIENCE, f"https://{HOST}:1/")
    assert (error.phase, error.code) == (Phase.CONNECT, "upstream_unreachable")


async def test_no_connection_becomes_free_in_time(serving, trusting_h2):
    async with Server(Upstream()).listening(serving) as server:
        url = f"https://localhost:{server.port}/"
        place = Place(None, Origin(True, "localhost", server.port), trusting_h2)
        async with opened(place, limits=Limits(1, 1, 60)) as transport:
            first = await transport.handle_async_request(request(url))
            with pytest.raises(PoolFull):
                await called(transport, request(url, pool_s=0.1))
            await first.aclose()


async def test_an_answer_does_not_come_in_time(serving_h2, trusting_h2):
    async with Server(Http2(together=2)).listening(serving_h2) as server:
        place = Place(None, Origin(True, "localhost", server.port), trusting_h2)
        async with opened(place) as transport:
            with pytest.raises(httpx.ReadTimeout):
                await called(transport, request(f"https://localhost:{server.port}/", read_s=0.1))

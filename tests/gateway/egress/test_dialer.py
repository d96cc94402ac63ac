"""Connections that come about by any way, and those that don't: which hop, which phase, and why."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
import time

import pytest
import trustme
import uvloop
from gateway.egress.servers import HOST, Proxy, Server, black_hole, quiet, until
from lessllm_gateway.egress import tcp
from lessllm_gateway.egress.dialer import Dialer, DialError, Patience, Place
from lessllm_gateway.egress.exchange import Exchange, Phase
from lessllm_gateway.egress.hops import Credentials, Hop, Kind, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")

AUTH = Credentials("alice", "s3cret")
PATIENCE = Patience(5, 5)
IMPATIENCE = Patience(0.1, 0.15)
A_TICK_NS = 20e6  # a loop that is behind counts from when it woke
NAME = "api.test"
TUNNELS = [kind for kind in Kind if kind is not Kind.HTTPS]


def resolving(**names):
    """A resolver that knows these names: addresses, or what to do."""

    async def resolve(host, port):
        found = names[host.partition(".")[0]]
        if callable(found):
            return await found()
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in found]

    return resolve


async def unknown():
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def forever():
    await asyncio.Event().wait()


RESOLVE = resolving(api=[HOST], proxy=[HOST], nobody=unknown, slow=forever, empty=[])


async def dialled(place: Place, patience: Patience = PATIENCE, resolve=RESOLVE) -> Exchange:
    """A connection is opened and closed again. Raises DialError."""
    exchange, protocol = Exchange(), asyncio.Protocol()
    transport = await Dialer(patience, resolve).dial(place, protocol, exchange)
    transport.abort()
    await asyncio.sleep(0)
    return exchange


async def refusal(place: Place, patience: Patience = PATIENCE, resolve=RESOLVE) -> tuple[DialError, Exchange]:
    exchange = Exchange()
    with pytest.raises(DialError) as caught:
        await Dialer(patience, resolve).dial(place, asyncio.Protocol(), exchange)
    error = caught.value
    assert error.phase is exchange.phase
    assert "s3cret" not in f"{error!r}{error}{error.text}"
    return error, exchange


def is_uvloop() -> bool:
    return isinstance(asyncio.get_running_loop(), uvloop.Loop)


def origin(port: int, host: str = NAME, *, tls: bool = False) -> Origin:
    return Origin(tls, host, port)


def closed_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def addresses(*pairs):
    async def resolve(host, port):
        del host, port
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", pair) for pair in pairs]

    return resolve


async def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second():
    with black_hole() as hole:
        async with Server(quiet).listening() as server:
            exchange = await dialled(
                Place(None, origin(1)), resolve=addresses((HOST, hole), (HOST, server.port))
            )
    assert 250e6 - A_TICK_NS <= exchange.tcp_connect_ns < PATIENCE.connect_s * 1e9


async def test_an_address_that_refuses_costs_nothing():
    async with Server(quiet).listening() as server:
        both = addresses((HOST, closed_port()), (HOST, server.port))
        exchange = await dialled(Place(None, origin(1)), resolve=both)
    assert exchange.tcp_connect_ns < 200e6


@pytest.mark.parametrize("hop", [None, Hop(Kind.SOCKS5H, "proxy.test", 1, AUTH)])
async def test_no_address_answers_in_time(hop):
    with black_hole() as hole:
        place = Place(hop, origin(1))
        error, exchange = await refusal(place, IMPATIENCE, addresses((HOST, hole), (HOST, hole)))
    assert error.phase is Phase.CONNECT and "within timeouts.connect_s (0.1 s)" in error.text
    assert exchange.tcp_connect_ns >= 100e6 - A_TICK_NS
    if hop is None:
        assert error.code == "connect_timeout" and "the upstream did not answer" in error.text
    else:
        assert error.code == "proxy_timeout" and "the proxy did not answer" in error.text


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(HOST, 1)], "Connection refused"),
        ([(HOST, 1), ("127.0.0.2", 1)], "Connection refused"),
        ([(HOST, 1), ("255.255.255.255", 1)], "different reasons"),
    ],
)
@pytest.mark.parametrize("hop", [None, Hop(Kind.HTTP, "proxy.test", 1, AUTH)])
async def test_every_address_refuses(pairs, reason, hop):
    error, exchange = await refusal(Place(hop, origin(1)), resolve=addresses(*pairs))
    assert error.phase is Phase.CONNECT and reason in error.text and HOST not in error.text
    assert error.code == ("upstream_unreachable" if hop is None else "proxy_unreachable")
    assert exchange.tcp_connect_ns is not None and exchange.proxy_handshake_ns is None


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("nobody.test", "the name nobody.test does not resolve: Name or service not known"),
        ("empty.test", "the name empty.test has no address"),
        ("slow.test", "name did not resolve within timeouts.connect_s (0.1 s)"),
    ],
)
@pytest.mark.parametrize(
    ("way", "code"),
    [
        (lambda host: Place(None, origin(1, host)), "upstream_unreachable"),
        (lambda host: Place(Hop(Kind.SOCKS5, HOST, 1), origin(1, host)), "upstream_unreachable"),
        (lambda host: Place(Hop(Kind.SOCKS4, HOST, 1), origin(1, host)), "upstream_unreachable"),
        (lambda host: Place(Hop(Kind.SOCKS5H, host, 1), origin(1)), "proxy_unreachable"),
        (lambda host: Place(Hop(Kind.HTTP, host, 1), None), "proxy_unreachable"),
    ],
)
async def test_a_name_does_not_resolve(way, code, host, text):
    error, exchange = await refusal(way(host), IMPATIENCE)
    is_late = host == "slow.test"
    late = {"upstream_unreachable": "connect_timeout", "proxy_unreachable": "proxy_timeout"}
    assert (error.phase, error.code) == (Phase.DNS, late[code] if is_late else code)
    assert error.blames_proxy == (code == "proxy_unreachable") == error.text.startswith("the proxy")
    assert text in error.text
    assert (exchange.dns_ns > 50e6) is is_late
    assert exchange.tcp_connect_ns is None


async def test_a_name_that_can_be_none_does_not_resolve():
    error = (await refusal(Place(None, origin(1, "x" * 64 + ".test")), resolve=tcp.resolve))[0]
    assert (error.phase, error.code) == (Phase.DNS, "upstream_unreachable")


@pytest.mark.parametrize("kind", [Kind.SOCKS4, Kind.SOCKS5])
async def test_a_proxy_that_takes_no_names_gets_an_ipv4_address_if_there_is_one(kind):
    async def resolve(host, port):
        v6 = (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("2001:db8::7", port, 0, 0))
        return [v6, *await RESOLVE(host, port)] if host == NAME else [v6]

    proxy = Proxy(kind)
    async with Server(quiet).listening() as upstream, Server(proxy).listening() as server:
        exchange = await dialled(Place(Hop(kind, HOST, server.port), origin(upstream.port)), resolve=resolve)
        assert proxy.went == [f"{HOST}:{upstream.port}"]
    assert exchange.remote_dns is False and exchange.dns_ns is not None
    if kind is Kind.SOCKS4:
        error, _ = await refusal(Place(Hop(kind, HOST, 1), origin(1, "six.test")), resolve=resolve)
        assert (error.code, error.phase) == ("proxy_refused_target", Phase.DNS) and "socks5" in error.text


@pytest.mark.parametrize("kind", TUNNELS)
async def test_a_proxy_refuses_the_credentials(kind):
    async with Server(Proxy(kind, AUTH)).listening() as server:
        for wrong in (Credentials("mallory", "s3cret-too"), None):
            error, exchange = await refusal(Place(Hop(kind, HOST, server.port, wrong), origin(1)))
            assert (error.phase, error.code) == (Phase.PROXY_HANDSHAKE, "proxy_auth_failed")
            assert error.blames_proxy and error.is_lasting
            assert exchange.proxy_handshake_ns > 0 and exchange.tls_ns is None


@pytest.mark.parametrize("kind", TUNNELS)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "proxy_protocol_error"),
        (b"220 mail.test ESMTP\r\n\r\n", "proxy_protocol_error"),
        (b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", "proxy_protocol_error"),
        (b"x" * 200_000, "proxy_protocol_error"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", {Kind.HTTP: "proxy_refused_target"}),
        (b"\0\x5b" + bytes(6), {Kind.SOCKS4: "upstream_unreachable", Kind.SOCKS4A: "upstream_unreachable"}),
        (b"\5\0\5\2\0\1", {Kind.SOCKS5: "proxy_refused_target", Kind.SOCKS5H: "proxy_refused_target"}),
        (b"\5\0\5\5\0\1", {Kind.SOCKS5: "upstream_unreachable", Kind.SOCKS5H: "upstream_unreachable"}),
    ],
)
async def test_what_a_proxy_answers_is_told_apart(kind, answer, code):
    async def answering(reader, writer):
        await reader.read(1)
        writer.write(answer)
        await writer.drain()

    async with Server(answering).listening() as server:
        error, _ = await refusal(Place(Hop(kind, HOST, server.port), origin(1)))
    expected = code if isinstance(code, str) else code.get(kind, "proxy_protocol_error")
    assert (error.phase, error.code) == (Phase.PROXY_HANDSHAKE, expected)
    assert error.text.startswith("the proxy did not open the way: ")


async def test_a_proxy_that_goes_on_talking_is_not_used():
    async def talking(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
        await reader.read()

    async with Server(talking).listening() as server:
        error, _ = await refusal(Place(Hop(Kind.HTTP, HOST, server.port), origin(1)))
    assert error.code == "proxy_protocol_error" and "went on talking" in error.text


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_proxy_stays_silent(kind, trusting):
    async with Server(quiet).listening() as server:
        hop_tls = trusting if kind is Kind.HTTPS else None
        place = Place(Hop(kind, HOST, server.port, AUTH), origin(1), None, hop_tls)
        error, exchange = await refusal(place, IMPATIENCE)
    assert (error.phase, error.code) == (Phase.PROXY_HANDSHAKE, "proxy_timeout")
    assert "within timeouts.proxy_handshake_s (0.15 s)" in error.text
    assert 150e6 - A_TICK_NS <= exchange.proxy_handshake_ns < 500e6


async def test_an_upstream_stays_silent_in_the_tls_handshake(trusting):
    async with Server(quiet).listening() as server:
        error, exchange = await refusal(Place(None, origin(server.port, tls=True), trusting), IMPATIENCE)
    assert (error.phase, error.code) == (Phase.TLS, "connect_timeout")
    assert "TLS with the upstream" in error.text and "timeouts.connect_s (0.1 s)" in error.text
    assert 100e6 - A_TICK_NS <= exchange.tls_ns < 500e6


def expired(authority):
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    return authority.issue_cert(NAME, HOST, not_before=past - dt.timedelta(days=1), not_after=past)


@pytest.mark.parametrize(
    ("issue", "text"),
    [
        (lambda _: trustme.CA().issue_cert(NAME, HOST), "an authority that is not known"),
        (lambda authority: authority.issue_cert("other.test"), "not for this host"),
        (expired, "has expired"),
    ],
)
@pytest.mark.parametrize("whose", ["upstream", "proxy"])
async def test_a_certificate_is_not_accepted(issue, text, whose, authority, trusting):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issue(authority).configure_cert(context)
    async with Server(quiet).listening(context) as server:
        if whose == "upstream":
            place = Place(None, origin(server.port, tls=True), trusting)
        else:
            place = Place(Hop(Kind.HTTPS, HOST, server.port), origin(1), None, trusting)
        error, _ = await refusal(place)
    phase = Phase.TLS if whose == "upstream" else Phase.PROXY_HANDSHAKE
    assert (error.phase, error.code) == (phase, f"{whose}_tls_failed")
    assert text in error.text and f"TLS with the {whose} failed" in error.text and error.is_lasting
    assert error.blames_proxy == (whose == "proxy")


async def test_a_client_certificate_is_shown_to_who_demands_it(authority, trusting):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
    authority.configure_trust(context)
    authority.issue_cert(NAME, HOST).configure_cert(context)
    showing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(showing)
    authority.issue_cert("client.test").configure_cert(showing)
    proxy = Proxy(Kind.HTTPS)
    async with Server(quiet).listening(context) as upstream, Server(proxy).listening(context) as server:
        hop = Hop(Kind.HTTPS, HOST, server.port)
        there = Origin(True, HOST, upstream.port)
        assert (await dialled(Place(None, there, showing))).tls_ns > 0
        assert (await dialled(Place(hop, there, showing, showing))).tls_ns > 0
        assert len(proxy.went) == 1
        for place, code in (
            (Place(None, there, trusting), "upstream_tls_failed"),
            (Place(hop, there, showing, trusting), "proxy_tls_failed"),
            (Place(hop, there, trusting, showing), "upstream_tls_failed"),
        ):
            if place.tls is trusting and place.hop and not is_uvloop():
                continue  # asyncio of Python 3.11 fails over a failure of TLS within TLS
            assert (await refusal(place))[0].code == code


@pytest.mark.parametrize(
    ("answer", "text"),
    [(None, "closed"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong version number"), (b"\x15", "closed")],
)
async def test_what_is_no_tls_is_said_to_be_none(answer, text, trusting):
    async def answering(reader, writer):
        await reader.read(1)
        if answer:
            writer.write(answer)
            await writer.drain()

    async with Server(answering).listening() as server:
        error, _ = await refusal(Place(None, origin(server.port, tls=True), trusting))
        assert (error.phase, error.code) == (Phase.TLS, "upstream_tls_failed") and text in error.text
        error, _ = await refusal(Place(Hop(Kind.HTTPS, HOST, server.port), origin(1), None, trusting))
        assert error.code == "proxy_tls_failed" and text in error.text


@contextlib.contextmanager
def slamming():
    """A port that closes every connection at once, by a thread: the loop learns it in the same turn."""

    def slam():
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=slam)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RD)
        thread.join()


@pytest.mark.parametrize("way", ["plain", "tls", Kind.HTTP, Kind.HTTPS, Kind.SOCKS5H])
async def test_who_closes_at_once_is_heard_of_at_once_and_nothing_is_logged(way, trusting, caplog):
    with slamming() as port:
        hop = Hop(way, HOST, port) if isinstance(way, Kind) else None
        place = Place(
            hop,
            origin(port, tls=way == "tls"),
            trusting if way == "tls" else None,
            trusting if way is Kind.HTTPS else None,
        )
        start_s = time.monotonic()
        for _ in range(50):
            with contextlib.suppress(DialError):
                await dialled(place)
        assert time.monotonic() - start_s < PATIENCE.connect_s
    assert not caplog.records


@pytest.mark.parametrize("phase", [Phase.DNS, Phase.CONNECT, Phase.PROXY_HANDSHAKE, Phase.TLS])
async def test_who_stops_waiting_leaves_nothing_behind(phase, trusting):
    with black_hole() as hole:
        async with Server(quiet).listening() as server, Server(Proxy(Kind.HTTPS)).listening() as plain:
            ways = {
                Phase.DNS: (Place(None, origin(1, "slow.test")), RESOLVE),
                Phase.CONNECT: (Place(None, origin(1)), addresses((HOST, hole), (HOST, hole))),
                Phase.PROXY_HANDSHAKE: (Place(Hop(Kind.SOCKS5H, HOST, server.port), origin(1)), RESOLVE),
                Phase.TLS: (
                    Place(Hop(Kind.HTTP, HOST, plain.port), Origin(True, HOST, server.port), trusting),
                    RESOLVE,
                ),
            }
            place, resolve = ways[phase]
            exchange = Exchange()
            dial = asyncio.ensure_future(Dialer(PATIENCE, resolve).dial(place, asyncio.Protocol(), exchange))
            await until(lambda: exchange.phase is phase)
            await asyncio.sleep(0.02)
            assert not dial.done()
            dial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dial
            await until(lambda: not server.open_count and not plain.open_count)

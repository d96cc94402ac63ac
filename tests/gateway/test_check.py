"""What a check finds out, against servers of every kind, and that it tells no secrets."""

import asyncio
import contextlib
import io
import json
import ssl
import sys

import httpx
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.check import __main__ as process
from lessllm_gateway.check.authority import issuer
from lessllm_gateway.check.hearsay import MAX_COMPLAINT_CHARS, complaint, printable
from lessllm_gateway.check.report import Check
from lessllm_gateway.check.verdict import Verdict
from lessllm_shared.config import ConfigError, GatewaySettings, load

KEY = "sk-CANARY-0123456789abcdef"
PASSWORD = "CANARY-password"
LIST = b'{"object": "list", "data": []}'
PAGE = b"<!DOCTYPE html><html><title>Please log in</title></html>"


def make_check(limit_s=5.0, environ=None, **document):
    document = {"proxy": {"trust_env": False}, **document}
    return Check(load(GatewaySettings, document, {}), environ or {}, limit_s)


async def reports(check, *names):
    return [report async for report in check.reports(check.providers(names))]


async def tried(url, *, limit_s=5.0, environ=None, **provider):
    """The one way of a provider `p`."""
    provider = {"base_url": f"{url}/v1", "api_key": KEY, **provider}
    provider = {name: value for name, value in provider.items() if value is not None}
    check = make_check(limit_s, environ, providers={"p": provider})
    (report,) = await reports(check)
    (way,) = report.ways
    assert not shown_secrets(report)
    assert report.ok == (way.reachable and way.key.verdict is not Verdict.REFUSED)
    return way


def shown_secrets(report):
    return "CANARY" in repr(report)


# What servers say.


@pytest.mark.parametrize(
    ("status", "body", "verdict", "words"),
    [
        ("401 Unauthorized", b'{"error": {"message": "no such key"}}', Verdict.REFUSED, "(401): no such key"),
        ("403 Forbidden", b'{"error": "not in your country"}', Verdict.REFUSED, "(403): not in your country"),
        ("400 Bad Request", b'[{"error": {"message": "API key not valid"}}]', Verdict.REFUSED, "(400)"),
        ("400 Bad Request", b'{"detail": "no such version"}', Verdict.UNKNOWN, "400: no such version"),
        ("429 Too Many", b'{"message": "slow down"}', Verdict.LIMITED, "slow down"),
        ("404 Not Found", PAGE, Verdict.UNKNOWN, "lists no models"),
        ("405 Not Allowed", b"", Verdict.UNKNOWN, "lists no models"),
        ("500 Oops", PAGE, Verdict.UNKNOWN, "answered 500"),
    ],
)
async def test_what_the_provider_answers_is_a_verdict_on_the_key(
    upstream, answer, status, body, verdict, words
):
    upstream.answer = answer(body, status)
    if body is PAGE:
        upstream.answer = answer(body, status, "text/html")
    way = await tried(upstream.url)
    assert (way.reachable, way.key.verdict, way.error) == (True, verdict, None)
    assert words in way.key.message
    assert way.status == int(status[:3])


async def test_a_key_is_valid_if_the_models_are_listed_for_it_and_not_without(upstream, answer):
    async def list_for_the_key(writer):
        has_key = f"authorization: Bearer {KEY}".encode() in upstream.requests[-1]
        writer.write(answer(LIST) if has_key else answer(b"{}", "401 Unauthorized"))

    upstream.answer = list_for_the_key
    assert (await tried(upstream.url)).key.verdict is Verdict.VALID
    assert [head.split(b"\r\n")[0] for head in upstream.requests] == [b"GET /v1/models HTTP/1.1"] * 2
    upstream.answer = answer(LIST)
    way = await tried(upstream.url)
    assert way.key.verdict is Verdict.UNKNOWN
    assert "to anybody" in way.key.message


async def test_anthropic_is_asked_as_its_sdk_asks(upstream, answer):
    upstream.answer = answer(b"{}", "401 Unauthorized")
    way = await tried(upstream.url, format="anthropic", base_url=upstream.url)
    assert way.key.verdict is Verdict.REFUSED
    (request,) = upstream.requests
    assert request.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"\r\nanthropic-version: 2023-06-01\r\n" in request
    assert f"\r\nx-api-key: {KEY}\r\n".encode() in request


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [("200 OK", LIST, Verdict.NOT_NEEDED), ("401 Unauthorized", b"{}", Verdict.NONE)],
)
async def test_a_server_on_this_machine_is_asked_without_a_key(upstream, answer, status, body, verdict):
    upstream.answer = answer(body, status)
    way = await tried(upstream.url, api_key=None)
    assert (way.reachable, way.key.verdict) == (True, verdict)
    assert b"authorization" not in upstream.requests[0].lower()


@pytest.mark.parametrize(
    "said",
    [
        b'{"error": {"message": "Incorrect key: %b"}}' % KEY.encode(),
        b'{"error": {"echo": ["Bearer %b"]}}' % KEY.encode(),
        b"plain text, " + KEY[:-4].encode() + b"****",
        b"it ends in " + KEY[-12:].encode(),
    ],
)
async def test_a_key_that_the_provider_repeats_is_left_out_of_its_words(upstream, answer, said):
    upstream.answer = answer(said, "401 Unauthorized", "text/plain")
    way = await tried(upstream.url)
    assert way.key.verdict is Verdict.REFUSED
    assert all(KEY[i : i + 6] not in way.key.message for i in range(len(KEY) - 5))


@pytest.mark.parametrize(("environ", "where"), [({}, "providers.openai.api_key"), ({"x": "y"}, "OPENAI_API")])
async def test_a_refused_key_is_looked_for_where_it_came_from(upstream, answer, environ, where):
    upstream.answer = answer(b"{}", "401 Unauthorized")
    provider = {"base_url": f"{upstream.url}/v1"}
    check = make_check(
        environ={"OPENAI_API_KEY": KEY} if environ else {},
        providers={"openai": provider if environ else {**provider, "api_key": KEY}},
    )
    (report,) = await reports(check)
    assert where in report.ways[0].key.remedy
    assert report.key.source == ("environment" if environ else "configured")
    assert (report.key.verdict, report.ok) == (Verdict.REFUSED, False)


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        ("200 OK", "text/html", PAGE),
        ("200 OK", "application/octet-stream", PAGE),
        ("200 OK", "text/plain", b"hello"),
        ("302 Found", "text/html", b""),
        ("403 Forbidden", "text/html", PAGE),
    ],
)
async def test_a_login_page_or_a_filter_is_not_taken_for_the_provider(
    upstream, answer, status, content_type, body
):
    upstream.answer = answer(body, status, content_type)
    way = await tried(upstream.url)
    assert (way.reachable, way.error.code) == (False, "upstream_invalid_answer")
    assert status[:3] in way.error.message
    assert "login page" in way.error.remedy
    assert way.key.verdict is Verdict.NOT_TRIED


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"]
)
async def test_what_does_not_speak_http_is_no_provider(upstream, said):
    upstream.answer = said
    way = await tried(upstream.url)
    assert (way.reachable, way.error.code) == (False, "upstream_protocol_error")


async def test_an_answer_of_any_size_is_read_in_part_only(upstream, answer):
    upstream.answer = answer(b"[" + b" " * 3_000_000)
    assert (await tried(upstream.url)).status == 200


# Where a way ends.


async def silence(writer):
    await writer.wait_closed()


async def half_an_answer(writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("behaviour", "scheme", "hop", "stage", "code"),
    [
        (silence, "http", None, "wait", "upstream_timeout"),
        (half_an_answer, "http", None, "receive", "upstream_timeout"),
        (silence, "https", None, "tls", "connect_timeout"),
        (silence, "https", "http", "proxy_handshake", "proxy_timeout"),
        (silence, "https", "socks5", "proxy_handshake", "proxy_timeout"),
    ],
)
async def test_a_black_hole_is_found_at_its_stage(upstream, behaviour, scheme, hop, stage, code):
    upstream.answer = behaviour
    here = upstream.url.removeprefix("http://")
    proxy = (
        "direct" if hop is None else {("socks" if hop != "http" else "http") + "_proxy": f"{hop}://{here}"}
    )
    async with silent(upstream):
        way = await tried(f"{scheme}://{here if hop is None else '127.0.0.1:9'}", proxy=proxy, limit_s=0.3)
    assert (way.error.stage, way.error.code) == (stage, code)
    assert "timed out after 0.3 s" in way.error.message


@contextlib.asynccontextmanager
async def silent(upstream):
    """Clients that never end their request would keep it waiting."""
    yield
    async with asyncio.timeout(5):
        await upstream.closed.wait()


@pytest.fixture
def names(monkeypatch):
    """What names resolve to; `...` for a name server that does not answer."""
    known = {}

    async def getaddrinfo(self, host, port, **options):
        if host not in known:
            raise OSError(2, "unknown")
        if known[host] is ...:
            await asyncio.Event().wait()
        return await real(self, known[host], port, **options)

    real = asyncio.BaseEventLoop.getaddrinfo
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return known


async def test_names_are_looked_up_first(names, upstream, answer):
    names.update({"hole.test": ..., "here.test": "127.0.0.1"})
    way = await tried("http://hole.test", limit_s=0.2)
    assert (way.error.stage, way.error.message) == ("dns", "looking up a name timed out after 0.2 s")
    way = await tried("http://nowhere.test")
    assert (way.error.stage, way.error.code) == ("dns", "upstream_unreachable")
    assert "nowhere.test does not resolve" in way.error.message
    assert "set proxy" in way.error.remedy
    way = await tried("http://p.test", proxy={"http_proxy": "http://proxy.test"})
    assert (way.error.stage, way.error.code) == ("dns", "proxy_unreachable")
    upstream.answer = answer(b"{}", "401 Unauthorized")
    way = await tried(upstream.url.replace("127.0.0.1", "here.test"))
    assert way.dns_ms > 0 and way.connect_ms > 0 and way.round_trip_ms == way.connect_ms


async def test_without_a_key_an_open_way_is_enough_and_nothing_is_asked(names, upstream):
    names["here.test"] = "127.0.0.1"
    way = await tried(upstream.url.replace("127.0.0.1", "here.test"), api_key=None)
    assert (way.reachable, way.status, way.key.verdict) == (True, None, Verdict.NONE)
    assert not upstream.requests


@pytest.mark.parametrize(
    ("said", "scheme", "code", "words"),
    [
        ("407 Who", "https", "proxy_auth_failed", "proxy.auth"),
        ("403 No", "https", "proxy_refused_target", "allow"),
        ("502 Bad", "https", "upstream_unreachable", "what it can reach"),
        ("407 Who", "http", "proxy_auth_failed", "proxy.auth"),
        ("503 Down", "http", "upstream_unreachable", "upstream up"),
    ],
)
async def test_what_a_proxy_refuses_is_told_apart(upstream, answer, said, scheme, code, words):
    upstream.answer = answer(PAGE, said, "text/html")
    hop = upstream.url.replace("http://", f"http://u:{PASSWORD}@")
    way = await tried(f"{scheme}://api.test", proxy={"http_proxy": hop})
    assert way.route == upstream.url
    assert (way.reachable, way.error.code) == (False, code)
    assert words in way.error.remedy
    assert way.key.verdict is Verdict.NOT_TRIED
    assert way.dns_ms is None


async def test_a_password_that_comes_back_is_left_out_too(upstream, answer):
    upstream.answer = answer(b'{"error": "for %b"}' % PASSWORD.encode(), "401 Unauthorized")
    hop = upstream.url.replace("http://", f"http://u:{PASSWORD}@")
    way = await tried("http://api.test", proxy={"http_proxy": hop})
    assert way.key.message.rstrip("…") == "the key was refused (401): for "


async def test_every_way_of_a_chain_is_tried_and_the_first_one_counts(upstream, answer):
    upstream.answer = answer(b"{}", "404 Not Found")
    check = make_check(
        proxy={"chain": ["http://127.0.0.1:9", upstream.url], "fallback_direct": True},
        providers={"p": {"base_url": upstream.url, "api_key": KEY}},
    )
    (report,) = await reports(check)
    assert [way.route for way in report.ways] == ["http://127.0.0.1:9", upstream.url, "direct"]
    assert [way.reachable for way in report.ways] == [False, True, True]
    assert report.ways[0].error.code == "proxy_unreachable"
    assert (report.ok, report.key.verdict) == (False, Verdict.UNKNOWN)


# Certificates.


class TlsServer:
    """Keeps what it is sent after a handshake, and answers 401."""

    def __init__(self, issued):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(self.context)
        self.received = b""
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                self.received += line
                if line == b"\r\n":
                    writer.write(b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.context)
        async with server:
            yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def authority():
    return trustme.CA(organization_name="ACME\x1b[31m\nFilters" + "!" * 80)


@pytest.fixture
def ca_file(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


ACME = "ACME [31m Filters" + "!" * 42 + "…"


async def test_interception_is_seen_by_who_trusts_the_certificate(authority, ca_file, monkeypatch):
    server = TlsServer(authority.issue_cert("127.0.0.1"))
    async with server.running() as url:
        way = await tried(url, tls={"ca_file": str(ca_file)})
        assert (way.reachable, way.key.verdict) == (True, Verdict.REFUSED)
        assert (way.certificate.issuer, way.certificate.trusted_by) == (ACME, "tls.ca_file")
        assert way.tls_ms > 0

        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        assert (await tried(url)).certificate.trusted_by == "system"
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        monkeypatch.setattr("certifi.where", lambda: str(ca_file))
        assert (await tried(url)).certificate.trusted_by == "well_known"


async def test_a_certificate_of_nobody_known_is_read_and_nothing_is_sent_to_whoever_has_it(authority):
    server = TlsServer(authority.issue_cert("127.0.0.1"))
    async with server.running() as url:
        way = await tried(url)
    assert (way.error.stage, way.error.code) == ("tls", "upstream_tls_failed")
    assert way.error.message.endswith(f"The certificate says that it was issued by {ACME}")
    assert "PEM" in way.error.remedy
    assert (way.certificate.issuer, way.certificate.trusted_by) == (ACME, None)
    assert server.received == b""


async def test_a_certificate_for_another_host_is_said_to_be_that(authority, ca_file):
    server = TlsServer(authority.issue_cert("other.test"))
    async with server.running() as url:
        way = await tried(url, tls={"ca_file": str(ca_file)})
    assert "is not for this host" in way.error.message
    assert (way.certificate.trusted_by, way.error.remedy) == (None, "")
    assert server.received == b""


async def test_the_certificate_of_a_proxy_is_read_without_showing_it_the_password(authority):
    server = TlsServer(authority.issue_cert("127.0.0.1"))
    async with server.running() as url:
        hop = url.replace("https://", f"https://u:{PASSWORD}@")
        way = await tried("https://api.test", proxy={"https_proxy": hop})
    assert (way.error.stage, way.error.code) == ("proxy_handshake", "proxy_tls_failed")
    assert "proxy.tls.ca_file" in way.error.message
    assert ACME in way.error.message
    assert way.certificate is None
    assert server.received == b""


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_that_speaks_no_tls_or_hangs_up_is_told_from_one_that_is_not_trusted(said):
    async def serve(reader, writer):
        await reader.read(1)
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        way = await tried(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (way.error.stage, way.error.code) == ("tls", "upstream_tls_failed")
    assert "firewall" in way.error.remedy
    assert way.certificate is None


# Words of strangers.


@pytest.fixture(scope="module")
def certificate():
    authority = trustme.CA(organization_name="Örg", organization_unit_name="unit")
    pem = authority.issue_cert("a.test").cert_chain_pems[0].bytes()
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def test_the_issuer_is_read_from_a_certificate(certificate):
    assert issuer(certificate) == "Örg"
    assert issuer(certificate[:60]) == issuer(b"") == ""


def test_the_issuers_of_all_well_known_authorities_are_read():
    roots = httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True)
    assert len(roots) > 100
    names = [issuer(root) for root in roots]
    assert all(names)
    assert all(len(name) <= 60 and name.isprintable() for name in names)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_issuers_raise(data):
    assert issuer(data).isprintable()


@given(st.data())
def test_no_damage_to_a_certificate_makes_it_raise(certificate, data):
    damaged = bytearray(certificate)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, 200))] = data.draw(st.integers(0, 255))
    shown = issuer(bytes(damaged))
    assert len(shown) <= 60 and shown.isprintable()


@given(st.binary(max_size=300), st.text(max_size=80))
def test_whatever_is_said_is_shown_on_one_line_and_short(body, text):
    shown = complaint(body, ["secret"])
    assert len(shown) <= MAX_COMPLAINT_CHARS and shown.isprintable()
    assert len(printable(text, 20)) <= 20


@given(st.text(max_size=40), st.text("abc-", min_size=1, max_size=40), st.text(max_size=40))
def test_a_secret_is_never_in_what_is_shown(before, secret, after):
    body = json.dumps({"error": {"message": before + secret + after}}).encode()
    assert secret not in complaint(body, [secret])


# Which providers; the process.


def test_those_in_use_are_checked_or_the_two_that_everybody_knows():
    assert make_check().providers(()) == ["openai", "anthropic"]
    check = make_check(environ={"XAI_API_KEY": "k"}, providers={"p": {"base_url": "http://p.test"}})
    assert check.providers(()) == ["p", "xai"]
    assert check.providers(("gemini", "p", "gemini")) == ["gemini", "p"]
    with pytest.raises(ConfigError, match="opnai: there is no such provider; did you mean openai"):
        check.providers(("opnai", "p"))


def test_every_mistake_of_the_configuration_is_named_once():
    with pytest.raises(ConfigError) as caught:
        make_check(
            proxy={"socks_proxy": f"socks5://u:{PASSWORD}@a:b"},
            tls={"ca_file": "/nowhere"},
            providers={"p": {"base_url": "https://p.test", "proxy": "direct"}},
            collector={"endpoint": "tcp://x"},
        )
    first, *others = str(caught.value).splitlines()
    assert first.startswith("collector.endpoint")
    assert sorted(line.partition(":")[0] for line in others) == ["proxy.socks_proxy", "tls.ca_file"]
    assert "CANARY" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"(?s)collector\.endpoint.*models\.m\.provider"):
        make_check(models={"m": {"provider": "x"}}, collector={"endpoint": "tcp://x"})


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ({"gateway": {"host": "0.0.0.0"}}, "gateway.host: whoever reaches 0.0.0.0 would use the key"),
        ({"collector": {"host": "0.0.0.0"}}, "collector.host: whoever reaches 0.0.0.0 could read"),
        (
            {
                "auth": {"keys": [{"name": "a", "key": "lk", "budgets": [{"usd": 1, "per": "day"}]}]},
                "logging": {"enabled": False},
            },
            "auth: the key a has a budget",
        ),
    ],
)
def test_what_no_service_starts_with_is_a_mistake(document, mistake):
    with pytest.raises(ConfigError, match=mistake):
        make_check(environ={"OPENAI_API_KEY": KEY}, **document)


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (None, "No such file"),
        ("", "keys: Field required"),
        ("keys: [", "line 1"),
        ("keys: [{name: a, key: CANARY, modles: [x]}]", "modles"),
        ("keys: [{name: a, key: CANARY}, {name: a, key: CANARY-2}]", "same name"),
        ("keys: [{name: a, key: CANARY, budgets: [{usd: 0, per: day}]}]", "budgets"),
        ("keys: [{name: a, key: CANARY, sensitive_data: {policy: hide}}]", "policy"),
    ],
)
def test_a_keys_file_is_read_as_the_gateway_reads_it(tmp_path, content, mistake):
    path = tmp_path / "keys.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        make_check(auth={"keys_file": str(path)}, tls={"ca_file": "/nowhere"})
    first, *_, last = str(caught.value).splitlines()
    assert first.startswith(f"{path}") and mistake in first
    assert last.startswith("tls.ca_file")
    assert "CANARY" not in str(caught.value)


def test_it_is_said_which_keys_are_for_nobody_and_for_no_model(tmp_path):
    path = tmp_path / "keys.yaml"
    names = ["fast", "fas", "gpt-4o*", "claude-*", "*", "*/fast", "openai/any", "opnai/*", "zzzzzzzz"]
    keys = [
        {"name": "a", "key": "lk-1", "models": names},
        {"name": "b", "key": "lk-2", "expires": "2020-01-01"},
        {"name": "c", "key": "lk-3", "expires": "2020-01-01", "models": ["zzz"], "enabled": False},
    ]
    path.write_text(json.dumps({"keys": keys}))
    document = {"models": {"fast": {"provider": "openai"}}, "auth": {"keys_file": str(path)}}
    check = make_check(**document)
    assert len(check.client_keys) == 3
    unknown = "is no alias here, no known provider's model and no provider/model"
    assert [(one.about, one.message, one.remedy) for one in check.remarks()] == [
        ("the client key a", f"models: 'fas' {unknown}", "did you mean fast?"),
        ("the client key a", f"models: 'opnai/*' {unknown}", "did you mean openai/*?"),
        (
            "the client key a",
            f"models: 'zzzzzzzz' {unknown}",
            "name it as clients do, or take it off the list",
        ),
        (
            "the client key b",
            "it expired at 2020-01-01T00:00:00Z: its calls are refused",
            "set another `expires`, or remove it",
        ),
    ]
    a_local_server = {"default_provider": "ollama"}  # may have a model of any name
    assert [one.about for one in make_check(**document, gateway=a_local_server).remarks()] == [
        "the client key b"
    ]


@pytest.fixture
def run(monkeypatch, capsys):
    def run(document, *arguments):
        monkeypatch.setattr(sys, "argv", ["check", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(document)))
        code = process.main()
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_the_process_says_whom_it_checks_and_then_what_it_finds(run):
    document = {"proxy": {"trust_env": False}, "providers": {"p": {"base_url": "http://127.0.0.1:9"}}}
    code, (first, report) = run(document, "--timeout-s", "5")
    assert (code, first) == (0, {"providers": ["p"], "client_keys": 0, "remarks": []})
    assert (report["provider"], report["ok"]) == ("p", False)
    (way,) = report["ways"]
    assert (way["route"], way["error"]["stage"], way["error"]["code"]) == (
        "direct",
        "connect",
        "upstream_unreachable",
    )
    assert report["key"] == {"source": None, "verdict": "none"}


def test_the_process_names_mistakes_and_ends_with_2(run):
    assert run({}, "nobody") == (2, [{"mistakes": ["nobody: there is no such provider"]}])
    code, (said,) = run({"proxi": 1})
    assert code == 2
    assert said["mistakes"][0].startswith("proxi: unknown section")

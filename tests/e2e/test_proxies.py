"""Every kind of proxy, as others wrote it, between the gateway and its upstream.

The answer is the upstream's, the row says which way it took and what each phase of it cost, and the proxy's
own log proves it. With a proxy that does not do its part, the error and the row name it, and nothing goes
past it.
"""

import anthropic
import httpx
import openai
import pytest
from e2e.processes import wait_for
from e2e.proxies import shown_credentials
from e2e.proxy_programs import running_proxies
from e2e.ways import MODES, SCHEMES, hello, running_stage

NAMES = (
    *("squid-http", "squid-password-http", "squid-https", "squid-password-https"),
    *("tinyproxy-password-http", "pproxy-password-https", "pproxy-socks4"),
    *("dante-socks4", "dante-socks5", "dante-socks5h", "dante-password-socks5", "dante-password-socks5h"),
    *("microsocks-socks5", "microsocks-socks5h"),
    *("microsocks-password-socks5", "microsocks-password-socks5h"),
)
MORTAL = ("squid-http", "squid-https", "dante-socks4", "dante-socks5", "dante-socks5h")  # one of each kind
BY_NAME = (
    *("squid-http.https", "squid-https.https", "pproxy-socks4.http"),
    *("microsocks-socks5.http", "microsocks-socks5h.http", "microsocks-socks5h.https"),
)
FAILING = {
    "squid-password-http.http.wrong-password": ("proxy_auth_failed", "proxy_error"),
    "squid-password-http.https.wrong-password": ("proxy_auth_failed", "proxy_error"),
    "squid-password-http.http.no-password": ("proxy_auth_failed", "proxy_error"),
    "squid-password-https.http.wrong-password": ("proxy_auth_failed", "proxy_error"),
    "squid-password-https.https.no-password": ("proxy_auth_failed", "proxy_error"),
    "tinyproxy-password-http.http.no-password": ("proxy_auth_failed", "proxy_error"),
    "tinyproxy-password-http.https.wrong-password": ("proxy_auth_failed", "proxy_error"),
    "dante-password-socks5.http.wrong-password": ("proxy_auth_failed", "proxy_error"),
    "dante-password-socks5h.https.no-password": ("proxy_auth_failed", "proxy_error"),
    "microsocks-password-socks5.http.wrong-password": ("proxy_auth_failed", "proxy_error"),
    "microsocks-password-socks5h.https.no-password": ("proxy_auth_failed", "proxy_error"),
    "squid-http.https.forbidden": ("proxy_refused_target", "proxy_error"),
    "squid-https.https.forbidden": ("proxy_refused_target", "proxy_error"),
    "dante-socks5.http.forbidden": ("proxy_refused_target", "proxy_error"),
    "dante-socks5h.https.forbidden": ("proxy_refused_target", "proxy_error"),
    "squid-https.http.unknown-proxy": ("proxy_tls_failed", "proxy_error"),
    "squid-https.https.closed": ("upstream_unreachable", "connect_error"),
    "squid-http.https.closed": ("upstream_unreachable", "connect_error"),
    "tinyproxy-password-http.https.closed": ("upstream_unreachable", "connect_error"),
    "dante-socks4.http.closed": ("upstream_unreachable", "connect_error"),
    "dante-socks5.http.closed": ("upstream_unreachable", "connect_error"),
    "microsocks-socks5h.https.closed": ("upstream_unreachable", "connect_error"),
    "squid-http.https.unknown-upstream": ("upstream_tls_failed", "connect_error"),
    "dante-socks5.https.unknown-upstream": ("upstream_tls_failed", "connect_error"),
}
ANSWERING = {"squid-http.http.forbidden": 403, "squid-https.http.closed": 503}
PHASES = ("dns_ms", "tcp_connect_ms", "proxy_handshake_ms", "tls_ms")


@pytest.fixture(scope="module")
def stage(proxies, tmp_path_factory):
    ways = [f"{name}.{scheme}.{mode}" for name in proxies for scheme in SCHEMES for mode in MODES]
    ways += [f"{way}.by-name" for way in BY_NAME]
    ways += [f"{name}.{scheme}.mortal" for name in MORTAL for scheme in SCHEMES]
    ways += [f"{name}.http.anthropic" for name in MORTAL]
    folder = tmp_path_factory.mktemp("proxies")
    with (
        running_proxies("squid", "dante") as mortal,
        running_stage(folder, [*ways, *FAILING, *ANSWERING], proxies, mortal) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def text(stage):
    """What the upstream says when nothing is between."""
    url = f"{stage.upstreams['http.plain'].url}/v1"
    with openai.OpenAI(base_url=url, api_key="sk-someone") as client:
        answer = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello"}]
        )
    return answer.choices[0].message.content


def phases(row):
    return {name for name in PHASES if row[name] is not None}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_call_takes_the_way_that_its_row_and_the_proxys_log_say(stage, text, name, scheme, mode):
    proxy, upstream = stage.proxies[name], stage.upstreams[f"{scheme}.{mode}"]
    host = "localhost" if mode == "stream" else "127.0.0.1"
    is_tunnel = proxy.is_tunnel(scheme)
    keeps_alive = is_tunnel or proxy.keeps_alive
    logged, (connections, requests) = proxy.log_size(), upstream.counts

    (first, new), (second, again) = (stage.ask(f"{name}.{scheme}.{mode}", mode) for _ in range(2))

    assert first == second == text
    for row in (new, again):
        assert row["route"] == f"{proxy.kind}://{host}:{proxy.port}"
        assert row["upstream_url"] == f"{upstream.url}/v1/chat/completions"
        assert (row["end_reason"], row["streaming"]) == ("complete", mode == "stream")
        assert not shown_credentials(str(row))
    assert (new["connection_reused"], again["connection_reused"]) == (False, keeps_alive)
    assert phases(new) == {
        "tcp_connect_ms",
        *(["dns_ms"] if host == "localhost" else []),
        *(["proxy_handshake_ms"] if is_tunnel or proxy.kind == "https" else []),
        *(["tls_ms"] if scheme == "https" else []),
    }
    assert phases(again) == (set() if keeps_alive else phases(new))

    upstream.hang_up()  # squid logs a tunnel when it ends
    expected = 1 if (is_tunnel and keeps_alive) or not proxy.logs_requests else 2
    where = {"host": "127.0.0.1", "port": upstream.port, "scheme": scheme, "since": logged}
    wait_for(lambda: proxy.count(**where) >= expected, f"{name} to log the calls")
    assert proxy.count(**where) == expected
    assert upstream.counts[1] - requests == 2
    assert upstream.counts[0] - connections == 1 or not is_tunnel


@pytest.mark.parametrize("way", BY_NAME)
def test_the_upstreams_name_is_resolved_by_the_proxy_or_else_by_the_gateway(stage, text, way):
    name, scheme = way.split(".")
    proxy, upstream = stage.proxies[name], stage.upstreams[f"{scheme}.plain"]
    is_remote = proxy.kind in {"http", "https", "socks5h"}
    logged = proxy.log_size()
    said, row = stage.ask(f"{way}.by-name")
    assert said == text
    assert (row["remote_dns"], row["dns_ms"] is None) == (is_remote, is_remote)
    upstream.hang_up()
    where = {"host": "localhost" if is_remote else "127.0.0.1", "port": upstream.port, "scheme": scheme}
    wait_for(lambda: proxy.count(**where, since=logged) == 1, f"{name} to log what it was asked for")


@pytest.mark.parametrize("way", FAILING)
def test_a_proxy_that_opens_no_way_is_named_and_nothing_goes_past_it(stage, way):
    code, end_reason = FAILING[way]
    proxy = stage.proxies[way.split(".")[0]]
    reached = [requests for _, requests in stage.reached]
    error, row = stage.refused(way)
    assert (error.status_code, error.code, row["end_reason"]) == (502, code, end_reason)
    assert row["route"] == proxy.route
    assert proxy.route in error.message
    assert row["server_wait_ms"] is None or ".http." in way
    assert [requests for _, requests in stage.reached] == reached


@pytest.mark.parametrize("way", ANSWERING)
def test_a_proxys_own_page_is_relayed_as_an_answer_that_failed(stage, way):
    with pytest.raises(openai.APIStatusError) as caught:
        hello(stage.client, way, "plain")
    response = caught.value.response
    row = stage.row(response.headers["x-lessllm-request-id"])
    assert response.status_code == row["status_code"] == ANSWERING[way]
    assert "proxy.test" in response.text  # squid's name for itself
    assert row["raw_response"] == response.text
    assert row["end_reason"] == "upstream_error"


@pytest.fixture(scope="module")
def killed(stage):
    """The mortal proxies, which carried calls, and then were killed."""
    for name in MORTAL:
        for scheme in SCHEMES:
            assert stage.ask(f"{name}.{scheme}.mortal")[1]["end_reason"] == "complete"
    for name in MORTAL:
        stage.mortal[name].program.kill()
    return stage.mortal


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", MORTAL)
def test_nothing_goes_direct_when_the_proxy_is_down(stage, killed, name, scheme, mode):
    reached = stage.reached
    error, row = stage.refused(f"{name}.{scheme}.mortal", mode)
    assert (error.status_code, error.code) == (502, "proxy_unreachable")
    assert (row["end_reason"], row["route"]) == ("proxy_error", killed[name].route)
    assert killed[name].route in error.message
    assert stage.reached == reached


@pytest.mark.parametrize("name", MORTAL)
def test_anthropics_sdk_is_told_so_in_its_own_format(stage, killed, name):
    url = f"{stage.services.gateway.url}/{name}.http.anthropic"
    with (
        anthropic.Anthropic(base_url=url, api_key="sk-ant-someone", max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(
            model="claude-opus-4-8", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["code"] == "proxy_unreachable"
    assert killed[name].route in caught.value.body["error"]["message"]


def test_no_credential_is_shown_anywhere(stage):
    """Whoever asks by which way: of all that the services print, answer and keep."""
    for name in NAMES:
        stage.ask(f"{name}.https.stream", "stream")
    for way in FAILING:
        stage.refused(way, "stream")
    services = stage.services
    seen = {
        **{path.name: path.read_text() for path in services.folder.glob("*.log")},
        **{
            f"{s.name}'s metrics": httpx.get(f"{s.url}/metrics").text
            for s in (services.gateway, services.collector)
        },
        "rows": str(services.rows("SELECT * FROM api_calls")),
    }
    assert all(seen.values())
    assert {what: shown for what, text in seen.items() if (shown := shown_credentials(text))} == {}

"""Which way a provider is reached."""

import pytest
from httpx_socks import AsyncProxyTransport
from lessllm_gateway.outbound import Outbound, proxy_for
from lessllm_gateway.upstreams import resolve
from lessllm_shared.config import ConfigError, GatewaySettings, load
from lessllm_shared.config.sections import Pool, Proxy

HTTPS, HTTP = "https://api.test/v1", "http://api.test/v1"


def chosen(url=HTTPS, environ=None, **fields):
    return proxy_for(Proxy(**fields), url, environ or {})


def test_socks_wins_over_http_and_https_has_a_proxy_of_its_own():
    proxies = {"http_proxy": "http://a:1", "https_proxy": "http://b:2"}
    assert (chosen(HTTP, **proxies), chosen(HTTPS, **proxies)) == ("http://a:1", "http://b:2")
    assert chosen(http_proxy="http://a:1") == "http://a:1"
    assert chosen(**proxies, socks_proxy="SOCKS5://c:3") == "socks5://c:3"


def test_user_and_password_are_put_where_the_url_has_none():
    auth = {"username": "a@b", "password": "p:/w"}
    assert chosen(http_proxy="http://a:1", auth=auth) == "http://a%40b:p%3A%2Fw@a:1"
    assert chosen(http_proxy="http://x:y@a:1", auth=auth) == "http://x:y@a:1"


@pytest.mark.parametrize(
    "no_proxy", [["api.test"], ["test"], [".test"], ["*.test"], ["*"], ["x", "api.test"]]
)
def test_what_is_excluded_goes_direct(no_proxy):
    assert chosen(http_proxy="http://a:1", no_proxy=no_proxy) is None
    assert chosen("http://apitest/v1", http_proxy="http://a:1", no_proxy=["api.test"]) is not None


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({"https_proxy": "http://p:1"}, HTTPS, "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, HTTPS, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, HTTP, None),
        ({"ALL_PROXY": "socks5h://p:1"}, HTTP, "socks5h://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a, api.test"}, HTTP, None),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:1/v1", None),
        ({"ALL_PROXY": " "}, HTTP, None),
    ],
)
def test_the_environment_decides_when_nothing_is_set(environ, url, expected):
    assert chosen(url, environ) == expected
    assert chosen(url, environ, trust_env=False) is None


@pytest.mark.parametrize("url", ["ftp://user:CANARY@p:1", "http://user:CANARY@", "http://user:CANARY@p:x"])
def test_an_environment_that_can_not_work_is_named_without_its_password(url):
    with pytest.raises(ConfigError) as caught:
        chosen(environ={"ALL_PROXY": url})
    assert str(caught.value).startswith("all_proxy:")
    assert "CANARY" not in str(caught.value)


def way(proxy, url=HTTPS):
    settings = load(GatewaySettings, {"providers": {"p": {"base_url": url}}, "proxy": proxy}, {})
    upstream = resolve(settings, {})["p"]
    return Outbound(Pool(), {}).way(upstream, upstream.base.origin)


async def test_a_route_is_shown_without_its_password():
    assert way({"socks_proxy": "socks5://u:CANARY@p:1"}).route == "socks5://p:1"
    assert way({"trust_env": False}).route == "direct"


@pytest.mark.parametrize(
    ("scheme", "kind", "names_go_to_the_proxy"),
    [
        ("socks", "SOCKS5", True),
        ("socks5", "SOCKS5", True),
        ("socks5h", "SOCKS5", True),
        ("socks4a", "SOCKS4", True),
        ("socks4", "SOCKS4", False),
    ],
)
async def test_every_kind_of_socks_that_can_be_configured_has_a_transport(
    scheme, kind, names_go_to_the_proxy
):
    transport = way({"socks_proxy": f"{scheme}://u%40:p@proxy.test"}).transport
    assert isinstance(transport, AsyncProxyTransport)
    pool = transport._pool
    assert (pool._proxy_type.name, pool._rdns) == (kind, names_go_to_the_proxy)
    assert (pool._proxy_port, pool._username) == (1080, "u@")


async def test_one_transport_serves_all_that_goes_the_same_way():
    settings = load(GatewaySettings, {"proxy": {"trust_env": False}}, {})
    outbound = Outbound(Pool(), {})
    ways = [outbound.way(u, u.base.origin) for u in resolve(settings, {}).values()]
    assert len({id(w.transport) for w in ways}) == 1

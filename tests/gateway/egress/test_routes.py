"""Which ways lead to an upstream, and in which order."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.egress.hops import Credentials, Origin, parse_origin
from lessllm_gateway.egress.routes import hops
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Proxy

HTTPS, HTTP = "https://api.test", "http://api.test"
CHAIN = ["socks5://a:1", "http://b:2", "https://c:3"]


def ways(url=HTTPS, environ=None, **fields):
    """As they are shown; direct is None."""
    found = hops(Proxy(**fields), parse_origin(url), environ or {})
    return [hop and str(hop) for hop in found]


def test_a_provider_without_a_proxy_is_reached_directly():
    assert hops(None, parse_origin(HTTPS), {"ALL_PROXY": "http://p:1"}) == (None,)
    assert ways() == [None]
    assert ways(fallback_direct=True) == [None]


def test_a_chain_is_tried_in_order_and_directly_only_if_told_so():
    assert ways(chain=CHAIN) == CHAIN
    assert ways(chain=CHAIN, fallback_direct=True) == [*CHAIN, None]
    assert ways(HTTP, chain=[*CHAIN, CHAIN[0]]) == CHAIN  # the same again is no other way


def test_socks_wins_over_http_and_https_has_a_proxy_of_its_own():
    proxies = {"http_proxy": "http://a:1", "https_proxy": "http://b:2"}
    assert ways(HTTP, **proxies) + ways(HTTPS, **proxies) == ["http://a:1", "http://b:2"]
    assert ways(HTTPS, http_proxy="http://a:1") == ["http://a:1"]
    assert ways(HTTP, **proxies, socks_proxy="SOCKS5://c:3") == ["socks5://c:3"]
    assert ways(http_proxy="http://a:1", fallback_direct=True) == ["http://a:1", None]


def test_user_and_password_are_put_where_the_url_has_none():
    auth = {"username": "a@b", "password": "p:/w"}
    found = hops(Proxy(chain=[*CHAIN[:2], "http://x:y@d"], auth=auth), parse_origin(HTTPS), {})
    assert [hop.credentials for hop in found] == [Credentials("a@b", "p:/w")] * 2 + [Credentials("x", "y")]
    from_environment = hops(Proxy(auth=auth), parse_origin(HTTPS), {"HTTPS_PROXY": "p:1"})
    assert from_environment[0].credentials == Credentials("a@b", "p:/w")


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({"https_proxy": "http://p:1"}, HTTPS, "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, HTTPS, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, HTTP, None),
        ({"http_proxy": "http://p:1", "HTTP_PROXY": "http://q:1"}, HTTP, "http://p:1"),
        ({"http_proxy": " ", "HTTP_PROXY": " http://q:1\n"}, HTTP, "http://q:1"),
        ({"ALL_PROXY": "socks5h://p:1"}, HTTP, "socks5h://p:1"),
        ({"ALL_PROXY": "socks5h://p:1", "https_proxy": "http://q:1"}, HTTPS, "http://q:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a, api.test"}, HTTP, None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "a api.test"}, HTTP, None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ","}, HTTP, "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "http://127.8.9.1:1", None),
        ({"ALL_PROXY": "http://p:1"}, "http://[::1]", None),
        ({"ALL_PROXY": "http://p:1"}, "http://llm.LocalHost", None),
        ({"ALL_PROXY": "http://p:1"}, "http://notlocalhost", "http://p:1"),
        ({"ALL_PROXY": " "}, HTTP, None),
    ],
)
def test_the_environment_decides_when_nothing_is_set(environ, url, expected):
    assert ways(url, environ) == [expected]
    assert ways(url, environ, trust_env=False) == [None]
    assert ways(url, environ, fallback_direct=True) == list(dict.fromkeys([expected, None]))
    assert ways(url, environ, chain=CHAIN) == CHAIN


def test_the_environment_does_not_count_where_anything_is_set():
    assert ways(HTTP, {"ALL_PROXY": "http://p:1"}, https_proxy="http://a:1") == [None]


def test_a_configured_proxy_serves_loopback_too_unless_excluded():
    assert ways("http://localhost:1", http_proxy="http://a:1") == ["http://a:1"]
    assert ways("http://localhost:1", http_proxy="http://a:1", no_proxy=["localhost"]) == [None]


EXCLUDING = [
    ("api.test", "api.test API.Test api.test. .api.test *.api.test test .test *.test * api.test:443 *:443"),
    ("api.test.", "api.test test"),
    ("10.1.2.3", "10.1.2.3 10.0.0.0/8 10.9.9.9/8 10.0.0.0/255.0.0.0 0.0.0.0/0 10.1.2.3:443 10.0.0.0/8:443 *"),
    (
        "[fd00::1]",
        "fd00::1 FD00::1 [fd00::1] [fd00::1]:443 fd00::/8 [fd00::]/8 [fd00::/8] fd00::7/8 fd00:0::1",
    ),
]
NOT_EXCLUDING = [
    ("api.test", "api tes est i.test xapi.test x.api.test api.test:80 *:80 [api.test]:80 10.0.0.0/8"),
    ("api.test", "https://api.test api.* 0.0.0.0/0 ::/0 10.0.0.0/99 *. . :443 []"),
    ("apitest", "test .test"),
    ("10.1.2.3", "10.1.2 10.1.2.4 .3 2.3 3 11.0.0.0/8 ::/0 10.0.0.0/99 10.1.2.3:80 10.*"),
    ("[fd00::1]", "fd00::2 fe00::/8 0.0.0.0/0 1 :1 [fd00::1]:80 fd00::1:443"),
]


def cases(table):
    return [(host, pattern) for host, patterns in table for pattern in patterns.split()]


@pytest.mark.parametrize(("host", "pattern"), cases(EXCLUDING))
def test_what_is_excluded_goes_direct(host, pattern):
    assert ways(f"https://{host}", chain=CHAIN, no_proxy=["x", f" {pattern} "]) == [None]
    assert ways(f"https://{host}", {"ALL_PROXY": "http://p:1", "NO_PROXY": f"x,{pattern}"}) == [None]


@pytest.mark.parametrize(("host", "pattern"), cases(NOT_EXCLUDING))
def test_what_is_not_excluded_goes_by_the_proxy(host, pattern):
    assert ways(f"https://{host}", chain=CHAIN, no_proxy=["x", pattern, ""]) == CHAIN


@given(
    st.ip_addresses(v=4).flatmap(lambda a: st.tuples(st.just(a), st.integers(0, 32), st.ip_addresses(v=4)))
    | st.ip_addresses(v=6).flatmap(
        lambda a: st.tuples(st.just(a), st.integers(0, 128), st.ip_addresses(v=6))
    ),
    st.booleans(),
)
def test_a_network_excludes_the_addresses_in_it_and_no_others(drawn, is_near):
    base, bits, other = drawn
    network = ipaddress.ip_network((base, bits), strict=False)
    # Two random addresses share few bits: the near one differs from the base only in the last ones.
    address = type(base)(int(base) ^ (int(other) & 0xFF)) if is_near else other
    found = hops(Proxy(chain=CHAIN, no_proxy=[f"{base}/{bits}"]), Origin(True, str(address), 443), {})
    assert (found == (None,)) == (address in network)


@given(st.text(max_size=40), st.sampled_from(["api.test", "10.1.2.3", "fd00::1", "fe80::1%eth0"]))
def test_any_text_is_a_pattern(pattern, host):
    assert hops(Proxy(chain=CHAIN, no_proxy=[pattern]), Origin(True, host, 443), {})


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"chain": ["http://a:1", "socks5://u:CANARY@b:x"]}, "proxy.chain[1]"),
        ({"socks_proxy": "socks5://:CANARY@a"}, "proxy.socks_proxy"),
        ({"https_proxy": "http://u:CANARY@a/x"}, "proxy.https_proxy"),
        ({"http_proxy": "http://u:CANARY@a:0"}, "proxy.http_proxy"),
        ({"http_proxy": "http://a", "auth": {"username": "a:b", "password": "CANARY"}}, "proxy.http_proxy"),
    ],
)
def test_a_proxy_that_can_not_be_one_is_named_by_its_key_without_its_password(fields, key):
    with pytest.raises(ConfigError) as caught:
        ways(**fields)
    assert str(caught.value).startswith(f"{key}: ")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://u:CANARY@p:1", "http://u:CANARY@", "u:CANARY@p:x", "http://u:CANARY"])
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_an_environment_that_can_not_work_is_named_without_its_password(variable, url):
    with pytest.raises(ConfigError) as caught:
        ways(environ={variable: url})
    assert str(caught.value).startswith(f"{variable}: ")
    assert "CANARY" not in str(caught.value)

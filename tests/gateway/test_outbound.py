"""Which ways lead to a provider, and what is shared between them. Routes have tests of their own."""

import pytest
from lessllm_gateway.egress.http2 import Http2Transport
from lessllm_gateway.egress.transport import Transport
from lessllm_gateway.outbound import Outbound
from lessllm_gateway.upstreams import resolve
from lessllm_shared.config import ConfigError, GatewaySettings, load

HTTPS, HTTP = "https://api.test/v1", "http://api.test/v1"


class World:
    """An Outbound over some configuration."""

    def __init__(self, **document):
        self.settings = load(GatewaySettings, document, {})
        self.outbound = Outbound(self.settings, {})
        self.upstreams = resolve(self.settings, {})

    def ways(self, name):
        upstream = self.upstreams[name]
        return self.outbound.ways(upstream, upstream.base.origin)


def ways(proxy, url=HTTPS, **provider):
    return World(providers={"p": {"base_url": url, **provider}}, proxy=proxy).ways("p")


def test_a_route_is_shown_without_its_password():
    (way,) = ways({"socks_proxy": "socks5://u:CANARY@p:1"})
    assert way.route == "socks5://p:1"
    assert "CANARY" not in repr(way)
    assert [way.route for way in ways({"trust_env": False})] == ["direct"]


def test_a_chain_is_one_way_after_the_other_and_direct_only_if_told_so():
    chain = {"chain": ["socks5://a:1", "http://b"]}
    assert [way.route for way in ways(chain)] == ["socks5://a:1", "http://b:80"]
    assert [way.route for way in ways({**chain, "fallback_direct": True})][2:] == ["direct"]


def test_all_that_goes_through_a_proxy_shares_what_is_known_of_its_health():
    world = World(proxy={"http_proxy": "http://p:1"})
    (openai,), (anthropic,) = world.ways("openai"), world.ways("anthropic")
    assert openai.health is anthropic.health
    assert openai.transport is not anthropic.transport
    assert World(proxy={"trust_env": False}).ways("openai")[0].health is None


def test_the_ways_of_a_provider_are_made_once():
    world = World(proxy={"trust_env": False})
    assert world.ways("openai") is world.ways("openai")


def test_plain_requests_by_an_http_proxy_share_connections_whatever_their_origin():
    providers = {"a": {"base_url": "http://a.test"}, "b": {"base_url": "http://b.test"}}
    world = World(proxy={"http_proxy": "http://p:1"}, providers=providers)
    assert world.ways("a")[0].transport is world.ways("b")[0].transport


@pytest.mark.parametrize(("url", "kind"), [(HTTPS, Http2Transport), (HTTP, Transport)])
async def test_http2_is_for_providers_that_want_it_and_needs_tls(url, kind):
    (way,) = ways({"trust_env": False}, url, http2=True)
    assert type(way.transport) is kind
    assert type(ways({"trust_env": False}, url)[0].transport) is Transport


def test_certificates_that_can_not_be_loaded_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"tls\.ca_file: .*none\.pem"):
        ways({"trust_env": False}, tls={"ca_file": str(tmp_path / "none.pem")})


async def test_a_way_s_request_carries_its_limits_and_the_path_as_it_came():
    (way,) = ways({"trust_env": False})
    limits = World().settings.timeouts
    exchange = object()
    request = way.request("POST", "/a%2Fb?q=\xe9", [(b"host", b"x")], b"{}", limits, exchange)
    assert request.extensions["target"] == b"/a%2Fb?q=\xe9"
    assert request.extensions["timeout"] == {"pool": 10, "read": 300}
    assert request.extensions["exchange"] is exchange

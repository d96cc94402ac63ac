"""What a proxy's URL says, and what is refused, without a word of it being shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.egress.hops import Credentials, Hop, Kind, Origin, parse_hop, parse_origin

SOME = "CANARY"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://p.test", "http://p.test:80"),
        ("HTTPS://P.test/", "https://p.test:443"),
        ("socks://p", "socks5://p:1080"),
        ("socks4a://p:1", "socks4a://p:1"),
        ("socks5h://u:CANARY@[::1]:9", "socks5h://[::1]:9"),
    ],
)
def test_a_hop_is_shown_with_its_port_and_without_its_credentials(url, shown):
    assert str(parse_hop(url)) == shown
    assert SOME not in repr(parse_hop(url))


def test_credentials_are_unquoted_and_those_of_the_url_win():
    others = Credentials("x", "y")
    assert parse_hop("http://a%40b:p%3A%2Fw@p", others).credentials == Credentials("a@b", "p:/w")
    assert parse_hop("http://:token@p", others).credentials == Credentials("", "token")
    assert parse_hop("http://a@p", others).credentials == Credentials("a", "")
    for none in ("http://p", "http://:@p", "http://@p"):  # with ${USER:-}:${PASSWORD:-}@, say
        assert parse_hop(none, others).credentials == others
        assert parse_hop(none).credentials is None


@pytest.mark.parametrize(
    ("kind", "resolves_names", "speaks_http"),
    [
        (Kind.HTTP, True, True),
        (Kind.HTTPS, True, True),
        (Kind.SOCKS4, False, False),
        (Kind.SOCKS4A, True, False),
        (Kind.SOCKS5, False, False),
        (Kind.SOCKS5H, True, False),
    ],
)
def test_a_kind_of_proxy_says_who_resolves_names_and_whether_requests_are_forwarded(
    kind, resolves_names, speaks_http
):
    hop = parse_hop(f"{kind}://p")
    assert (hop.kind, hop.resolves_names, hop.speaks_http) == (kind, resolves_names, speaks_http)


def test_hops_with_other_credentials_are_other_hops():
    assert parse_hop("http://a:b@p") == parse_hop("http://a:b@p")
    assert parse_hop("http://a:b@p") != parse_hop("http://a:c@p")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("p:1", "scheme://"),
        ("ftp://u:CANARY@p:1", "scheme://"),
        ("http://u:CANARY@", "no host"),
        ("http://u:CANARY@p:0", "no port"),
        ("http://u:CANARY@p:x", "port"),
        ("http://u:CANARY@[p", "address"),
        ("http://u:CAN/ARY@p:1", "address or port"),
        ("http://u:1#CANARY@p:1", "%23"),
        ("http://u:CANARY@p:1/path", "more than"),
        ("http://u:CANARY\n@p:1", "%0A"),
        ("http://u:CANARY\udcff@p:1", "must be quoted"),
        ("http://a%3Ab:CANARY@p", "colon"),
        ("http://a:CANARY%0D%0AX:@p", "control character"),
        ("https://a%7F:CANARY@p", "control character"),
        ("socks5://:CANARY@p", "empty"),
        (f"socks5://{'ü' * 128}:CANARY@p", "255 bytes"),
        (f"socks5h://u:{'x' * 256}CANARY@p", "255 bytes"),
        ("socks4://u%00CANARY@p", "NUL"),
    ],
)
def test_what_can_not_be_a_proxy_is_refused_without_being_shown(url, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        parse_hop(url)
    assert SOME not in str(caught.value)
    assert caught.value.__cause__ is None


def test_credentials_that_are_not_text_are_refused_without_being_shown():
    with pytest.raises(ValueError, match="UTF-8") as caught:
        parse_hop("http://p", Credentials("u", "\udcff"))
    assert "udcff" not in str(caught.value)


def test_a_password_is_no_mistake_where_the_protocol_has_none():
    assert parse_hop("socks4://u:CANARY@p") == Hop(Kind.SOCKS4, "p", 1080, Credentials("u", SOME))
    assert parse_hop(f"socks5://{'u' * 255}:@p").credentials.password == ""


def test_the_user_of_an_http_proxy_becomes_a_header():
    assert Credentials("ü", "p:w").basic == b"Basic w7w6cDp3"


@given(st.text(), st.sampled_from(["", *(f"{kind}://" for kind in Kind)]))
def test_any_text_is_a_hop_or_refused(text, scheme):
    try:
        said = str(parse_hop(f"{scheme}u:CANARY@{text}"))
    except ValueError as error:
        said = str(error)
    assert said
    assert SOME not in said


def test_an_origin_has_the_port_of_its_scheme():
    assert parse_origin("https://api.test") == Origin(is_tls=True, host="api.test", port=443)
    assert parse_origin("http://[::1]:8000") == Origin(is_tls=False, host="::1", port=8000)
    assert str(parse_origin("http://[::1]")) == "[::1]:80"

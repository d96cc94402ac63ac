"""The ways to an upstream, in the order in which they are tried: configuration and environment → hops. Pure.

`no_proxy` follows curl, which Go and requests follow but for details: names with all that is below them
(`.x` and `*.x` are as `x`), addresses, networks, each with `:port` or without, `*` for everything. Names are
not resolved for it, so networks are for upstreams that are configured by address.

An error names the key or variable at fault and never shows a URL, which may hold a password.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping

from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Proxy, ProxyAuth

from lessllm_gateway.egress.hops import Credentials, Hop, Origin, parse_hop

Urls = dict[str, str]  # by the key or variable that holds it


def hops(proxy: Proxy | None, origin: Origin, environ: Mapping[str, str]) -> tuple[Hop | None, ...]:
    """The proxies to try, each once; None is direct. Raises ConfigError for what can't be one."""
    if proxy is None or _is_excluded(origin, proxy.no_proxy):
        return (None,)
    names_none = not (proxy.chain or proxy.socks_proxy or proxy.https_proxy or proxy.http_proxy)
    if names_none and proxy.trust_env:
        urls = _from_environment(origin, environ)
    else:
        urls = _from_configuration(proxy, origin)
    found = dict.fromkeys(_hop(key, url, proxy.auth) for key, url in urls.items())
    direct = (None,) if proxy.fallback_direct or not found else ()
    return (*found, *direct)


def _from_configuration(proxy: Proxy, origin: Origin) -> Urls:
    for_origin = ("https_proxy", "http_proxy") if origin.is_tls else ("http_proxy",)
    if proxy.chain:
        return {f"proxy.chain[{i}]": url.get_secret_value() for i, url in enumerate(proxy.chain)}
    for name in ("socks_proxy", *for_origin):
        if url := getattr(proxy, name):
            return {f"proxy.{name}": url.get_secret_value()}
    return {}


def _from_environment(origin: Origin, environ: Mapping[str, str]) -> Urls:
    def variable(name: str) -> tuple[str, str]:
        lower, upper = environ.get(name, "").strip(), environ.get(name.upper(), "").strip()
        return (name, lower) if lower else (name.upper(), upper)

    excluded = re.split(r"[\s,]+", variable("no_proxy")[1])
    if _is_loopback(origin.host) or _is_excluded(origin, excluded):
        return {}
    for name in ("https_proxy" if origin.is_tls else "http_proxy", "all_proxy"):
        key, url = variable(name)
        if url:
            return {key: url if "://" in url else f"http://{url}"}
    return {}


def _hop(key: str, url: str, auth: ProxyAuth | None) -> Hop:
    user = Credentials(auth.username, auth.password.get_secret_value()) if auth else None
    try:
        return parse_hop(url.strip(), user)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return _below(host, "localhost") if address is None else address.is_loopback


def _is_excluded(origin: Origin, patterns: Iterable[str]) -> bool:
    return any(_matches(origin, pattern.strip()) for pattern in patterns)


def _matches(origin: Origin, pattern: str) -> bool:
    wanted, port = _split(pattern)
    if port not in {"", str(origin.port)}:
        return False
    if wanted == "*":
        return True
    address = _address(origin.host)
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return address is None and _below(origin.host, wanted.removeprefix("*"))
    return address is not None and address in network


def _split(pattern: str) -> tuple[str, str]:
    """Host and port, which may be empty. An IPv6 address needs brackets for a port; they are dropped."""
    host, colon, port = pattern.rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.endswith("]")):
        host, port = pattern, ""
    return re.sub(r"[\[\]]", "", host), port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _below(host: str, name: str) -> bool:
    """Whether a host is the name, or one of those below it."""
    host, name = host.lower().rstrip("."), name.lower().strip(".")
    return name != "" and (host == name or host.endswith(f".{name}"))

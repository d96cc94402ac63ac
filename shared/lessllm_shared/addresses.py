"""Which addresses stay on this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other. A name that may be looked up is not, but for localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

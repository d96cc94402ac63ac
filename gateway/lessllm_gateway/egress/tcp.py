"""From a name and a port to a socket: resolution, and RFC 8305's happy eyeballs."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

import aiohappyeyeballs

Address = aiohappyeyeballs.AddrInfoType  # as getaddrinfo gives it
Resolve = Callable[[str, int], Awaitable[list[Address]]]

_NEXT_ADDRESS_S = 0.25  # RFC 8305's Connection Attempt Delay


def literal(host: str, port: int) -> list[Address] | None:
    """The address that `host` is; None for a name, which must be resolved."""
    try:
        is_v4 = ipaddress.ip_address(host).version == 4
    except ValueError:
        return None
    if is_v4:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0))]


async def resolve(host: str, port: int) -> list[Address]:
    """The system's addresses for a name, best first. Raises OSError; socket.gaierror for an unknown name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(found)


async def connect(addresses: list[Address]) -> socket.socket:
    """A connected socket, of whichever address answers first. Raises OSError."""
    connected = await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S if len(addresses) > 1 else None
    )
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected

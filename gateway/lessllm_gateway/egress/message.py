"""What crosses the egress's border: a request that is whole, and an answer whose body is still to come."""

from dataclasses import dataclass
from typing import Protocol

from lessllm_gateway.credentials import RawHeaders
from lessllm_gateway.egress.exchange import Exchange


@dataclass(slots=True)
class Request:
    """Leaves byte for byte. Host and Content-Length must be among the headers."""

    method: str
    origin: str  # the upstream's scheme and authority
    target: bytes  # the raw path and query
    headers: RawHeaders
    body: bytes
    exchange: Exchange  # where its phases are noted
    pool_s: float  # to wait for a connection
    first_byte_s: float  # to be sent, and again for the answer's head


class Response(Protocol):
    """An answer, of which the head has come."""

    status: int
    headers: RawHeaders

    @property
    def is_read(self) -> bool:
        """Whether it is known that nothing more comes."""
        ...

    async def read(self, idle_s: float) -> bytes:
        """The body's next piece, one for each network read; empty at its end.

        Raises TimeoutError if nothing comes for so long, and httpx's TransportErrors.
        """
        ...

    async def aclose(self) -> None:
        """It is read no further. Any number of times."""
        ...


class Transport(Protocol):
    """Asks at one place."""

    async def ask(self, request: Request) -> Response:
        """Raises httpx's TransportErrors, of which DialError and PoolFull are some."""
        ...

    async def aclose(self) -> None:
        """Close what is its own."""
        ...

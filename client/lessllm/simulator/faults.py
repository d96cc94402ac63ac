"""What goes wrong on purpose: the request header `x-simulate`, and how a connection is broken.

    x-simulate: status=529               the provider's documented error of that status
    x-simulate: html                     a gateway's HTML page, 502 unless `status` says otherwise
    x-simulate: invalid_json             200, and JSON that ends too early (in a stream: one event)
    x-simulate: half_stream              half of the answer, then the connection closes
    x-simulate: error_in_stream          half of the stream, then the documented error event
    x-simulate: reset                    the connection is reset before any answer
    x-simulate: slow_first_byte=2.5      so many seconds before anything is sent, whatever the time scale
    x-simulate: tokens=200, refusal      how long the answer is; that the model refuses

Several are separated by commas. No provider has this header: an unknown word in it is an error 400.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lessllm.simulator.provider import ApiError

HEADER = "x-simulate"


@dataclass(frozen=True)
class Faults:
    """The header, read."""

    status: int | None = None
    slow_first_byte: float = 0.0
    tokens: int | None = None
    html: bool = False
    invalid_json: bool = False
    half_stream: bool = False
    error_in_stream: bool = False
    reset: bool = False
    refusal: bool = False


def read_faults(header: str) -> Faults:
    """Raises ApiError."""
    wanted: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = item.partition("=")
        read = _VALUES.get(name)
        if read is None:
            raise ApiError(400, f"{HEADER}: unknown word {name!r}")
        try:
            wanted[name] = read(value)
        except ValueError:
            raise ApiError(400, f"{HEADER}: can't read {item!r}") from None
    return Faults(**wanted)


async def hang_up(send: Any, *, reset: bool) -> None:
    """Close the connection in the middle of a call, or reset it. Waits to be cancelled, as it then is.

    ASGI has no word for either: uvicorn's `send` is a method of the object that holds the transport.
    """
    transport: Any = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the connection was to be broken, but the server is not uvicorn")
    if reset:
        linger = struct.pack("ii", 1, 0)  # on, for 0 s: closing sends RST
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()
    await asyncio.Event().wait()


def _status(value: str) -> int:
    status = int(value)
    if not 400 <= status <= 599:
        raise ValueError
    return status


def _flag(value: str) -> bool:
    if value:
        raise ValueError
    return True


_VALUES: dict[str, Callable[[str], Any]] = {
    "status": _status,
    "slow_first_byte": float,
    "tokens": int,
    "html": _flag,
    "invalid_json": _flag,
    "half_stream": _flag,
    "error_in_stream": _flag,
    "reset": _flag,
    "refusal": _flag,
}

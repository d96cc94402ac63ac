"""The asyncio protocol of a connection that is not the upstream's yet: it carries a handshake's bytes."""

import asyncio

from lessllm_gateway.egress.handshake import Handshake, Refused, Step, Until

_MAX_HELD_BYTES = 128 * 1024  # more than any handshake's answer


class Talk(asyncio.Protocol):
    """Reads and writes for a handshake over a transport."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._ended = False
        self._woken: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Keep it until the handshake asks."""
        self._held += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever the reason, the handshake ends here."""
        del exc
        self._ended = True
        self._wake()

    async def run(self, transport: asyncio.WriteTransport, handshake: Handshake) -> None:
        """Carry out a handshake. Raises Refused."""
        try:
            step = next(handshake)
            while True:
                if isinstance(step, bytes):
                    transport.write(step)
                    step = next(handshake)
                else:
                    step = handshake.send(await self._read(step))
        except StopIteration:
            if self._held:
                text = "it went on talking when the way was open"
                raise Refused("proxy_protocol_error", text) from None

    async def _read(self, step: Step) -> bytes:
        while (size := self._size(step)) is None:
            if self._ended:
                raise Refused("proxy_protocol_error", "it closed the connection")
            if len(self._held) > _MAX_HELD_BYTES:
                raise Refused("proxy_protocol_error", "its answer does not end")
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _size(self, step: Step) -> int | None:
        """How many of the held bytes are what the step wants; None: not all of it is there."""
        assert not isinstance(step, bytes)  # noqa: S101 - `run` has sent it
        if not isinstance(step, Until):
            return step.size if len(self._held) >= step.size else None
        end = self._held.find(step.delimiter, 0, step.limit_bytes)
        if end < 0 and len(self._held) >= step.limit_bytes:
            raise Refused("proxy_protocol_error", "its answer does not end")
        return None if end < 0 else end + len(step.delimiter)

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

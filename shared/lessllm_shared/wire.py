"""The wire between gateway (DEALER) and collector (ROUTER): frames, sequence numbers, acknowledgements.

A frame is one ZeroMQ message: a version byte, then msgpack. Records travel already encoded, so that
one that can't be read never hides its neighbours. A gateway process numbers its records 1, 2, 3 …
under a random id; the collector takes a frame only if it continues what is committed, and answers
with the highest committed number (`Ack`) or with the number it wants next (`Expect`), to which the
gateway goes back. Numbers that are gone for good are declared by `Lost`. Who goes on with what a killed
process left behind asks first (`Ask`); so does who wants to know what client keys have spent. Fields are only
ever added, each with a default that is not sent: an older side skips what it does not know.
"""

from typing import Annotated, TypeVar

import msgspec

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 256 * 1024 * 1024  # a single record may hold two bodies at the 50 MB default cap
VERSION_ALONE = bytes([PROTOCOL_VERSION])  # for one who speaks another: it can't be read, but for the version

GatewayId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Sequence = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Records(msgspec.Struct, tag="records", omit_defaults=True):
    """Records first_seq, first_seq + 1, … of one gateway process, oldest first."""

    gateway_id: GatewayId
    first_seq: Sequence
    records: Annotated[list[bytes], msgspec.Meta(min_length=1)]


class Lost(msgspec.Struct, tag="lost"):
    """first_seq … last_seq will never come: memory was full, or the database that had them is gone."""

    gateway_id: GatewayId
    first_seq: Sequence
    last_seq: Sequence

    def __post_init__(self) -> None:
        if self.last_seq < self.first_seq:
            raise ValueError("last_seq is before first_seq")


class Ask(msgspec.Struct, tag="ask", omit_defaults=True):
    """How far is the collector with this gateway process? It says Expect, once nothing is under way.

    `keys`: what have these client keys spent? It says Ack, at once.
    """

    gateway_id: GatewayId
    keys: list[str] | None = None


class Spent(msgspec.Struct, array_like=True, frozen=True):
    """What a client key's calls of one UTC day (2026-11-26) or month (2026-11) have cost, as committed."""

    key: str
    period: str
    calls: int = 0  # with tokens or a cost
    usd: float = 0.0
    tokens: int = 0
    unpriced_calls: int = 0  # of the calls, those that are not in `usd`


class Ack(msgspec.Struct, tag="ack", omit_defaults=True):
    """All records up to and including `committed` are in the database, and what they cost is in `spent`."""

    gateway_id: GatewayId
    committed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    spent: list[Spent] | None = None  # this day's and this month's, if it was asked for


class Expect(msgspec.Struct, tag="expect"):
    """The frame did not continue what the collector has: send again from `next_seq`."""

    gateway_id: GatewayId
    next_seq: Sequence


ToCollector = Records | Lost | Ask
ToGateway = Ack | Expect


class WrongVersionError(ValueError):
    """The frame is of another protocol version: it is to be kept, not understood."""

    def __init__(self, version: int) -> None:
        super().__init__(f"frame has protocol version {version}, this side speaks {PROTOCOL_VERSION}")
        self.version = version


_encoder = msgspec.msgpack.Encoder()
_to_collector: msgspec.msgpack.Decoder[ToCollector] = msgspec.msgpack.Decoder(ToCollector)
_to_gateway: msgspec.msgpack.Decoder[ToGateway] = msgspec.msgpack.Decoder(ToGateway)


def pack(message: ToCollector | ToGateway) -> bytes:
    """A message as one frame."""
    return bytes([PROTOCOL_VERSION]) + _encoder.encode(message)


def unpack_to_collector(frame: bytes) -> ToCollector:
    """Raises WrongVersionError, or msgspec.DecodeError (both ValueErrors), never anything else."""
    return _unpack(frame, _to_collector)


def unpack_to_gateway(frame: bytes) -> ToGateway:
    """Raises as `unpack_to_collector`."""
    return _unpack(frame, _to_gateway)


Message = TypeVar("Message")


def _unpack(frame: bytes, decoder: msgspec.msgpack.Decoder[Message]) -> Message:
    if not frame:
        raise msgspec.DecodeError("empty frame")
    if frame[0] != PROTOCOL_VERSION:
        raise WrongVersionError(frame[0])
    try:
        return decoder.decode(memoryview(frame)[1:])
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None

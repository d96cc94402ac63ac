"""A handshake over a transport: answers in any pieces, ends at any byte, floods; it never hangs."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_gateway.egress.handshake import Exactly, Refused, Until, handshake
from lessllm_gateway.egress.hops import Credentials, Hop, Kind
from lessllm_gateway.egress.talk import Talk

AUTH = Credentials("alice", "s3cret")
ADDRESS = "192.0.2.7"
OK = {
    Kind.HTTP: b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    Kind.SOCKS4: bytes((0, 90)) + bytes(6),
    Kind.SOCKS5: b"\5\2\1\0\5\0\0\3\x04test\0\1",
}
KINDS = pytest.mark.parametrize("kind", list(OK))


class Said(asyncio.WriteTransport):
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data) -> None:
        self.data += data


def steps(kind):
    return handshake(Hop(kind, "proxy.test", 1, AUTH), ADDRESS, 443)


async def talked(steps, parts, *, ends: bool = True) -> bytes:
    """What was said. Raises Refused, and TimeoutError for a handshake that waits for more."""
    talk, said = Talk(), Said()
    task = asyncio.ensure_future(talk.run(said, steps))
    for part in parts:
        await asyncio.sleep(0)
        talk.data_received(part)
    if ends:
        await asyncio.sleep(0)
        talk.connection_lost(None)
    async with asyncio.timeout(0.05):
        await task
    return said.data


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@KINDS
@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_an_answer_in_any_pieces_opens_the_way(kind, size):
    assert await talked(steps(kind), cut(OK[kind], size), ends=False)


@KINDS
async def test_an_end_at_any_byte_is_a_refusal_and_without_it_more_is_waited_for(kind):
    for size in range(len(OK[kind])):
        with pytest.raises(Refused, match="closed the connection") as refused:
            await talked(steps(kind), [OK[kind][:size]])
        assert refused.value.code == "proxy_protocol_error"
    with pytest.raises(TimeoutError):
        await talked(steps(kind), [OK[kind][:-1]], ends=False)


@KINDS
@pytest.mark.parametrize("together", [True, False])
async def test_what_follows_the_answer_before_the_way_is_used_is_a_refusal(kind, together):
    parts = [OK[kind] + b"x"] if together else [OK[kind][:-1], OK[kind][-1:] + b"x"]
    with pytest.raises(Refused, match="went on talking"):
        await talked(steps(kind), parts, ends=False)


def reading(step):
    """A handshake of one step."""
    yield step


@pytest.mark.parametrize("step", [Until(b"\r\n\r\n", 1000), Until(b"\r\n\r\n", 10**9), Exactly(10**9)])
async def test_an_answer_that_does_not_end_is_a_refusal_before_it_takes_much_memory(step):
    with pytest.raises(Refused, match="does not end"):
        await talked(reading(step), [b"x" * 4096] * 33, ends=False)


async def test_a_delimiter_counts_only_within_the_limit():
    await talked(reading(Until(b"\r\n", 10)), [b"x" * 8 + b"\r\n"], ends=False)
    with pytest.raises(Refused, match="does not end"):
        await talked(reading(Until(b"\r\n", 10)), [b"x" * 9 + b"\r\n"], ends=False)


async def test_who_stops_waiting_hears_nothing_of_what_comes_after():
    talk = Talk()
    task = asyncio.ensure_future(talk.run(Said(), steps(Kind.SOCKS5)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    talk.data_received(b"\5\0")
    talk.connection_lost(None)
    assert task.cancelled()


@given(st.sampled_from(list(OK)), st.lists(st.binary(max_size=9), max_size=9), st.integers(0, 40))
def test_any_bytes_in_any_pieces_are_an_open_way_or_a_refusal(kind, parts, good):
    with contextlib.suppress(Refused):
        asyncio.run(talked(steps(kind), [OK[kind][:good], *parts]))

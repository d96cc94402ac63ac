"""The frames between gateway and collector: pinned bytes, and no frame can do more than fail to be read."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared import wire

TO_COLLECTOR = [
    (
        wire.Records("g1", 7, [b"one", b"\xff\x00"]),
        "0184a474797065a77265636f726473aa676174657761795f6964a26731a966697273745f73657107a77265636f72647392c4036f6e65c402ff00",
    ),
    (wire.Ask("g1"), "0182a474797065a361736baa676174657761795f6964a26731"),
    (wire.Ask("g1", ["a"]), "0183a474797065a361736baa676174657761795f6964a26731a46b65797391a161"),
    (
        wire.Lost("g1", 3, 300),
        "0184a474797065a46c6f7374aa676174657761795f6964a26731a966697273745f73657103a86c6173745f736571cd012c",
    ),
]
TO_GATEWAY = [
    (
        wire.Ack("g1", 70000),
        "0183a474797065a361636baa676174657761795f6964a26731a9636f6d6d6974746564ce00011170",
    ),
    (
        wire.Ack("g1", 1, [wire.Spent("a", "2026-11", 3, 0.5, 40, 1)]),
        "0184a474797065a361636baa676174657761795f6964a26731a9636f6d6d697474656401a57370656e749196a161a7323032362d313103cb3fe00000000000002801",
    ),
    (wire.Expect("g1", 5), "0183a474797065a6657870656374aa676174657761795f6964a26731a86e6578745f73657105"),
]
NUMBERS = st.integers(1, 2**63 - 1)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
FRAMES = st.one_of(
    st.builds(wire.Records, IDS, NUMBERS, st.lists(st.binary(max_size=20), min_size=1, max_size=5)),
    st.tuples(IDS, NUMBERS, NUMBERS).map(lambda drawn: wire.Lost(drawn[0], *sorted(drawn[1:]))),
)


@pytest.mark.parametrize(("message", "golden"), TO_COLLECTOR)
def test_the_bytes_of_a_frame_to_the_collector_are_pinned(message: wire.ToCollector, golden: str) -> None:
    assert wire.pack(message).hex() == golden
    assert wire.unpack_to_collector(bytes.fromhex(golden)) == message


@pytest.mark.parametrize(("message", "golden"), TO_GATEWAY)
def test_the_bytes_of_a_frame_to_the_gateway_are_pinned(message: wire.ToGateway, golden: str) -> None:
    assert wire.pack(message).hex() == golden
    assert wire.unpack_to_gateway(bytes.fromhex(golden)) == message


@given(FRAMES)
def test_a_frame_survives_the_round_trip(message: wire.ToCollector) -> None:
    assert wire.unpack_to_collector(wire.pack(message)) == message


def test_fields_of_a_newer_version_are_skipped() -> None:
    newer = msgspec.msgpack.encode({"type": "lost", "gateway_id": "g", "first_seq": 1, "last_seq": 2, "x": 4})
    assert wire.unpack_to_collector(b"\x01" + newer) == wire.Lost("g", 1, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "records", "gateway_id": "g", "first_seq": 1, "records": []},
        {"type": "records", "gateway_id": "g", "first_seq": 0, "records": [b""]},
        {"type": "records", "gateway_id": "", "first_seq": 1, "records": [b""]},
        {"type": "records", "gateway_id": "g" * 65, "first_seq": 1, "records": [b""]},
        {"type": "records", "gateway_id": "g", "first_seq": 2**63, "records": [b""]},
        {"type": "lost", "gateway_id": "g", "first_seq": 2, "last_seq": 1},
        {"type": "lost", "gateway_id": "g", "first_seq": -1, "last_seq": 1},
    ],
)
def test_numbers_that_can_not_be_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.unpack_to_collector(wire.VERSION_ALONE + msgspec.msgpack.encode(fields))


def test_another_protocol_version_is_named() -> None:
    with pytest.raises(wire.WrongVersionError, match="version 2") as caught:
        wire.unpack_to_collector(b"\x02" + wire.pack(wire.Lost("g", 1, 2))[1:])
    assert caught.value.version == 2


def test_an_empty_frame_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        wire.unpack_to_collector(b"")


def test_a_message_for_the_other_side_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.unpack_to_gateway(wire.pack(wire.Lost("g", 1, 2)))


@given(st.binary(max_size=200).map(lambda data: b"\x01" + data) | st.binary(max_size=20))
def test_garbage_raises_nothing_but_a_value_error(frame: bytes) -> None:
    for unpack in (wire.unpack_to_collector, wire.unpack_to_gateway):
        with contextlib.suppress(ValueError):
            unpack(frame)


@given(FRAMES, st.data())
def test_a_damaged_frame_raises_nothing_but_a_value_error(
    message: wire.ToCollector, data: st.DataObject
) -> None:
    frame = bytearray(wire.pack(message))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        wire.unpack_to_collector(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


def test_deep_nesting_raises_nothing_but_a_value_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.unpack_to_collector(b"\x01\x82\xa4type\xa4lost\xa1x" + b"\x91" * 2_000_000)

"""The record's bytes are a contract between versions: they are pinned here, and only ever added to."""

import contextlib
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_shared import record
from lessllm_shared.record import ApiFormat, Attempt, CallRecord, EndReason, NetworkMarks

SMALL = CallRecord(request_id="r1", t0_unix_ns=1_764_000_000_123_456_789, end_reason=EndReason.COMPLETE)
SMALL_HEX = (
    "de0004aa726571756573745f6964a27231aa74305f756e69785f6e73cf187afca76f25cd15aa656e645f726561736f6ea863"
    "6f6d706c657465a76e6574776f726b80"
)

FULL = CallRecord(
    request_id="r2",
    t0_unix_ns=1,
    end_reason=EndReason.UPSTREAM_ERROR,
    tags={"team": "a"},
    api_format=ApiFormat.MESSAGES,
    model="claude",
    streaming=True,
    request_headers=[("content-type", "application/json")],
    request_body=b'{"a":1}\xff',
    request_body_bytes=8,
    upstream_format=ApiFormat.CHAT,
    attempts=[Attempt(provider="openai", url="https://x/v1", route="direct", start_ns=5, status_code=500)],
    status_code=500,
    read_ns=[1, 70000],
    read_bytes=[3, 4],
    network=NetworkMarks(dns_ns=7, connection_reused=False),
)
FULL_HEX = (
    "de0010aa726571756573745f6964a27232aa74305f756e69785f6e7301aa656e645f726561736f6eae757073747265616d5f"
    "6572726f72a47461677381a47465616da161aa6170695f666f726d6174b2616e7468726f7069632d6d65737361676573a56d"
    "6f64656ca6636c61756465a973747265616d696e67c3af726571756573745f686561646572739192ac636f6e74656e742d74"
    "797065b06170706c69636174696f6e2f6a736f6eac726571756573745f626f6479c4087b2261223a317dffb2726571756573"
    "745f626f64795f627974657308af757073747265616d5f666f726d6174ab6f70656e61692d63686174a8617474656d707473"
    "9185a870726f7669646572a66f70656e6169a375726cac68747470733a2f2f782f7631a5726f757465a6646972656374a873"
    "746172745f6e7305ab7374617475735f636f6465cd01f4ab7374617475735f636f6465cd01f4a7726561645f6e739201ce00"
    "011170aa726561645f6279746573920304a76e6574776f726b82a6646e735f6e7307b1636f6e6e656374696f6e5f72657573"
    "6564c2"
)

NANOSECONDS = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RECORDS = st.builds(
    CallRecord,
    request_id=TEXT,
    t0_unix_ns=NANOSECONDS,
    end_reason=st.sampled_from(EndReason),
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    api_format=st.sampled_from(ApiFormat),
    request_headers=st.lists(st.tuples(TEXT, TEXT), max_size=3),
    request_body=st.binary(max_size=50),
    attempts=st.lists(
        st.builds(
            Attempt, provider=TEXT, url=TEXT, route=TEXT, start_ns=NANOSECONDS, end_ns=st.none() | NANOSECONDS
        ),
        max_size=2,
    ),
    status_code=st.none() | st.integers(100, 599),
    read_ns=st.lists(NANOSECONDS, max_size=5),
    network=st.builds(
        NetworkMarks, dns_ns=st.none() | NANOSECONDS, connection_reused=st.none() | st.booleans()
    ),
)


@pytest.mark.parametrize(("value", "golden"), [(SMALL, SMALL_HEX), (FULL, FULL_HEX)])
def test_the_bytes_of_a_record_are_pinned(value: CallRecord, golden: str) -> None:
    assert record.encode(value).hex() == golden
    assert record.decode(bytes.fromhex(golden)) == value


@given(RECORDS)
def test_a_record_survives_the_round_trip(value: CallRecord) -> None:
    assert record.decode(record.encode(value)) == value


def test_fields_of_a_newer_version_are_skipped() -> None:
    newer = msgspec.msgpack.decode(record.encode(FULL)) | {"shard": 3, "later": {"deep": [1, None]}}
    newer["network"]["ecn"] = True
    assert record.decode(msgspec.msgpack.encode(newer)) == FULL


def test_a_record_without_its_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="t0_unix_ns"):
        record.decode(msgspec.msgpack.encode({"request_id": "r", "end_reason": "complete"}))


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        record.decode(data)


@given(RECORDS, st.data())
def test_a_damaged_record_raises_nothing_but_a_value_error(value: CallRecord, data: st.DataObject) -> None:
    encoded = bytearray(record.encode(value))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        record.decode(bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))


def test_deep_nesting_raises_nothing_but_a_value_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        record.decode(b"\x81\xa1x" + b"\x91" * 2_000_000)


def test_request_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    early, late = (
        record.new_request_id(1_764_000_000_000_000_000),
        record.new_request_id(1_764_000_000_001_000_000),
    )
    assert early < late
    assert early[14] == "7"
    assert early[19] in "89ab"
    assert len(early) == 36
    assert set(early) <= set(string.hexdigits + "-")

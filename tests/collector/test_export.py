"""Exports: what is chosen, that the file is whole and readable, and that it ends when nobody takes it."""

import asyncio
import io
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lessllm_collector import export, pieces
from lessllm_collector.errors import Refusal
from lessllm_collector.export import Exports
from lessllm_collector.filters import Filter, moment, parse_filters
from lessllm_collector.schema import COLUMNS
from starlette.requests import ClientDisconnect

from .conftest import T0, add, call

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/export", "headers": []}


class Client:
    """Takes an answer as a server would, message by message; leaves when told."""

    def __init__(self, leaves_after=None, stalls=False):
        self.messages = []
        self.leaves_after = leaves_after
        self.stalls = stalls

    async def receive(self):
        await asyncio.Event().wait()

    async def send(self, message):
        self.messages.append(message)
        if self.stalls:
            await asyncio.Event().wait()
        if self.leaves_after is not None and len(self.messages) > self.leaves_after:
            raise OSError

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def headers(self):
        return dict(self.messages[0]["headers"])


async def exported(store, *parameters):
    client = Client()
    response = await Exports(store).start(parse_filters(parameters))
    await response(SCOPE, client.receive, client.send)
    return client, pq.read_table(io.BytesIO(client.body))


async def test_everything_is_every_column_of_every_call(store):
    client, table = await exported(store)
    assert table.column_names == [column.name for column in COLUMNS]
    assert client.headers[b"x-lessllm-rows"] == b"5"
    assert client.headers[b"content-type"] == b"application/vnd.apache.parquet"
    assert b".parquet" in client.headers[b"content-disposition"]
    assert client.messages[-1]["more_body"] is False


async def test_pandas_reads_it(store):
    client, _ = await exported(store)
    frame = pd.read_parquet(io.BytesIO(client.body))
    assert len(frame) == 5
    assert str(frame.timestamp.dtype) == "datetime64[us, UTC]"
    first = frame.iloc[0]
    assert first.timestamp == pd.Timestamp(T0)
    assert first.raw_request == '{"messages":[{"role":"user","content":"hello"}]}'
    assert first.request_body == first.raw_request.encode()
    assert first.request_headers == '[["content-type","application/json"]]'
    assert pd.isna(frame.iloc[3].raw_response) and frame.iloc[3].response_body == b"\x00\xff"
    assert frame.actual_total_tokens.sum() == 1010 + 1011 + 1012


@pytest.mark.parametrize(
    ("parameters", "sequences"),
    [
        ([("model", "gpt-4o")], [1, 2, 4]),
        ([("model", "gpt-4o"), ("model", "mine")], [1, 2, 3, 4]),
        ([("model", "gpt-4o"), ("user_id", "bob")], [4]),
        ([("streaming", "true")], [2]),
        ([("status_code", "401"), ("status_code", "200"), ("provider", "local")], [3]),
        ([("actual_completion_tokens", "12")], [3]),
        ([("total_latency_ms", "405")], [1]),
        ([("model", "none")], []),
        ([("start_date", "2026-11-01T14:00:00")], [3, 4, 5]),
        ([("end_date", "2026-11-01T14:00:00Z")], [1, 2]),
        ([("start_date", "2026-11-01T15:00:00+02:00"), ("end_date", "2026-11-01T15:00:00")], [2, 3]),
        ([("start_date", "2026-11-01"), ("end_date", "2026-11-02")], [1, 2, 3, 4, 5]),
        ([("start_date", "2026-11-02")], []),
        ([("model", "x' OR 'a' = 'a")], []),
    ],
)
async def test_filters_choose(store, parameters, sequences):
    client, table = await exported(store, *parameters)
    assert table.column("sequence").to_pylist() == sequences
    assert client.headers[b"x-lessllm-rows"] == str(len(sequences)).encode()


@pytest.mark.parametrize(
    ("parameter", "code", "words"),
    [
        (("modle", "x"), "unknown_filter", "did you mean model?"),
        (("star_date", "2026-01-01"), "unknown_filter", "did you mean start_date?"),
        (("raw_request", "x"), "unknown_filter", "can't filter by raw_request"),
        (("request_body", "x"), "unknown_filter", "can't filter by request_body"),
        (("tags", "{}"), "unknown_filter", "can't filter by tags"),
        (('x" OR true --', "1"), "unknown_filter", "DESCRIBE api_calls"),
        (("start_date", "yesterday"), "invalid_date", "start_date: 'yesterday' is no date like"),
        (("end_date", "2026-13-01"), "invalid_date", "end_date"),
        (("status_code", "ok"), "sql_error", "ok"),
    ],
)
async def test_wrong_filters_are_explained(store, parameter, code, words):
    with pytest.raises(Refusal) as refusal:
        await exported(store, parameter)
    assert (refusal.value.status, refusal.value.code) == (400, code)
    assert words in refusal.value.message


def test_a_moment_without_a_zone_is_utc():
    assert moment("since", "2026-11-25") == datetime(2026, 11, 25, tzinfo=UTC)
    assert moment("since", "2026-11-25T10:00:00+02:00") == datetime(
        2026, 11, 25, 10, tzinfo=timezone(timedelta(hours=2))
    )
    assert parse_filters([]) == Filter("true", ())


CALLS = 2500  # more than one vector of DuckDB's


@pytest.fixture
def large_store(empty_store):
    add(empty_store, [call(n, request_body=b"%d" % n + b"x" * 2000) for n in range(CALLS)])
    return empty_store


async def test_a_large_export_comes_in_pieces_and_is_whole(large_store, monkeypatch):
    monkeypatch.setattr(export, "_ROW_GROUP_BYTES", 500_000)
    client, table = await exported(large_store)
    numbers = [int(body.decode().rstrip("x")) for body in table.column("request_body").to_pylist()]
    assert numbers == [*range(CALLS)]
    assert len(client.messages) > 10
    metadata = pq.ParquetFile(io.BytesIO(client.body)).metadata
    assert metadata.num_row_groups > 5


async def test_nothing_is_read_ahead_of_the_client(large_store, monkeypatch):
    monkeypatch.setattr(export, "_ROW_GROUP_BYTES", 100_000)
    client, steps = Client(), []
    read = export.Export.next_piece
    monkeypatch.setattr(export.Export, "next_piece", lambda self: (steps.append("read"), read(self))[1])

    async def send(message):
        steps.append("sent")
        await client.send(message)

    response = await Exports(large_store).start(Filter())
    await response(SCOPE, client.receive, send)
    assert len(steps) > 20
    assert steps[2:] == ["read", "sent"] * (len(steps) // 2 - 1)  # after the headers and the first piece


@pytest.mark.parametrize("client", [Client(leaves_after=2), Client(stalls=True), Client(leaves_after=0)])
async def test_an_export_that_nobody_takes_ends(large_store, monkeypatch, client):
    monkeypatch.setattr(export, "_ROW_GROUP_BYTES", 100_000)
    monkeypatch.setattr(pieces, "STALL_S", 0.1)
    exports = Exports(large_store)
    response = await exports.start(Filter())
    with pytest.raises((OSError, ClientDisconnect)):
        await response(SCOPE, client.receive, client.send)
    for _ in range(export.AT_ONCE):  # all places are free again
        await exports.start(Filter("false"))


async def test_a_cancelled_export_ends(large_store):
    exports, sending = Exports(large_store), asyncio.Event()

    async def send(_):
        sending.set()
        await asyncio.Event().wait()

    response = await exports.start(Filter())
    task = asyncio.create_task(response(SCOPE, Client().receive, send))
    await sending.wait()
    task.cancel()
    await task
    for _ in range(export.AT_ONCE):
        await exports.start(Filter("false"))


async def test_more_exports_than_allowed_are_refused(store):
    exports = Exports(store)
    running = [await exports.start(Filter()) for _ in range(export.AT_ONCE)]
    with pytest.raises(Refusal) as refusal:
        await exports.start(Filter())
    assert (refusal.value.status, refusal.value.code) == (503, "busy")
    client = Client()
    await running[0](SCOPE, client.receive, client.send)
    await exports.start(Filter())


async def test_a_refused_export_gives_its_place_back(store):
    exports = Exports(store)
    for _ in range(export.AT_ONCE + 1):
        with pytest.raises(Refusal) as refusal:
            await exports.start(Filter("nonsense = ?", (1,)))
        assert refusal.value.code == "sql_error"


async def test_it_shows_the_moment_at_which_it_began(large_store):
    response = await Exports(large_store).start(Filter())
    add(large_store, [call(1)])
    client = Client()
    await response(SCOPE, client.receive, client.send)
    assert pq.read_table(io.BytesIO(client.body)).num_rows == CALLS


async def test_an_empty_database_gives_an_empty_file(empty_store):
    _, table = await exported(empty_store)
    assert table.num_rows == 0
    assert table.schema.field("timestamp").type == pa.timestamp("us", "UTC")

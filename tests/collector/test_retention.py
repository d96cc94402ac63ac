"""Old bodies and calls are deleted in small steps; their space is used again; nothing else changes."""

import asyncio
import os

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessllm_collector import metrics, retention
from lessllm_collector.bodies import as_kept
from lessllm_collector.inbox import Batch
from lessllm_collector.interpret import interpret
from lessllm_collector.reanalyze import reanalyze
from lessllm_collector.retention import STEP_BYTES, Step, steps
from lessllm_collector.schema import BODIES, STORED_NAMES
from lessllm_shared.record import EndReason

from .running import ANSWER, DAY, PRICES, Running, record

KEPT = ", ".join(name for name in STORED_NAMES if name not in BODIES)


@pytest.fixture
async def running(tmp_path):
    running = Running(tmp_path / "calls.duckdb")
    yield running
    await running.close()


async def test_old_bodies_go_and_all_that_was_worked_out_from_them_stays(running):
    translated = {"upstream_request_body": b"{}", "client_response_body": b"{}"}
    gzipped = {"response_headers": [("content-encoding", "identity")]}
    await running.add(*(record(31 * DAY, **translated, **gzipped) for _ in range(5)), record(29 * DAY))
    before = await running.ask(f"SELECT {KEPT} FROM internal.calls ORDER BY sequence")
    await running.retention().run_once()
    assert await running.ask(f"SELECT {KEPT} FROM internal.calls ORDER BY sequence") == before
    some = " OR ".join(f"{name} IS NOT NULL" for name in BODIES)
    assert await running.ask(f"SELECT sequence FROM internal.calls WHERE {some}") == [(6,)]
    assert await running.ask("SELECT sequence FROM api_calls WHERE raw_request IS NOT NULL") == [(6,)]
    assert await running.ask("SELECT DISTINCT actual_total_tokens, request_body_bytes FROM api_calls") == [
        (12, 16)
    ]


async def test_old_calls_go_whole_also_those_that_arrive_late(running):
    await running.add(record(400 * DAY), record(364 * DAY), record(DAY))
    keep = running.retention()
    await keep.run_once()
    await running.add(record(366 * DAY), record(DAY))
    await keep.run_once()
    assert await running.ask("SELECT sequence FROM api_calls ORDER BY 1") == [(2,), (3,), (5,)]
    assert running.store.committed() == {"g": 5}  # what was delivered stays known


async def test_what_is_kept_forever_is(running):
    await running.add(record(9000 * DAY))
    await running.retention(bodies=None, calls=None).run_once()
    assert await running.ask("SELECT raw_request FROM api_calls") == [('{"messages": []}',)]


async def test_records_that_could_not_be_read_go_with_the_bodies(running):
    await running.inbox.put(Batch("g", 1, 2, [b"\xc1old", b"\xc1new"]))
    await running.ask(
        "UPDATE internal.quarantine SET received = received - INTERVAL 31 DAY WHERE sequence = 1"
    )
    await running.retention().run_once()
    assert await running.ask("SELECT sequence, record FROM internal.quarantine ORDER BY 1") == [
        (1, b""),
        (2, b"\xc1new"),
    ]
    assert await running.ask("SELECT first_sequence, reason FROM delivery_gaps ORDER BY 1") == [
        (1, "unreadable"),
        (2, "unreadable"),
    ]


async def test_thousands_of_rows_go_and_commits_go_on_in_between(running, monkeypatch):
    monkeypatch.setattr(retention, "STEP_ROWS", 64)
    monkeypatch.setattr(retention, "CHECKPOINT_BYTES", 2000)  # after every step: rows get other numbers
    await running.add(*(record(400 * DAY) for _ in range(1000)), *(record(40 * DAY) for _ in range(1000)))
    await running.ask("SELECT 1")
    changed = metrics.CALLS_EXPIRED._value.get(), metrics.BODIES_EXPIRED._value.get()
    run = asyncio.create_task(running.retention().run_once())
    arrived = 0
    while not run.done():
        await running.add(record(DAY))
        arrived += not run.done()
    await run
    assert arrived > 10
    assert metrics.CALLS_EXPIRED._value.get() - changed[0] == 1000
    assert metrics.BODIES_EXPIRED._value.get() - changed[1] == 1000
    found = await running.ask(
        "SELECT raw_request IS NULL, count(*) > 10 FROM api_calls GROUP BY 1 ORDER BY 1"
    )
    assert found == [(False, True), (True, True)]
    assert await running.ask("SELECT count(*) FROM api_calls WHERE raw_request IS NULL") == [(1000,)]


async def test_the_space_of_what_was_deleted_is_used_again(running, monkeypatch):
    monkeypatch.setattr(retention, "CHECKPOINT_BYTES", 8 * 1024**2)

    async def fill(age):
        for _ in range(4):
            await running.add(*(record(age, request_body=os.urandom(20_000)) for _ in range(250)))
            await running.writer.checkpoint()

    sizes = []
    for _ in range(4):
        await fill(40 * DAY)
        sizes.append(running.path.stat().st_size)
        await running.retention().run_once()
    assert sizes[0] > 20_000_000
    assert max(sizes) < 1.5 * sizes[0]
    assert metrics.DATABASE_BYTES._value.get() == pytest.approx(sizes[-1], rel=0.1)
    assert metrics.DATABASE_FREE_BYTES._value.get() > 0.7 * sizes[0]


async def test_a_run_that_fails_is_said_once_counted_and_made_up_for(running, monkeypatch, caplog):
    await running.add(record(40 * DAY))
    keep, take, failures = running.retention(), retention._take, metrics.RETENTION_FAILED._value.get()

    def full(connection, **_):
        connection.execute("UPDATE internal.calls SET request_body = NULL")
        raise duckdb.IOException("no space left on device\nmore")

    monkeypatch.setattr(retention, "_take", full)
    for _ in range(3):
        await keep.run_once()
    assert await running.ask("SELECT count(request_body) FROM internal.calls") == [(1,)]
    assert metrics.RETENTION_FAILED._value.get() == failures + 3
    assert caplog.text.count("no space left on device") == 1
    monkeypatch.setattr(retention, "_take", take)
    await keep.run_once()
    assert await running.ask("SELECT count(request_body) FROM internal.calls") == [(0,)]
    assert "old data is deleted again" in caplog.text


async def test_a_long_read_does_not_hold_it_up_and_sees_its_own_moment(running, monkeypatch):
    monkeypatch.setattr(retention, "CHECKPOINT_BYTES", 1)
    await running.add(*(record(40 * DAY) for _ in range(5)))
    reader = running.store.cursor()
    reader.execute("BEGIN TRANSACTION READ ONLY")
    count = "SELECT count(request_body) FROM internal.calls"
    assert reader.execute(count).fetchone() == (5,)
    await running.retention().run_once()
    assert await running.ask(count) == [(0,)]
    assert reader.execute(count).fetchone() == (5,)
    reader.close()


async def test_cancelled_at_any_point_it_leaves_whole_rows(running):
    await running.add(*(record(40 * DAY) for _ in range(1000)))
    for turns in range(0, 40, 4):
        run = asyncio.create_task(running.retention().run_once())
        for _ in range(turns):
            await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    half = "(request_body IS NULL) <> (response_body IS NULL)"
    assert await running.ask(f"SELECT count(*) FROM internal.calls WHERE {half}") == [(0,)]


async def test_reanalysis_finds_every_row_though_some_before_them_were_deleted(running):
    await running.add(*(record(400 * DAY) for _ in range(1000)))
    await running.writer.checkpoint()
    await running.add(*(record(DAY) for _ in range(1000)))
    await running.retention().run_once()
    again = asyncio.create_task(reanalyze(running.writer, PRICES, None))
    while not again.done():
        await running.writer.checkpoint()
    assert await again == 1000


async def test_reanalysis_never_makes_known_figures_unknown(running):
    await running.add(*(record(40 * DAY) for _ in range(3)), record(DAY))
    await running.retention().run_once()
    assert await reanalyze(running.writer, PRICES, None) == 1
    assert await running.ask("SELECT DISTINCT actual_total_tokens, estimated_cost_usd FROM api_calls") == [
        (12, 12e-6)
    ]


@pytest.mark.parametrize(
    ("policy", "kept"), [("full", [1, 2, 3, 4, 5]), ("errors", [2, 3, 4, 5]), ("none", [])]
)
async def test_bodies_are_kept_as_configured_and_figures_are_there_in_any_case(tmp_path, policy, kept):
    running = Running(tmp_path / "calls.duckdb", policy)
    broken = b'{"error": {"message": "no"}}'
    await running.add(
        record(DAY),
        record(DAY, status_code=500, end_reason=EndReason.UPSTREAM_ERROR, response_body=broken),
        record(DAY, status_code=404, response_body=broken),
        record(DAY, status_code=None, end_reason=EndReason.CLIENT_CANCELLED),
        record(DAY, end_reason=EndReason.TRUNCATED),
    )
    assert await running.ask("SELECT sequence FROM api_calls WHERE raw_request IS NOT NULL ORDER BY 1") == [
        (sequence,) for sequence in kept
    ]
    assert await running.ask(
        "SELECT actual_total_tokens, estimated_cost_usd, request_body_bytes, response_body_bytes"
        " FROM api_calls WHERE sequence = 1"
    ) == [(12, 12e-6, 16, len(ANSWER))]
    await running.inbox.put(Batch("h", 1, 1, [b"\xc1a prompt"]))
    assert await running.ask("SELECT record FROM internal.quarantine") == [
        (b"\xc1a prompt" if policy == "full" else b"",)
    ]
    await running.close()
    file = running.path.read_bytes()
    assert (b"messages" in file) is bool(kept)


def test_a_row_without_its_bodies_has_all_other_columns():
    row = interpret(record(DAY), gateway_id="g", sequence=1, prices=PRICES)
    stripped = as_kept(row, "none")
    assert [name for name in row if stripped[name] != row[name]] == ["request_body", "response_body"]
    assert stripped.keys() == row.keys()
    assert as_kept(row, "full") is row


async def test_a_body_that_was_cut_is_marked_for_as_long_as_it_is_there(running):
    cut = {"request_body_bytes": 100, "response_body_bytes": 1000}
    await running.add(
        record(DAY, **cut), record(DAY), record(DAY, response_body=b""), record(40 * DAY, **cut)
    )
    await running.retention().run_once()
    found = await running.ask("SELECT request_truncated, response_truncated FROM api_calls ORDER BY sequence")
    assert found == [(True, True), (False, False), (False, None), (None, None)]


@given(
    st.lists(st.tuples(st.integers(1, 2048), st.integers(0, 5000), st.integers(0, 3 * 10**11)), max_size=5)
)
def test_steps_are_all_the_rows_once_in_order_and_small(windows):
    start, made = 0, []
    for rows, gap, size_bytes in windows:
        made.append(Step(start + gap, start + gap + rows, size_bytes))
        start += gap + rows
    found = list(steps(made))
    assert [row for step in found for row in range(step.start, step.end)] == [
        row for window in made for row in range(window.start, window.end)
    ]
    assert all(step.size_bytes <= STEP_BYTES or step.end == step.start + 1 for step in found)

"""Records into rows: once each, whatever they hold and whatever the database does."""

import asyncio
import random
import re
import threading
import time
from datetime import timedelta

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lessllm_collector import room, rows
from lessllm_collector.inbox import Batch
from lessllm_collector.reanalyze import STEP_ROWS, reanalyze
from lessllm_collector.store import Store
from lessllm_shared.config.sections import Query
from lessllm_shared.record import encode
from prometheus_client import REGISTRY

from .running import PRICES, Running, eventually, largest_file, record


def _record(**fields):
    return record(timedelta(0), **fields)


def _batch(first, *records, gateway_id="g"):
    return Batch(gateway_id, first, first + len(records) - 1, [encode(record) for record in records])


@pytest.fixture
async def running(tmp_path):
    running = Running(tmp_path / "calls.duckdb")
    yield running
    await running.close()


async def test_records_become_rows_and_are_acknowledged_once_they_are_committed(running):
    await running.inbox.put(_batch(1, _record(), _record()))
    found = await running.ask("SELECT sequence, actual_total_tokens, estimated_cost_usd FROM api_calls")
    assert found == [(1, 12, 12e-6), (2, 12, 12e-6)]
    assert running.acks == [("g", 2)]
    assert running.store.committed() == {"g": 2}


async def test_lost_numbers_are_noted_and_acknowledged(running):
    await running.inbox.put(_batch(1, _record()))
    await running.inbox.put(Batch("g", 2, 5, None))
    assert await running.ask("SELECT gateway_id, first_sequence, last_sequence FROM internal.lost") == [
        ("g", 2, 5)
    ]
    assert running.acks[-1] == ("g", 5)


async def test_a_record_that_can_not_be_read_is_set_aside_as_it_came(running):
    await running.inbox.put(Batch("g", 1, 3, [encode(_record()), b"\xc1junk", encode(_record())]))
    assert await running.ask("SELECT sequence FROM api_calls") == [(1,), (3,)]
    assert await running.ask("SELECT sequence, record FROM internal.quarantine") == [(2, b"\xc1junk")]
    assert running.acks == [("g", 3)]


@pytest.mark.parametrize(
    "fields",
    [
        {"request_body_bytes": 2**62, "response_body_bytes": 2**63 - 1, "status_code": 70_000},
        {"t0_unix_ns": 2**63 - 1, "status_code": -1},
    ],
)
async def test_a_record_that_does_not_fit_the_table_never_holds_up_its_neighbours(running, fields):
    odd = encode(_record(**fields))
    await running.inbox.put(Batch("g", 1, 3, [encode(_record()), odd, encode(_record())]))
    assert await running.ask("SELECT sequence FROM api_calls") == [(1,), (3,)]
    assert await running.ask("SELECT sequence, record FROM internal.quarantine") == [(2, odd)]
    assert running.acks == [("g", 3)]


async def test_while_the_database_takes_nothing_nothing_is_acknowledged_and_then_everything_is(
    running, monkeypatch
):
    insert, failures = rows.insert, []

    def full(connection, some):
        if len(failures) < 2:
            failures.append(1)
            raise duckdb.IOException("no space left on device\nmore")
        insert(connection, some)

    monkeypatch.setattr(rows, "insert", full)
    monkeypatch.setattr("lessllm_collector.writer.RETRY_S", 0.01)
    await running.inbox.put(_batch(1, _record()))
    await eventually(lambda: running.acks)
    assert await running.ask("SELECT count(*) FROM api_calls") == [(1,)]
    assert len(failures) == 2
    assert running.acks == [("g", 1)]
    assert running.writer.trouble is None


async def test_a_commit_for_which_the_disk_has_no_room_is_not_begun_and_done_when_it_has(
    running, monkeypatch, caplog
):
    monkeypatch.setattr("lessllm_collector.writer.RETRY_S", 0.01)
    monkeypatch.setattr("lessllm_collector.room.LEAST_BYTES", 2**60)
    for first in (1, 2, 3):
        await running.inbox.put(_batch(first, _record()))
    await eventually(lambda: running.writer.trouble is not None)
    assert re.match(
        r"the disk is full: [\d.,]+ MB are free beside .*, and [\d.,]+ MB", running.writer.trouble
    )
    assert running.acks == []
    monkeypatch.undo()
    await eventually(lambda: running.acks[-1:] == [("g", 3)])
    assert await running.ask("SELECT count(*), count(DISTINCT sequence) FROM api_calls") == [(3, 3)]
    assert running.acks[-1] == ("g", 3)
    assert running.writer.trouble is None
    assert caplog.text.count("can't be committed") == caplog.text.count("committed again") == 1


async def test_jobs_are_done_while_nothing_can_be_committed(running, monkeypatch):
    def none(path, connection, size):
        raise room.NoRoom(f"{path} {connection} {size}")

    monkeypatch.setattr("lessllm_collector.room.make", none)
    await running.inbox.put(_batch(1, _record()))
    await eventually(lambda: running.writer.trouble is not None)
    assert await running.ask("SELECT count(*) FROM api_calls") == [(0,)]
    assert running.acks == []


async def test_what_has_no_room_together_is_committed_in_parts(running, monkeypatch):
    def little(path, connection, size):
        if size > 40_000:
            raise room.NoRoom(f"{path} {connection}")

    large = _record(request_body=bytes(30_000))
    first, second = _batch(1, large), _batch(2, large, large, large)
    monkeypatch.setattr("lessllm_collector.room.make", little)
    both = threading.Event()
    waiting = asyncio.create_task(running.writer.run(lambda _: both.wait()))
    await asyncio.sleep(0)  # for the job to come first
    await running.inbox.put(first)
    await running.inbox.put(second)
    both.set()
    await waiting
    assert await running.ask("SELECT sequence FROM api_calls") == [(1,), (2,), (3,), (4,)]
    assert running.acks == [("g", number) for number in (1, 2, 3, 4)]


async def test_stopped_in_the_middle_it_commits_nothing_that_follows(tmp_path, monkeypatch):
    """Gateways would forget what comes before it."""

    def little(path, connection, size):
        if size > 20_000:
            raise room.NoRoom(f"{path} {connection}")

    running = Running(tmp_path / "calls.duckdb")
    monkeypatch.setattr("lessllm_collector.room.make", little)
    await running.inbox.put(_batch(1, _record(), _record(request_body=bytes(30_000)), _record()))
    await running.inbox.put(_batch(4, _record()))
    await eventually(lambda: running.writer.trouble is not None)
    await running.writer.stop()
    assert running.acks == [("g", 1)]
    assert running.store.committed() == {"g": 1}
    running.store.close()


@pytest.mark.parametrize("durable", [True, False])
async def test_a_commit_of_which_the_database_failed_becomes_rows_once(running, monkeypatch, durable):
    """At 16 MiB a commit brings a checkpoint, and a large one skips the log: then nothing of it is kept."""
    monkeypatch.setattr("lessllm_collector.writer.RETRY_S", 0.01)
    monkeypatch.setattr("lessllm_collector.store.RETRY_S", 0.01)
    noise = random.Random(1)
    small, large = (noise.randbytes(size) for size in (50_000, 16_750_000))
    await running.inbox.put(_batch(1, _record(request_body=large)))
    await eventually(lambda: running.acks)
    log_bytes = room.log_of(running.path).stat().st_size
    with largest_file(log_bytes + 100_000):
        await running.inbox.put(_batch(2, _record(request_body=small if durable else large)))
        await eventually(lambda: running.writer.trouble is not None)
        assert ("succeeded and is durable" in running.writer.trouble) == durable
        assert running.acks == [("g", 1)]
        await running.inbox.put(_batch(3, _record()))
    await eventually(lambda: running.acks[-1] == ("g", 3))
    assert await running.ask("SELECT count(*), count(DISTINCT sequence) FROM api_calls") == [(3, 3)]
    assert running.acks[-1] == ("g", 3)


async def test_a_job_hears_that_the_database_failed_and_the_next_one_finds_it_open(running, monkeypatch):
    monkeypatch.setattr("lessllm_collector.store.RETRY_S", 0.01)
    await running.add(_record(request_body=random.Random(1).randbytes(2_000_000)))
    with largest_file(running.store.size_bytes()), pytest.raises(duckdb.FatalException):
        await running.writer.run(lambda _: running.store.cursor().execute("CHECKPOINT"))
    await eventually(lambda: running.store.trouble is None)
    assert await running.ask("SELECT count(*) FROM api_calls") == [(1,)]


async def test_a_commit_that_lacks_memory_asks_queries_to_give_way_until_it_succeeds(running, monkeypatch):
    insert, asked = rows.insert, []

    def short(connection, some):
        asked.append(running.store.give_way.is_set())
        if len(asked) < 2:
            raise duckdb.OutOfMemoryException("failed to allocate")
        insert(connection, some)

    monkeypatch.setattr(rows, "insert", short)
    monkeypatch.setattr("lessllm_collector.writer.RETRY_S", 0.01)
    await running.inbox.put(_batch(1, _record()))
    await eventually(lambda: running.acks)
    assert await running.ask("SELECT count(*) FROM api_calls") == [(1,)]
    assert asked == [False, True]
    assert not running.store.give_way.is_set()


async def test_stopped_while_the_database_takes_nothing_it_acknowledges_nothing(tmp_path, monkeypatch):
    def full(connection, some):
        del connection, some
        raise duckdb.IOException("no space left on device")

    running = Running(tmp_path / "calls.duckdb")
    monkeypatch.setattr(rows, "insert", full)
    await running.inbox.put(_batch(1, _record()))
    deadline = time.monotonic() + 10
    while running.writer.trouble is None:
        assert time.monotonic() < deadline
    await running.close()
    assert running.acks == []
    assert running.writer.trouble == "no space left on device"


async def test_stopping_commits_what_is_in_the_inbox(tmp_path):
    running = Running(tmp_path / "calls.duckdb")
    for first in range(1, 50):
        await running.inbox.put(_batch(first, _record()))
    await running.close()
    assert running.acks[-1] == ("g", 49)
    again = Store(tmp_path / "calls.duckdb", Query())
    assert again.cursor().execute("SELECT count(*) FROM api_calls").fetchone() == (49,)
    again.close()


async def test_a_job_that_fails_leaves_nothing_behind_and_the_writer_goes_on(running):
    def half(connection):
        connection.execute("INSERT INTO internal.lost VALUES ('g', 1, 2, now())")
        connection.execute("SELECT no_such_column FROM internal.lost")

    with pytest.raises(duckdb.BinderException):
        await running.writer.run(half)
    assert await running.ask("SELECT count(*) FROM internal.lost") == [(0,)]


async def test_a_mistake_of_ours_is_counted_and_said_and_the_call_kept(running, monkeypatch, caplog):
    def fail(answer):
        raise KeyError(f"s3cret {answer}")

    name = "lessllm_collector_interpreter_errors_total"
    before = REGISTRY.get_sample_value(name)
    damaged = _record(response_headers=[("content-encoding", "gzip")], response_body=b"no gzip")
    await running.add(damaged)
    monkeypatch.setattr("lessllm_collector.interpret.usage_of", fail)
    await running.add(_record(), _record())
    errors = [error for (error,) in await running.ask("SELECT interpreter_error FROM api_calls ORDER BY 1")]
    assert [error.split(":")[0] for error in errors] == ["KeyError in fail"] * 2 + ["the answer is damaged"]
    assert REGISTRY.get_sample_value(name) == before + 2
    assert caplog.text.count("by a mistake of ours: KeyError in fail") == 1
    assert "s3cret" not in caplog.text


async def test_in_debug_mode_each_call_is_a_line_in_the_log(running, caplog):
    caplog.set_level("INFO")
    record = _record(model="m\ncall forged\x1b[2J")
    running.switches.debug_mode = True
    await running.inbox.put(_batch(1, record))
    await running.ask("SELECT 1")
    await running.writer.run(lambda _: None)
    (line,) = [entry.getMessage() for entry in caplog.records if entry.getMessage().startswith("call ")]
    assert line.startswith(f"call {record.request_id}: m\\ncall forged\\x1b[2J → local ")
    assert line.isprintable()


async def test_reanalysis_repairs_what_raw_data_can_and_leaves_the_rest(running):
    await running.inbox.put(_batch(1, *(_record() for _ in range(STEP_ROWS + 5))))
    await running.writer.run(
        lambda c: c.execute(
            "UPDATE internal.calls SET actual_total_tokens = 99, estimated_cost_usd = NULL;"
            "UPDATE internal.calls SET response_body = NULL, request_body = NULL WHERE sequence = 3"
        )
    )
    assert await reanalyze(running.writer, PRICES, None) == STEP_ROWS + 4
    assert await running.ask(
        "SELECT actual_total_tokens, estimated_cost_usd, count(*) FROM api_calls GROUP BY ALL ORDER BY 1"
    ) == [(12, 12e-6, STEP_ROWS + 4), (99, None, 1)]


async def test_reanalysis_of_an_empty_database_finds_nothing(running):
    assert await reanalyze(running.writer, PRICES, None) == 0


_values = st.one_of(st.none(), st.text(max_size=8), st.integers(0, 2**63 - 1), st.binary(max_size=20))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(
                _record,
                model=st.text(max_size=10),
                response_body=st.binary(max_size=200),
                status_code=st.integers(-1, 70_000),
                end_ns=st.integers(-(2**63), 2**63 - 1),
            ).map(encode),
        ),
        min_size=1,
        max_size=8,
    )
)
async def test_every_record_is_a_row_or_in_quarantine_and_acknowledged(tmp_path_factory, records):
    running = Running(tmp_path_factory.mktemp("writer") / "calls.duckdb")
    await running.inbox.put(Batch("g", 1, len(records), records))
    sequences = await running.ask(
        "SELECT sequence FROM internal.calls UNION ALL SELECT sequence FROM internal.quarantine ORDER BY 1"
    )
    assert sequences == [(number,) for number in range(1, len(records) + 1)]
    assert running.acks == [("g", len(records))]
    await running.close()

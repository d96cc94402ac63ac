"""Reading within limits: rows, size, time, memory, number; and that it never writes or holds up who does."""

import asyncio
import random
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from lessllm_collector import query
from lessllm_collector.errors import Refusal
from lessllm_collector.query import Question, Readers, ask, bounds, run
from lessllm_collector.store import StoreError
from lessllm_collector.watchdog import Bounds, Watchdog
from lessllm_shared.config.sections import Query

from .conftest import add, call
from .running import eventually, largest_file

# Every statement of the requirements, as it stands in their examples.
EXAMPLES = Path(__file__).parents[1] / "e2e/requirements"
REQUIRED = {
    f"{example.stem}, {number}": sql
    for example in sorted(EXAMPLES.glob("*.py"))
    for number, sql in enumerate(
        re.findall(r'lessllm\.query\("""(.*?)"""', example.read_text(), re.DOTALL), 1
    )
}
assert len(REQUIRED) == 5
NEVER_ENDING = "SELECT count(*) FROM range(1000000000000)"
LARGE = "SELECT count(*) FROM (SELECT i, count(*) FROM range(1000000000) t(i) GROUP BY i)"
# One step over one row, so that no interrupt is noticed in between: 2.5 * 10^9 comparisons.
DEAF = """
    SELECT len(list_filter(l, lambda x: list_contains(l, x + 100000)))
    FROM (SELECT list(i) AS l FROM range(100000) t(i))
"""


@pytest.fixture
def ended():
    return []


@pytest.fixture
def readers(store, ended):
    made = []

    def make(at_once=2, **limits):
        known = {"timeout_s": 20.0, "grace_s": 20.0}
        made.append(
            Readers(
                store,
                Watchdog(Bounds(**{**known, **limits}), ended.append, store.give_way, store.closing),
                at_once,
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def same(value):
    return value


def asking(sql, params=None, max_rows=1000):
    return lambda connection: ask(connection, Question(sql, params), max_rows)


def rows(result):
    return [tuple(row.values()) for batch in result.batches for row in batch.to_pylist()]


async def refusal_of(awaitable):
    with pytest.raises(Refusal) as refusal:
        await awaitable
    return refusal.value


@pytest.mark.parametrize("sql", REQUIRED.values(), ids=REQUIRED)
async def test_every_statement_of_the_requirements_runs(readers, sql):
    result = await readers().read(asking(sql), same)
    assert not result.truncated
    assert len(rows(result)) == (
        0 if "5000" in sql else 3 if "calls," in sql or "avg_ttft" in sql else len(rows(result))
    )


async def test_a_report_has_the_right_figures(readers):
    sql = "SELECT model, count(*) n, sum(actual_total_tokens) FROM api_calls GROUP BY 1 ORDER BY n DESC, 1"
    result = await readers().read(asking(sql), same)
    assert rows(result) == [("gpt-4o", 3, 2021), ("mine", 1, 1012), (None, 1, None)]
    assert result.types == ("VARCHAR", "BIGINT", "HUGEINT")
    assert result.elapsed_ms > 0


@pytest.mark.parametrize(
    ("sql", "params", "expected"),
    [
        ("SELECT count(*) FROM api_calls WHERE model = ?", ["gpt-4o"], 3),
        (
            "SELECT count(*) FROM api_calls WHERE model = $m AND status_code = $s",
            {"m": "gpt-4o", "s": 200},
            3,
        ),
        ("SELECT count(*) FROM api_calls WHERE list_contains($models, model)", {"models": ["mine", "x"]}, 1),
        ("SELECT count(*) FROM api_calls WHERE timestamp >= ?", ["2026-11-01T14:00:00Z"], 3),
        ("SELECT ?", ["'; DROP VIEW api_calls; --"], "'; DROP VIEW api_calls; --"),
        ("SELECT ?", [None], None),
    ],
)
async def test_parameters_are_values(readers, sql, params, expected):
    assert rows(await readers().read(asking(sql, params), same)) == [(expected,)]


@pytest.mark.parametrize(
    ("sql", "params", "code", "words"),
    [
        ("SELECT modle FROM api_calls", None, "sql_error", '"model"'),
        ("SELECT CAST('x' AS INT)", None, "sql_error", "Could not convert"),
        (
            "SELECT i / (CASE WHEN i < 50000 THEN 'x' ELSE '1' END)::INT FROM range(9) t(i)",
            None,
            "sql_error",
            "'x'",
        ),
        ("SELECT ?", None, "sql_error", "Values were not provided"),
        ("SELECT ?", [1, 2], "sql_error", "excess parameters"),
        ("SELECT $a", {"b": 1}, "sql_error", "not provided"),
        ("SELECT ?", [2**200], "sql_error", "too large"),
        ("SELECT * FROM internal.calls", None, "unknown_table", "internal.calls"),
    ],
)
async def test_mistakes_are_explained(readers, sql, params, code, words):
    refusal = await refusal_of(readers().read(asking(sql, params), same))
    assert (refusal.status, refusal.code) == (400, code)
    assert words in refusal.message and "LINE 1" not in refusal.message


async def test_more_rows_than_asked_for_are_cut_off(readers):
    for wanted, there, truncated in ((10, 10, False), (10, 11, True), (5000, 5001, True), (1, 100_000, True)):
        result = await readers().read(asking(f"FROM range({there})", max_rows=wanted), same)
        assert len(rows(result)) == wanted
        assert result.truncated is truncated
    result = await readers().read(
        lambda connection: ask(connection, Question("FROM range(100)", max_rows=3), 1000), same
    )
    assert (len(rows(result)), result.truncated) == (3, True)


async def test_no_rows_are_a_result_with_columns(readers):
    result = await readers().read(asking("SELECT model FROM api_calls WHERE false"), same)
    assert (result.schema.names, rows(result), result.truncated) == (["model"], [], False)


async def test_a_result_that_is_too_large_is_cut_off(readers, monkeypatch):
    monkeypatch.setattr(query, "MAX_RESULT_BYTES", 100_000)
    sql = "SELECT 'x' || i || string_agg('y', '') FROM range(1000) t(i), range(10000) GROUP BY i"
    result = await readers().read(asking(sql), same)
    assert result.truncated
    assert 1 <= len(rows(result)) <= 10


async def test_a_query_that_takes_too_long_is_stopped(readers, ended):
    start = time.monotonic()
    refusal = await refusal_of(readers(timeout_s=0.2).read(asking(NEVER_ENDING), same))
    assert (refusal.status, refusal.code) == (422, "query_timeout")
    assert time.monotonic() - start < 5
    assert ended == []


async def test_a_result_that_comes_too_slowly_is_stopped(readers):
    sql = "SELECT i FROM range(1000000000000) t(i) WHERE i % 100000000 = 1"
    refusal = await refusal_of(readers(timeout_s=0.3).read(asking(sql), same))
    assert refusal.code == "query_timeout"


async def test_the_process_ends_when_a_query_outlives_its_interrupt(readers, ended):
    with suppress(Refusal):  # it may come to its end all the same
        await readers(timeout_s=1, grace_s=0.05).read(asking(DEAF), same)  # its deaf step takes seconds
    assert "did not stop 0.05 s after" in ended[0]


async def test_the_process_ends_when_queries_make_it_too_large(readers, ended):
    await refusal_of(readers(growth_bytes=0, total_bytes=1).read(asking(LARGE), same))
    assert ended[0].startswith("queries made this process")


async def test_queries_are_stopped_before_the_process_is_too_large(readers, ended):
    refusal = await refusal_of(readers(growth_bytes=10_000_000).read(asking(LARGE), same))
    assert (refusal.status, refusal.code, ended) == (422, "query_memory", [])


async def test_queries_give_way_to_the_writer_when_it_is_short_of_memory(readers, store, ended):
    pool = readers()
    running = [asyncio.create_task(refusal_of(pool.read(asking(NEVER_ENDING), same))) for _ in range(2)]
    while not all(task.done() for task in running):
        store.give_way.set()
        await asyncio.sleep(0.05)
    assert {(await task).code for task in running} == {"query_memory"}
    assert ended == []
    store.give_way.clear()
    await pool.read(asking("SELECT 1"), same)


async def test_what_an_earlier_query_took_is_not_held_against_the_next(readers):
    pool = readers(growth_bytes=200_000_000)
    much = bytearray(250_000_000)
    much[::4096] = b"x" * len(much[::4096])  # pages count once they are written
    assert rows(await pool.read(asking("SELECT sum(i) FROM range(100000000) t(i)"), same))
    del much


async def test_more_memory_than_the_limit_is_refused(readers):
    sql = "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT length(s) FROM t"
    refusal = await refusal_of(readers().read(asking(sql), same))
    assert refusal.code == "query_memory"
    assert "memory_limit" in refusal.message


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO internal.deliveries VALUES ('x', 1, now())",
        "CREATE TABLE x (a INT)",
        "UPDATE internal.calls SET model = 'x'",
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET memory_limit = '10GB'",
    ],
)
async def test_without_the_guard_it_could_still_not_write_or_read_files(readers, sql):
    await refusal_of(readers().read(lambda connection: run(connection, sql, None, 10), same))


async def test_as_many_as_allowed_run_at_once_and_others_wait(readers):
    pool, both = readers(at_once=2), threading.Barrier(2, timeout=10)
    running, most = [], []

    def job(connection):
        running.append(connection)
        most.append(len(running))
        both.wait()  # passes only if two run at once
        running.remove(connection)
        both.wait()

    await asyncio.gather(*(pool.read(job, same) for _ in range(6)))
    assert (max(most), len(most)) == (2, 6)


async def test_who_waits_too_long_or_finds_too_many_waiting_is_told_so(readers, monkeypatch):
    monkeypatch.setattr(query, "MAX_WAIT_S", 0.05)
    pool, release = readers(at_once=1), threading.Event()
    first = asyncio.create_task(pool.read(lambda _: release.wait(10), same))
    await asyncio.sleep(0)
    refusal = await refusal_of(pool.read(asking("SELECT 1"), same))
    assert (refusal.status, refusal.code) == (503, "busy")
    monkeypatch.setattr(query, "MAX_WAITING", 0)
    assert (await refusal_of(pool.read(asking("SELECT 1"), same))).code == "busy"
    release.set()
    await first
    await pool.read(asking("SELECT 1"), same)


async def test_who_leaves_gives_the_place_back_when_the_query_has_ended(readers):
    pool, release = readers(at_once=1), threading.Event()
    leaving = asyncio.create_task(pool.read(lambda _: release.wait(10), same))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    release.set()
    assert rows(await pool.read(asking("SELECT 1"), same)) == [(1,)]


async def test_a_slow_query_holds_up_neither_the_writer_nor_the_loop(readers, store):
    pool = readers(timeout_s=3)
    slow = [asyncio.create_task(refusal_of(pool.read(asking(NEVER_ENDING), same))) for _ in range(2)]
    await asyncio.sleep(0)
    written = 0
    while not all(task.done() for task in slow):
        await asyncio.to_thread(add, store, [call(written) for _ in range(10)])
        written += 1
    assert {(await task).code for task in slow} == {"query_timeout"}
    assert written > 5
    counted = await pool.read(asking("SELECT count(*) FROM api_calls"), same)
    assert rows(counted) == [(5 + 10 * written,)]


async def test_a_reader_sees_one_moment(readers, store):
    def job(connection):
        before = connection.execute("SELECT count(*) FROM api_calls").fetchone()
        add(store, [call(9)])
        return before, connection.execute("SELECT count(*) FROM api_calls").fetchone()

    assert await readers().read(job, same) == ((5,), (5,))


async def test_a_database_that_failed_is_opened_again_and_questions_hear_of_it_meanwhile(
    readers, store, monkeypatch
):
    monkeypatch.setattr("lessllm_collector.store.RETRY_S", 0.01)
    pool = readers()
    add(store, [call(9, request_body=random.Random(1).randbytes(2_000_000))])
    with largest_file(store.size_bytes()), pytest.raises(duckdb.FatalException):
        store.cursor().execute("CHECKPOINT")
    with pytest.raises(StoreError, match="failed and is opened again"):
        await pool.read(asking("SELECT 1"), same)
    await eventually(lambda: store.trouble is None)
    assert rows(await pool.read(asking("SELECT count(*) FROM api_calls"), same)) == [(6,)]


async def test_a_fault_of_the_database_is_no_mistake_of_the_user(readers):
    def job(connection):
        del connection
        raise duckdb.IOException("IO Error: disk")

    refusal = await refusal_of(readers().read(job, same))
    assert (refusal.status, refusal.code) == (500, "query_failed")


@pytest.mark.parametrize(
    ("limit", "growth_bytes"),
    [("1GiB", 2 * 2**30 + 2**29), ("512 MB", 2 * 512 * 10**6 + 2**29), ("1.5GB", 3 * 10**9 + 2**29)],
)
def test_memory_is_bounded_by_the_configured_limit(limit, growth_bytes):
    found = bounds(Query(memory_limit=limit, timeout_s=7))
    assert (found.growth_bytes, found.total_bytes) == (growth_bytes, growth_bytes + 2**30)
    assert found.timeout_s == 7

"""Predictions from record to database, corrected, worked out again, and kept over a restart."""

from datetime import UTC, datetime

import pytest
from collector.running import PRICES, Running, eventually
from lessllm_collector import room
from lessllm_collector.cache import Predictor, snapshot
from lessllm_collector.cache.calls import Scope
from lessllm_collector.cache.index import Use
from lessllm_collector.interpret import interpret
from lessllm_collector.reanalyze import reanalyze
from lessllm_shared.record import ApiFormat
from lessllm_shared.tolerant_json import loads

from .conversation import T0, Caller, anthropic, messages, text

MARKED = {"type": "text", "text": text("a", 2000), "cache_control": {"type": "ephemeral"}}
REQUEST = {"messages": messages([MARKED])}
OUTCOMES = "SELECT request_id, cache_outcome, estimated_cached_tokens FROM main.api_calls ORDER BY request_id"


@pytest.fixture
def opus():
    return Caller("anthropic", "claude-opus-4-8", ApiFormat.MESSAGES)


@pytest.fixture
async def running(tmp_path):
    running = Running(tmp_path / "calls.duckdb", predictor=Predictor())
    yield running
    await running.close()


async def test_a_record_that_comes_late_corrects_a_row_that_is_committed(running, opus):
    quick = opus.record(REQUEST, 10, lasts_s=2, usage=anthropic(0, 2000), request_id="quick")
    slow = opus.record(REQUEST, 0, lasts_s=60, usage=anthropic(0, 0, 2000), request_id="slow")
    await running.add(quick)
    assert await running.ask(OUTCOMES) == [("quick", "unexpected_hit", 0)]
    await running.add(slow)
    assert await running.ask(OUTCOMES) == [("quick", "as_predicted", 2000), ("slow", "as_predicted", 0)]
    reasons = "SELECT cache_miss_reason FROM main.api_calls ORDER BY request_id"
    assert await running.ask(reasons) == [(None,), ("first_in_scope",)]


async def test_calls_are_predicted_once_though_they_are_committed_in_parts(tmp_path, opus, monkeypatch):
    """And what they correct is committed with the first part."""
    quick = opus.record(REQUEST, 10, lasts_s=2, usage=anthropic(0, 2000), request_id="quick")
    slow = opus.record(REQUEST, 0, lasts_s=60, usage=anthropic(0, 0, 2000), request_id="slow")
    others = [
        opus.record({"messages": messages(text(name, 2000))}, 70, usage=anthropic(tokens), request_id=name)
        for name, tokens in (("a", 500), ("b", 700))
    ]
    rooms = []

    def little(path, connection, size):
        rooms.append(size)
        if size > 12_000 or len(rooms) < 5:
            raise room.NoRoom(f"{path} {connection}")

    predictor = Predictor()
    running = Running(tmp_path / "calls.duckdb", predictor=predictor)
    await running.add(quick)
    monkeypatch.setattr("lessllm_collector.writer.RETRY_S", 0.01)
    monkeypatch.setattr("lessllm_collector.room.make", little)
    await running.add(slow, *others)
    await eventually(lambda: running.acks[-1] == ("g", 4))
    assert running.acks == [("g", number) for number in (1, 2, 3, 4)]
    assert await running.ask(OUTCOMES) == [
        *(("a", "as_predicted", 0), ("b", "as_predicted", 0)),
        *(("quick", "as_predicted", 2000), ("slow", "as_predicted", 0)),
    ]
    undisturbed = Predictor()
    for record in (quick, slow, *others):
        undisturbed.score([interpret(record, gateway_id="g", sequence=1, prices=PRICES)])
    assert predictor.ratios.known == undisturbed.ratios.known
    await running.close()


async def test_a_requests_body_is_parsed_once_for_all_who_read_it(running, opus, monkeypatch):
    bodies = []

    def noted(body):
        bodies.append(body)
        return loads(body)

    monkeypatch.setattr("lessllm_collector.parsed.loads", noted)
    records = [opus.record(REQUEST, at_s, usage=anthropic(0, 2000), request_id=f"{at_s}") for at_s in (0, 60)]
    await running.add(*records)
    assert await running.ask(OUTCOMES) == [("0", "unexpected_hit", 0), ("60", "as_predicted", 2000)]
    assert bodies == [record.request_body for record in records]


async def test_nothing_is_predicted_when_that_is_switched_off(running, opus):
    running.switches.enable_cache_analysis = False
    await running.add(opus.record(REQUEST, usage=anthropic(0, 0, 2000), request_id="r"))
    assert await running.ask(OUTCOMES) == [("r", None, None)]


async def test_bodies_that_are_not_kept_are_predicted_all_the_same(tmp_path, opus):
    running = Running(tmp_path / "calls.duckdb", "none", predictor=Predictor())
    await running.add(
        opus.record(REQUEST, 0, usage=anthropic(0, 0, 2000), request_id="1"),
        opus.record(REQUEST, 60, usage=anthropic(0, 2000), request_id="2"),
    )
    assert await running.ask(OUTCOMES) == [("1", "as_predicted", 0), ("2", "as_predicted", 2000)]
    await running.close()


async def test_predictions_are_worked_out_again_in_order_of_the_calls_beginnings(running, opus):
    running.switches.enable_cache_analysis = False
    for at_s, lasts_s, usage in ((10, 2, (0, 2000)), (0, 60, (0, 0, 2000)), (100, 1, (0, 2000))):
        await running.add(
            opus.record(REQUEST, at_s, lasts_s=lasts_s, usage=anthropic(*usage), request_id=f"{at_s}")
        )
    assert await reanalyze(running.writer, PRICES, None, Predictor()) == 3
    expected = [("0", "as_predicted", 0), ("10", "as_predicted", 2000), ("100", "as_predicted", 2000)]
    assert await running.ask(OUTCOMES) == expected
    assert await reanalyze(running.writer, PRICES, None) == 3
    assert await running.ask(OUTCOMES) == expected


async def test_calls_before_those_that_are_worked_out_again_are_known_and_stay_as_they_are(running, opus):
    running.switches.enable_cache_analysis = False
    await running.add(
        opus.record(REQUEST, 0, usage=anthropic(0, 0, 2000), request_id="1"),
        opus.record(REQUEST, 60, usage=anthropic(0, 2000), request_id="2"),
    )
    since = datetime.fromtimestamp(T0 / 1e9 + 30, UTC)
    assert await reanalyze(running.writer, PRICES, since, Predictor()) == 1
    assert await running.ask(OUTCOMES) == [("1", None, None), ("2", "as_predicted", 2000)]


def test_a_predictor_knows_after_a_restart_what_it_knew(tmp_path, opus):
    database = tmp_path / "calls.duckdb"
    opus.ask(REQUEST, usage=anthropic(0, 0, 2000))
    snapshot.save(database, snapshot.pack(opus.predictor))
    again = Caller("anthropic", "claude-opus-4-8", ApiFormat.MESSAGES)
    snapshot.load(database, again.predictor)
    row = again.ask(REQUEST, 60, usage=anthropic(0, 2000))
    assert (row["cache_outcome"], row["estimated_cached_tokens"]) == ("as_predicted", 2000)
    assert list(tmp_path.iterdir()) == [snapshot.path_of(database)]


def test_entries_without_end_are_kept_over_a_restart(tmp_path):
    predictor, again = Predictor(), Predictor()
    predictor.index.put([b"k" * 16], [1.5], [Use(0, 1, 2**63 + 2**62, 2**63 - 1, 2**63 - 1, "r")])
    predictor.scopes.get(Scope(b"s" * 8, b"f" * 8, {"model": "m"}))
    snapshot.save(tmp_path / "db", snapshot.pack(predictor))
    snapshot.load(tmp_path / "db", again)
    assert again.index.new == predictor.index.new
    assert again.scopes.all() == predictor.scopes.all()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93\x01"])
def test_a_snapshot_that_cant_be_read_is_as_good_as_none(tmp_path, content):
    snapshot.path_of(tmp_path / "db").write_bytes(content)
    predictor = Predictor()
    snapshot.load(tmp_path / "db", predictor)
    assert len(predictor.index) == 0


def test_a_snapshot_that_cant_be_written_leaves_the_one_before(tmp_path, caplog):
    snapshot.save(tmp_path / "none" / "db", b"")
    assert "not saved" in caplog.text
